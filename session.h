/* SPDX-License-Identifier: ISC */
/* Which channels may this request read?  The policy; session_store.h reads the
 * records. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "channel.h"
#include "request.h"

#define SESSION_KEY_SIZE 144 /* prefix, "session:", 64 hex digits, NUL */

struct session {
	struct channel_set channels; /* what the stream reads */
	bool is_open;	 /* no session guards the location: CORS may be "*" */
	char error[256]; /* for the client, if not HTTP_OK */
	bool is_misconfigured; /* ... and for the administrator's log */

	/* of a location that a session guards */
	bool needs_record;	    /* session_apply is still to come */
	char key[SESSION_KEY_SIZE]; /* of the record in Redis; "" for none */
	char *record;		    /* owned: as it was read, record_len */
	size_t record_len;	    /* bytes */
	char *user;		    /* owned; NULL: it names none */
};

/*
 * Decide by the location's policy (SSE_CHANNELS, SSE_ALLOW) and what the
 * client asks.  Where a session guards the location (s->needs_record) the
 * answer is only whether it may go on to session_store_read.  Returns HTTP_OK,
 * or the status to answer with and a sentence in error.  End with
 * session_close in any case.
 */
enum http_status session_open(struct session *s, const struct request *req,
    const struct request_limits *limits);

/*
 * The channels that a session's record names, narrowed by SSE_CHANNELS and by
 * what the client asks; at the start, and when the record has changed.  record
 * is NULL if there is none.  Returns as session_open.
 */
enum http_status session_apply(struct session *s, const struct request *req,
    const struct request_limits *limits, const char *record, size_t record_len);

/* Is this still the record that the channels came from? */
bool session_is_current(
    const struct session *s, const char *record, size_t record_len);

void session_close(struct session *s);

#endif
