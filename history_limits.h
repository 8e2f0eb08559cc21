/* SPDX-License-Identifier: ISC */
/* The limits of all histories, which publish.lua reads in Redis. */
#ifndef HISTORY_LIMITS_H
#define HISTORY_LIMITS_H

#include "config.h"
#include "redis_conn.h"

/*
 * Write those limits that cfg gives, and wait for the answer.  Returns 0, also
 * when Redis refuses, which is logged; or -1 with redis_conn_error(conn).
 */
int history_limits_write(struct redis_conn *conn, const struct config *cfg);

#endif
