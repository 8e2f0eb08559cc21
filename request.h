/* SPDX-License-Identifier: ISC */
/*
 * CGI variables (RFC 3875 4.1) as what a client asks and what the web server
 * says about the location.  Pure.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "redis/channel.h"
#include "verdict.h"

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER };

/* What a location is for. */
enum role { ROLE_SUBSCRIBE, ROLE_PUBLISH, ROLE_STATUS, ROLE_UNKNOWN };

#define LAST_MAX 10000 /* of ?last=N: Redis walks that far back at once */

/* The longest query read; 64 names of 128 bytes, all escaped, fit. */
#define QUERY_LEN_MAX 32768

struct request_limits {
	const char *prefix;  /* of Redis names; no channel begins so */
	size_t max_channels; /* that one stream may have */
};

struct request {
	enum http_method method;
	bool accepts_stream; /* Accept names text/event-stream */
	bool wants_heartbeat_event;
	bool has_header_cursor; /* Last-Event-ID, which no parameter beats */
	struct cursor cursor;
	struct channel_set asked; /* channels of the query; may be empty */

	/* borrowed from the environment; NULL if not set */
	char *const *env; /* itself */
	const char *origin;
	const char *remote_address;
	const char *remote_user;

	/* policy of the location: what only the web server can set */
	enum role role;
	const char *role_name; /* as it is set */
	const char *channels;
	const char *session_cookie;
	const char *allow;
	const char *sse_origin;
	const char *sse_user;

	const struct request_limits *limits; /* borrowed */
};

/*
 * Read a NULL-terminated environment, within the limits; both live as long as
 * req.  Returns 0, or -1 with v filled.  A SSE_* that is empty or stands twice
 * is HTTP_FORBIDDEN (nginx sends both of an overridden variable, and a reader of
 * the first would take the wrong one); so is a doubled REMOTE_USER if it is what
 * %u in SSE_CHANNELS stands for, and a SSE_ORIGIN that can never match.  In any case end with request_free.
 */
int request_parse(struct request *req, char *const *env,
    const struct request_limits *limits, struct verdict *v);

void request_free(struct request *req);

#endif
