/* SPDX-License-Identifier: ISC */
/*
 * From cookie to record.  The cookie's value is a secret: Redis and the log
 * get to see only its digest, or nothing.
 */
#include "session_store.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <sha2.h>

#include "cookie.h"

#define COOKIE_LEN_LEAST 16 /* shorter is no secret */
#define COOKIE_LEN_MOST 4096

static enum http_status
refuse(struct session *s, enum http_status status, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s", why);
	return status;
}

enum http_status
session_store_find(
    struct session *s, const struct request *req, const struct config *cfg)
{
	char digest[SHA256_DIGEST_STRING_LENGTH];
	const char *value;
	size_t len, count;

	count = cookie_find(req->env, req->session_cookie, &value, &len);
	if (count == 0)
		return refuse(s, HTTP_FORBIDDEN,
		    "nobody is logged in: there is no session cookie");
	if (count > 1)
		return refuse(s, HTTP_FORBIDDEN,
		    "there are several session cookies of the same name");
	if (len < COOKIE_LEN_LEAST || len > COOKIE_LEN_MOST)
		return refuse(s, HTTP_FORBIDDEN,
		    "the session cookie is too short or too long");
	SHA256Data((const uint8_t *)value, len, digest);
	snprintf(s->key, sizeof(s->key), "%ssession:%s", cfg->prefix, digest);
	return HTTP_OK;
}
