/* SPDX-License-Identifier: ISC */
/* One event into Redis, through publish.lua: the only way in. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include <stddef.h>
#include <stdint.h>

#include "redis/channel.h"
#include "redis/redis_conn.h"

/* Who records a plain message: its lease, and the number of the message. */
struct publish_lease {
	const char *token;
	uint64_t seq;
};

/*
 * Put the command that publishes a frame (as sse_put_event makes it, without
 * an id line) to all channels of the set into the connection's buffer.  lease
 * is NULL for a publisher.  The answer is a list of ids as texts, one for each
 * channel; with a lease it may be the text "LOST", "SEEN" or "GAP" (see
 * publish.lua).
 * Returns 0, or -1 without memory.
 */
int publish_append(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const struct publish_lease *lease);

/* Put the command into the buffer that passes a plain message on live, without
 * recording it (struct relay, record.h).  The answer is a number.  Returns as
 * publish_append. */
int publish_append_relay(struct redis_conn *conn, const char *prefix,
    const struct channel *channel, const char *frame, size_t frame_len,
    uint64_t base, uint64_t place);

/* Is this error reply one that passes, so that the same event may be tried
 * again (no memory, a read-only replica, loading, a right that
 * was taken away)? */
int publish_error_passes(const char *text);

#endif
