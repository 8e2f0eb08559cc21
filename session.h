/* SPDX-License-Identifier: ISC */
/* Which channels may this request read?  Knows the policy, not the network. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "channel.h"
#include "request.h"

struct session {
	struct channel_set channels; /* what the stream reads */
	bool is_open;	 /* no session guards the location: CORS may be "*" */
	char error[256]; /* for the client, if not HTTP_OK */
	bool is_misconfigured; /* ... and for the administrator's log */
};

/*
 * Decide by the location's policy (SSE_CHANNELS, SSE_ALLOW) and what the
 * client asks.  Returns HTTP_OK, or the status to answer with and a sentence
 * in error.  End with session_close in any case.
 */
enum http_status session_open(struct session *s, const struct request *req,
    const struct request_limits *limits);

void session_close(struct session *s);

#endif
