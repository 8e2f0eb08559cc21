/* SPDX-License-Identifier: ISC */
/*
 * hiredis connects.  On a Unix socket that can fail though Redis is there: as
 * many as its backlog (511) wait to be accepted, and one more is told EAGAIN at
 * once, where TCP would try again by itself.  It happens when many streams open
 * together, and passes within milliseconds.
 */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/redis_address.h"

#define REDIS_CONNECT_TIMEOUT_MS 2000

struct redisContext;

/* As hiredis returns it: NULL without memory, else look at err; and then ask
 * connect_queue_is_full. */
struct redisContext *connect_begin(const struct redis_address *ra);

/* The same, within the time limit: a full queue is tried again. */
struct redisContext *connect_wait(const struct redis_address *ra);

/* Did it fail because the accept queue is full?  Then again after
 * connect_pause_ms, for as long as the time limit. */
bool connect_queue_is_full(
    const struct redis_address *ra, const struct redisContext *context);

/* Random, so that those that were turned away together do not come back so. */
int64_t connect_pause_ms(void);

#endif
