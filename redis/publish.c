/* SPDX-License-Identifier: ISC */
/* The call of publish.lua. */
#include "redis/publish.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "lua_publish.h"
#include "redis/command.h"

/* A recorder's or a publisher's number of the event; all zero: none. */
struct numbering {
	const char *token, *key;
	uint64_t number;
};

static int
append(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    struct numbering by)
{
	const size_t n = channels->n, nkeys = 4 + 2 * n + (by.key != NULL);
	struct command c;
	int failed = -1;
	size_t i;

	if (command_init(&c, prefix, 1 + nkeys + 5 + n, 3 + nkeys) == -1)
		goto out;
	command_add_number(&c, nkeys);
	command_add_name(&c, "clock", "");
	command_add_name(&c, "epoch", "");
	command_add_name(&c, "limits", "");
	command_add_name(&c, "recorder", "");
	for (i = 0; i < n; i++) {
		command_add_name(&c, "history:", channels->items[i].name);
		command_add_name(&c, "meta:", channels->items[i].name);
	}
	if (by.key != NULL)
		command_add_name(&c, "key:", by.key);
	command_add_name(&c, "event:", "");
	command_add_text(&c, by.token != NULL ? "r" : "p");
	command_add_text(&c, by.token != NULL ? by.token : "");
	if (by.number != 0)
		command_add_number(&c, by.number);
	else
		command_add_text(&c, "");
	command_add(&c, frame, frame_len);
	for (i = 0; i < n; i++)
		command_add(
		    &c, channels->items[i].name, channels->items[i].len);
	failed = redis_conn_append_script(
	    conn, &lua_publish, c.argc, c.argv, c.lens);
out:
	command_free(&c);
	return failed;
}

int
publish_append_relay(struct redis_conn *conn, const char *prefix,
    const struct channel *channel, const char *frame, size_t frame_len,
    uint64_t base, uint64_t place)
{
	char name[64 + 16 + CHANNEL_LEN_MAX];
	const char *argv[3] = { "PUBLISH", name };
	size_t lens[3] = { 7 };
	struct buf payload;
	int failed = -1;

	lens[1] = (size_t)snprintf(
	    name, sizeof(name), "%sevent:%s", prefix, channel->name);
	buf_init(&payload, frame_len + 128);
	if (buf_printf(&payload, "%llu %llu r\n", (unsigned long long)base,
		(unsigned long long)place) == -1 ||
	    buf_put(&payload, frame, frame_len) == -1)
		goto out;
	argv[2] = payload.bytes;
	lens[2] = payload.len;
	failed = redis_conn_append(conn, 3, argv, lens);
out:
	buf_free(&payload);
	return failed;
}

int
publish_append(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const struct publish_lease *lease)
{
	struct numbering by = { NULL, NULL, 0 };

	if (lease != NULL)
		by = (struct numbering){ lease->token, NULL, lease->seq };
	return append(conn, prefix, channels, frame, frame_len, by);
}

int
publish_append_once(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const char *key, uint64_t number)
{
	return append(conn, prefix, channels, frame, frame_len,
	    (struct numbering){ NULL, key, number });
}

/* Is one of these words, NULL behind the last, the code of the error? */
static bool
has_code(const char *text, const char *const *codes)
{
	const size_t len = strcspn(text, " ");
	const char *at;

	for (; *codes != NULL; codes++) {
		if (strlen(*codes) == len && strncmp(text, *codes, len) == 0)
			return true;
		/* Redis before 7 wraps an error within a script: "ERR Error
		 * running script ...: -OOM command not allowed ..." */
		at = strstr(text, *codes);
		if (at != NULL && at > text && at[-1] == '-')
			return true;
	}
	return false;
}

int
publish_error_is_denial(const char *text)
{
	static const char *const codes[] = { "NOPERM", "NOAUTH", NULL };

	/* within a script, Redis 7 */
	return has_code(text, codes) ||
	       strstr(text, "The user executing the script can't") != NULL;
}

int
publish_error_passes(const char *text)
{
	static const char *const codes[] = { "OOM", "READONLY", "LOADING",
		"MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN",
		"CLUSTERDOWN", "NOSCRIPT", NULL };

	/* the second is said instead of a connection's first answer */
	return has_code(text, codes) || publish_error_is_denial(text) ||
	       strstr(text, "max number of clients") != NULL;
}
