/* SPDX-License-Identifier: ISC */
/* The blocks of a stream that are ours (HTML 9.2.6), not a record's.  Pure.
 * Each is appended to b, or, if that has no room, what fits. */
#ifndef BLOCK_H
#define BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "redis/channel.h"
#include "resume.h"

/* A position: "stream-position" is an event of its own, with the id as its
 * data.  A native EventSource tells nobody of it and remembers the id; many
 * other clients forget an id that comes without data, and those that hand
 * every block to one handler get valid JSON. */
void block_put_position(struct buf *b, uint64_t id);

/* A sign of life: a comment of one line, without an empty one, on which some
 * clients dispatch what they have; or, if interval_s is not 0, an event
 * "stream-heartbeat" with that as its data and no id. */
void block_put_heartbeat(struct buf *b, uint64_t interval_s);

/* "stream-reset": says what cannot be kept, for the channels that are affected;
 * id: a page that keeps its own position may go on from it. */
void block_put_reset(struct buf *b, const struct channel_set *channels,
    const bool *is_affected, enum reset_reason reason, uint64_t id);

/* "stream-end": it does not go on after this, and why. */
void block_put_end(struct buf *b, const char *reason);

#endif
