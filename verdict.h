/* SPDX-License-Identifier: ISC */
/*
 * May a request be served, and if not, why?  The one who says no fills it,
 * reply reads it.  Pure.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdbool.h>

enum http_status {
	HTTP_OK = 200,
	HTTP_NO_CONTENT = 204,
	HTTP_BAD_REQUEST = 400,
	HTTP_FORBIDDEN = 403,
	HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_CONTENT_TOO_LARGE = 413,
	HTTP_URI_TOO_LONG = 414,
	HTTP_UNAVAILABLE = 503
};

struct verdict {
	enum http_status status; /* HTTP_OK until somebody says no */
	bool is_misconfigured;	 /* the sentence is for the log alone */
	char sentence[256];	 /* for the client */
};

/*
 * Say no: the status, and a sentence of at most 255 bytes.  HTTP_UNAVAILABLE
 * means that it will pass: the client is to come back.  Returns -1, so that a
 * step which refuses may end with the call.
 */
int verdict_refuse(struct verdict *v, enum http_status status, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

/* Say no for a mistake of the administrator's: HTTP_FORBIDDEN.  Returns -1. */
int verdict_misconfigured(struct verdict *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
