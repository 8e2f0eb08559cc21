/* SPDX-License-Identifier: ISC */
/* The limits of histories, and those of Redis. */
#include "recorder/limits.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "redis/sse.h"

#define NLIMITS 3
#define RECORD_EXTRA                                                           \
	512 /* bytes, besides the frame, of what a stream is sent */

/* One command and its answer.  0, or -1: the connection is gone. */
static int
ask(struct redis_conn *conn, int argc, const char *const *argv,
    struct answer *a)
{
	if (redis_conn_append(conn, argc, argv, NULL) == -1 ||
	    redis_conn_flush(conn) == -1 ||
	    redis_conn_wait(conn, a) == ANSWER_BROKEN)
		return -1;
	return 0;
}

/* --- of histories ------------------------------------------------------- */

struct limit {
	const char *name;
	uint64_t value; /* 0: not given */
	char text[24];
};

static void
read_config(const struct config *cfg, struct limit limits[NLIMITS])
{
	size_t i;

	limits[0] = (struct limit){ "count", cfg->history_count, "" };
	limits[1] = (struct limit){ "age", cfg->history_age_s, "" };
	limits[2] = (struct limit){ "bytes", cfg->history_bytes, "" };
	for (i = 0; i < NLIMITS; i++)
		snprintf(limits[i].text, sizeof(limits[i].text), "%llu",
		    (unsigned long long)limits[i].value);
}

/* What stands there is not this program's: found are the answers to HMGET. */
static void
warn_of_others(
    const char *key, const struct limit *limits, const struct answer *found)
{
	struct buf was, is;
	struct answer a;
	size_t i;

	buf_init(&was, 128);
	buf_init(&is, 128);
	for (i = 0; i < NLIMITS; i++) {
		if (limits[i].value == 0 ||
		    redis_answer_item(found, i, &a) != ANSWER_TEXT ||
		    strcmp(a.text, limits[i].text) == 0)
			continue;
		buf_printf(&was, " %s %.24s", limits[i].name, a.text);
		buf_printf(&is, " %s %s", limits[i].name, limits[i].text);
	}
	if (was.len > 0)
		log_warn("the history's limits in %s were%.*s and are now%.*s: "
			 "all programs of a prefix need the same "
			 "--history-count, -age and -bytes",
		    key, (int)was.len, was.bytes, (int)is.len, is.bytes);
	buf_free(&was);
	buf_free(&is);
}

int
limits_write(
    const struct config *cfg, struct redis_conn *conn, struct trouble *refused)
{
	struct limit limits[NLIMITS];
	char key[80];
	const char *look[] = { "HMGET", key, "count", "age", "bytes" };
	const char *argv[4 + 2 * NLIMITS] = { "HSET", key, "format",
		STORE_FORMAT };
	struct answer a;
	int argc = 4;
	size_t i;

	snprintf(key, sizeof(key), "%slimits", cfg->prefix);
	read_config(cfg, limits);
	for (i = 0; i < NLIMITS; i++)
		if (limits[i].value != 0) {
			argv[argc++] = limits[i].name;
			argv[argc++] = limits[i].text;
		}
	if (ask(conn, 2 + NLIMITS, look, &a) == -1)
		return -1;
	warn_of_others(key, limits, &a);
	if (ask(conn, argc, argv, &a) == -1)
		return -1;
	if (a.kind != ANSWER_ERROR)
		trouble_over(
		    refused, "the history's limits stand in Redis again");
	else if (argc > 4)
		trouble_tell(refused,
		    "the history's limits could not be written to %s: %s", key,
		    a.text);
	return 0;
}

/* --- of Redis ----------------------------------------------------------- */

/* "normal 0 0 0 ... pubsub HARD SOFT SECONDS": 0 means none.  0, or -1. */
static int
parse_pubsub(const char *p, uint64_t numbers[3])
{
	size_t i, len;

	if ((p = strstr(p, "pubsub ")) == NULL)
		return -1;
	p += strlen("pubsub ");
	for (i = 0; i < 3; i++) {
		len = strcspn(p, " ");
		if (parse_u64(p, len, UINT64_MAX, &numbers[i]) == -1)
			return -1;
		p += len + (p[len] == ' ');
	}
	return 0;
}

bool
limits_fit(const struct config *cfg, struct redis_conn *conn)
{
	const char *argv[] = { "CONFIG", "GET", "client-output-buffer-limit" };
	const uint64_t need =
	    SSE_FRAME_LEN_MAX(cfg->event_bytes) + RECORD_EXTRA;
	uint64_t is[3], least;
	struct answer a, text;

	if (ask(conn, 3, argv, &a) == -1 ||
	    redis_answer_item(&a, 1, &text) != ANSWER_TEXT ||
	    parse_pubsub(text.text, is) == -1)
		return true;
	least = is[0] == 0 || (is[1] != 0 && is[1] < is[0]) ? is[1] : is[0];
	if (least == 0 || least >= need)
		return true;
	log_warn("Redis may cut who is sent an event of --event-bytes=%llu: "
		 "one can need %llu bytes, and its client-output-buffer-limit "
		 "is pubsub %llu %llu %llu; set 'pubsub %llu %llu %llu' or "
		 "more, or --event-bytes=%llu or less",
	    (unsigned long long)cfg->event_bytes, (unsigned long long)need,
	    (unsigned long long)is[0], (unsigned long long)is[1],
	    (unsigned long long)is[2],
	    (unsigned long long)(is[0] != 0 && is[0] < 2 * need ? 2 * need
								: is[0]),
	    (unsigned long long)(is[1] != 0 && is[1] < need ? need : is[1]),
	    (unsigned long long)is[2],
	    (unsigned long long)(least > 4096
				     ? (least - 1024 - RECORD_EXTRA) / 2
				     : 1));
	return false;
}
