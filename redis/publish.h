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

/*
 * The same for a publisher who may ask again, because it did not hear the
 * answer: number n of a key (of 1 to PUBLISH_KEY_LEN_MAX bytes) is published
 * once within PUBLISH_KEY_LIFE_S, and answered with the ids that it got.  Numbers
 * are given without gaps, and at most PUBLISH_UNANSWERED_MAX of them are asked
 * for again; "GAP" means that n - 1 is missing, and n was not published.
 */
#define PUBLISH_KEY_LEN_MAX 128
#define PUBLISH_KEY_LIFE_S 600 /* as in publish.lua, from the last number on */
#define PUBLISH_UNANSWERED_MAX 512 /* as in publish.lua */
int publish_append_once(struct redis_conn *conn, const char *prefix,
    const struct channel_set *channels, const char *frame, size_t frame_len,
    const char *key, uint64_t number);

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

/* Is it one of those: a right is missing? */
int publish_error_is_denial(const char *text);

#endif
