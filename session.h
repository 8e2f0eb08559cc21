/* SPDX-License-Identifier: ISC */
/* Which channels may this request read?  The policy.  Pure: session_key.h finds
 * where the grant is, and a take reads it. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/channel.h"
#include "request.h"
#include "verdict.h"

#define SESSION_KEYS_MAX 4
#define SESSION_KEY_SIZE 144 /* prefix, "session:", 64 hex digits, NUL */

struct session {
	struct channel_set channels; /* what the stream reads */
	bool is_open; /* no session guards the location: CORS may be "*" */

	/* of a location that a session guards */
	bool needs_grant; /* session_apply is still to come */
	char keys[SESSION_KEYS_MAX][SESSION_KEY_SIZE]; /* where it may be, */
	size_t nkeys;		    /* if there are several cookies */
	char key[SESSION_KEY_SIZE]; /* of the grant in Redis; "" for none */
	char *grant;		    /* owned: as it was read, grant_len */
	size_t grant_len;	    /* bytes */
	char *user;		    /* owned; NULL: it names none */
};

/*
 * Decide by the location's policy (SSE_CHANNELS, SSE_ALLOW) and what the
 * client asks.  Where a session guards the location (s->needs_grant) the
 * answer is only whether it may go on to session_apply.  Returns 0, or -1 with
 * v filled.  End with session_close in any case.
 */
int session_open(
    struct session *s, const struct request *req, struct verdict *v);

/*
 * The channels that a session's grant names, narrowed by SSE_CHANNELS and by
 * what the client asks; at the start, and when the grant has changed.  grant
 * is NULL if there is none.  Returns as session_open.
 */
int session_apply(struct session *s, const struct request *req,
    const char *grant, size_t grant_len, struct verdict *v);

/* Use number i of s->keys. */
void session_use_key(struct session *s, size_t i);

/* Is this still the grant that the channels came from? */
bool session_is_current(
    const struct session *s, const char *grant, size_t grant_len);

void session_close(struct session *s);

#endif
