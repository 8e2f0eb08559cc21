/* SPDX-License-Identifier: ISC */
/*
 * Where a stream begins, and what it must be told that cannot be kept.  Pure:
 * decides from what the client claims and what a take found.
 */
#ifndef RESUME_H
#define RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "redis/take.h"
#include "request.h"

/* A channel's memory of its last event goes after 30 days without one: an
 * older cursor cannot be checked. */
#define META_AGE_US (INT64_C(30) * 86400 * 1000000)

enum reset_reason {
	RESET_NONE,
	RESET_UNKNOWN,
	RESET_FLUSHED,
	RESET_TRIMMED,
	RESET_OVERSIZED /* of one event: Redis' limits do not let it through */
};

/* Its word in the stream: "unknown", "flushed", "trimmed", "oversized". */
const char *reset_reason_name(enum reset_reason reason);

struct resume {
	uint64_t floor; /* replay begins after it */
	enum reset_reason reason;
	bool affects_all; /* trimmed: all channels, not only those found so */
	bool is_lagging;  /* a replica that has not come as far: wait */
};

/* The positions to take from at the start: after them, whatever the channel.
 * For a start without a cursor nothing is after it. */
uint64_t resume_position(const struct cursor *c);

/* Decide the start of a stream.  first_id: id of the first record taken, 0 if
 * there is none; any_trimmed: a channel was found trimmed. */
struct resume resume_decide(const struct cursor *c, const struct take *t,
    uint64_t first_id, bool any_trimmed);

#endif
