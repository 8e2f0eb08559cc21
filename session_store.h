/* SPDX-License-Identifier: ISC */
/* The session of a request, as its grant in Redis has it. */
#ifndef SESSION_STORE_H
#define SESSION_STORE_H

#include "config.h"
#include "request.h"
#include "session.h"
#include "verdict.h"

struct redis_conn;

/*
 * For a location with SSE_SESSION_COOKIE: find the cookie, look its grant up
 * by the SHA-256 of its value, and apply it to s.  *conn gets the connection,
 * which the caller owns, or NULL.  Returns 0, or -1 with v filled:
 * HTTP_FORBIDDEN; or, if Redis is away, HTTP_UNAVAILABLE with a sentence for
 * the log.
 */
int session_store_read(struct session *s, const struct request *req,
    const struct config *cfg, struct redis_conn **conn, struct verdict *v);

#endif
