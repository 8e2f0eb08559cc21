/* SPDX-License-Identifier: ISC */
/*
 * From cookie to grant.  The cookie's value is a secret: Redis and the log
 * get to see only its digest, or nothing.
 */
#include "session_store.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <sha2.h>

#include "cookie.h"
#include "redis_conn.h"

#define COOKIE_LEN_LEAST 16 /* shorter is no secret */
#define COOKIE_LEN_MOST 4096

static enum http_status
refuse(struct session *s, enum http_status status, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s", why);
	return status;
}

/* Set s->key from the request's cookie. */
static enum http_status
find_key(struct session *s, const struct request *req, const struct config *cfg)
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

enum http_status
session_store_read(struct session *s, const struct request *req,
    const struct request_limits *limits, const struct config *cfg)
{
	const char *get[] = { "GET", s->key };
	enum http_status status = find_key(s, req, cfg);
	struct answer a;

	if (status != HTTP_OK)
		return status;
	s->conn = redis_conn_open(&cfg->redis, s->error, sizeof(s->error));
	if (s->conn == NULL)
		return HTTP_UNAVAILABLE;
	if (redis_conn_append(s->conn, 2, get, NULL) == -1 ||
	    redis_conn_flush(s->conn) == -1 ||
	    redis_conn_wait(s->conn, &a) == ANSWER_BROKEN)
		return refuse(s, HTTP_UNAVAILABLE, redis_conn_error(s->conn));
	if (a.kind == ANSWER_ERROR && strncmp(a.text, "WRONGTYPE", 9) == 0) {
		s->is_misconfigured = true;
		return refuse(s, HTTP_FORBIDDEN,
		    "the session's record cannot be used: it is no string");
	}
	if (a.kind == ANSWER_ERROR)
		return refuse(s, HTTP_UNAVAILABLE, a.text);
	return session_apply(
	    s, req, limits, a.kind == ANSWER_TEXT ? a.text : NULL, a.len);
}
