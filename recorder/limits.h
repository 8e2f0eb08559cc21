/* SPDX-License-Identifier: ISC */
/*
 * Limits that the recorder sees to: those of all histories, which go into
 * Redis, and those of Redis, which are to let an event pass.
 */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdbool.h>

#include "base/config.h"
#include "base/log.h"
#include "redis/redis_conn.h"

/*
 * Write --history-count, -age and -bytes to where publish.lua reads them, as
 * far as they were given, and the store's format.  A warning says which values
 * of another program were replaced.  Returns 0, also when Redis refuses, which
 * refused tells; or -1 with redis_conn_error(conn).
 */
int limits_write(
    const struct config *cfg, struct redis_conn *conn, struct trouble *refused);

/* Is Redis' client-output-buffer-limit pubsub enough for an event of
 * --event-bytes?  If not, a warning says so.  True where Redis does not tell. */
bool limits_fit(const struct config *cfg, struct redis_conn *conn);

#endif
