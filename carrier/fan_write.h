/* SPDX-License-Identifier: ISC */
/* What leaves a carrier, by stream: put first, and written at the end of the
 * turn. */
#ifndef FAN_WRITE_H
#define FAN_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "carrier/fan.h"

/* For one stream: a block of its own, or what stands in the batch.  If it does
 * not live (any more) nothing is put; without memory it is sent back. */
void fan_put(struct fan *f, struct carried *c, const void *p, size_t len);
void fan_put_shared(struct fan *f, struct carried *c, size_t at, size_t len);

/* A sign of life: it is not held while the grant of the stream's session is in
 * doubt. */
void fan_put_sign(struct fan *f, struct carried *c, const void *p, size_t len);

/* The stream's session still has its grant: what was held is put. */
void fan_unmute(struct fan *f, struct carried *c);

/* The stream ends, with a block or none, unless it does so already. */
void fan_end(struct fan *f, struct carried *c, const void *block, size_t len);

/* The same; its client comes back within so many milliseconds, to a responder,
 * and goes on from where it is. */
void fan_send_back(struct fan *f, struct carried *c, int64_t within_ms);

/* Write to one, or to all who have something to be written; what a socket does
 * not take waits. */
void fan_write_one(struct fan *f, struct carried *c, int64_t now_ms);
void fan_write(struct fan *f, int64_t now_ms);

#endif
