/* SPDX-License-Identifier: ISC */
/* The session of a request, as its grant in Redis has it. */
#ifndef SESSION_STORE_H
#define SESSION_STORE_H

#include "config.h"
#include "request.h"
#include "session.h"

/*
 * For a location with SSE_SESSION_COOKIE: find the cookie, look its grant up
 * by the SHA-256 of its value, and apply it to s.  The connection stays with s
 * for the stream.  Returns HTTP_OK; HTTP_FORBIDDEN with a sentence in s->error;
 * HTTP_UNAVAILABLE, with one for the log, if Redis is away.
 */
enum http_status session_store_read(struct session *s,
    const struct request *req, const struct request_limits *limits,
    const struct config *cfg);

#endif
