/* SPDX-License-Identifier: ISC */
/* Where Redis has the grant of a request's session. */
#ifndef SESSION_KEY_H
#define SESSION_KEY_H

#include "base/config.h"
#include "request.h"
#include "session.h"
#include "verdict.h"

/*
 * For a location with SSE_SESSION_COOKIE: find the cookie, and set s->key: its
 * grant stands under the SHA-256 of its value.  Of several cookies of the name
 * (a parent domain's) all keys are in s->keys, and which one counts is still to
 * be seen.  Returns 0, or -1 with v filled.
 */
int session_key_find(struct session *s, const struct request *req,
    const struct config *cfg, struct verdict *v);

#endif
