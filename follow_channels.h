/* SPDX-License-Identifier: ISC */
/* A follower's beginning and end, and the channels that it follows. */
#ifndef FOLLOW_CHANNELS_H
#define FOLLOW_CHANNELS_H

#include "base/config.h"
#include "base/cursor.h"
#include "follow.h"
#include "redis/channel.h"
#include "redis_sub.h"
#include "sink.h"

/* Follow the channels into out, from the cursor, and the grants of the sessions
 * with those keys; by sub, which is connected or not, and is the caller's.  All
 * are borrowed.  Returns 0, or -1 without memory; in any case end with
 * follow_close. */
int follow_open(struct follower *f, const struct config *cfg,
    struct redis_sub *sub, const struct channel_set *channels,
    const struct channel_set *keys, struct sink *out,
    const struct cursor *cursor);
void follow_close(struct follower *f);

/* FOLLOW_CHANGED: the sets that follow_open borrowed are others now.  Follow
 * those, after the id that the client remembers.  Returns as follow_open. */
int follow_set(struct follower *f, uint64_t remembered);

/* FOLLOW_LIVE: both sets have more members at their ends, from these numbers
 * on.  Follow them, too, from when they are subscribed to; that needs no take.
 * Returns as follow_open; then nothing but follow_close is left to do. */
int follow_add(struct follower *f, size_t first_channel, size_t first_key);

/* FOLLOW_LIVE: the caller took members out of both sets; those remain whose
 * channel_is_kept[i] is true.  With the take that is asked for now the others
 * are left. */
void follow_keep(struct follower *f, const bool *channel_is_kept);

/* FOLLOW_LIVE: f->pong becomes the number once all that was published before
 * has been heard. */
void follow_ping(struct follower *f, uint64_t number);

#endif
