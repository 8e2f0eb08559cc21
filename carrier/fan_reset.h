/* SPDX-License-Identifier: ISC */
/* What cannot be kept: each stream of a carrier is told what a stream with a
 * process of its own would be. */
#ifndef FAN_RESET_H
#define FAN_RESET_H

#include <stdint.h>

#include "carrier/fan.h"
#include "sink.h"

/* The client is to remember this id. */
void fan_put_position(struct fan *f, struct carried *c, uint64_t id);

/* All is taken up to that id: so are those who were told that the store went
 * back. */
void fan_put_owed_positions(struct fan *f, uint64_t id);

/* A take is complete. */
void fan_taken(struct fan *f, const struct take *t);

/* What the follower found. */
void fan_reset(struct fan *f, const struct reset *r);

/* The store went back (RESET_FLUSHED) to before what this stream has seen. */
void fan_reset_stream(struct fan *f, struct carried *c, const struct reset *r);

#endif
