/* SPDX-License-Identifier: ISC */
/* Where Redis has the session of a request. */
#ifndef SESSION_STORE_H
#define SESSION_STORE_H

#include "config.h"
#include "request.h"
#include "session.h"

/*
 * For a location with SSE_SESSION_COOKIE: find the cookie, and where its grant
 * is: under the SHA-256 of its value (s->key).  Returns HTTP_OK, or
 * HTTP_FORBIDDEN with a sentence in s->error.
 */
enum http_status session_store_find(
    struct session *s, const struct request *req, const struct config *cfg);

#endif
