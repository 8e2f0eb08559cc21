/* SPDX-License-Identifier: ISC */
/* --history-count, -age and -bytes on their way to Redis. */
#include "history_limits.h"

#include <stdio.h>

#include "log.h"

/* One word more of HSET limits, if it was given. */
static void
add_limit(const char **argv, int *argc, const char *name, uint64_t value,
    char text[24])
{
	if (value == 0)
		return;
	snprintf(text, 24, "%llu", (unsigned long long)value);
	argv[(*argc)++] = name;
	argv[(*argc)++] = text;
}

int
history_limits_write(struct redis_conn *conn, const struct config *cfg)
{
	char key[80], text[3][24];
	const char *argv[8] = { "HSET", key };
	struct answer a;
	int argc = 2;

	snprintf(key, sizeof(key), "%slimits", cfg->prefix);
	add_limit(argv, &argc, "count", cfg->history_count, text[0]);
	add_limit(argv, &argc, "age", cfg->history_age_s, text[1]);
	add_limit(argv, &argc, "bytes", cfg->history_bytes, text[2]);
	if (argc == 2)
		return 0;
	if (redis_conn_append(conn, argc, argv, NULL) == -1 ||
	    redis_conn_flush(conn) == -1 ||
	    redis_conn_wait(conn, &a) == ANSWER_BROKEN)
		return -1;
	if (a.kind == ANSWER_ERROR)
		log_error("the history's limits could not be written to %s: %s",
		    key, a.text);
	return 0;
}
