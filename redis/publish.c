/* SPDX-License-Identifier: ISC */
/* The call of publish.lua. */
#include "redis/publish.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "lua_publish.h"
#include "redis/command.h"

int
publish_append(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const struct publish_lease *lease)
{
	const size_t n = channels->n;
	struct command c;
	int failed = -1;
	size_t i;

	if (command_init(&c, prefix, 1 + 4 + 2 * n + 5 + n, 7 + 2 * n) == -1)
		goto out;
	command_add_number(&c, 4 + 2 * n);
	command_add_name(&c, "clock", "");
	command_add_name(&c, "epoch", "");
	command_add_name(&c, "limits", "");
	command_add_name(&c, "recorder", "");
	for (i = 0; i < n; i++) {
		command_add_name(&c, "history:", channels->items[i].name);
		command_add_name(&c, "meta:", channels->items[i].name);
	}
	command_add_name(&c, "event:", "");
	command_add_text(&c, lease != NULL ? "r" : "p");
	command_add_text(&c, lease != NULL ? lease->token : "");
	if (lease != NULL)
		command_add_number(&c, lease->seq);
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
publish_error_passes(const char *text)
{
	static const char *const passing[] = { "OOM", "READONLY", "LOADING",
		"MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN",
		"CLUSTERDOWN", "NOSCRIPT", "NOPERM", "NOAUTH" };
	size_t i, len = strcspn(text, " ");
	const char *at;

	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strlen(passing[i]) == len &&
		    strncmp(text, passing[i], len) == 0)
			return 1;
	/* NOPERM within a script, Redis 7 */
	if (strstr(text, "The user executing the script can't") != NULL)
		return 1;
	/* Redis before 7 wraps an error within a script: "ERR Error running
	 * script ...: -OOM command not allowed ..." */
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if ((at = strstr(text, passing[i])) != NULL && at > text &&
		    at[-1] == '-')
			return 1;
	return 0;
}
