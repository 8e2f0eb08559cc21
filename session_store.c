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

#define COOKIE_LEN_MIN 16 /* shorter is no secret */
#define COOKIE_LEN_MAX 4096

/* Set s->key from the request's cookie. */
static int
find_key(struct session *s, const struct request *req, const struct config *cfg,
    struct verdict *v)
{
	char digest[SHA256_DIGEST_STRING_LENGTH];
	const char *value;
	size_t len, count;

	count = cookie_find(req->env, req->session_cookie, &value, &len);
	if (count == 0)
		return verdict_refuse(v, HTTP_FORBIDDEN,
		    "nobody is logged in: there is no session cookie");
	if (count > 1)
		return verdict_refuse(v, HTTP_FORBIDDEN,
		    "there are several session cookies of the same name");
	if (len < COOKIE_LEN_MIN || len > COOKIE_LEN_MAX)
		return verdict_refuse(v, HTTP_FORBIDDEN,
		    "the session cookie is too short or too long");
	SHA256Data((const uint8_t *)value, len, digest);
	snprintf(s->key, sizeof(s->key), "%ssession:%s", cfg->prefix, digest);
	return 0;
}

int
session_store_read(struct session *s, const struct request *req,
    const struct config *cfg, struct redis_conn **conn, struct verdict *v)
{
	const char *get[] = { "GET", s->key };
	char error[256];
	struct answer a;

	*conn = NULL;
	if (find_key(s, req, cfg, v) == -1)
		return -1;
	*conn = redis_conn_open(&cfg->redis, error, sizeof(error));
	if (*conn == NULL)
		return verdict_refuse(v, HTTP_UNAVAILABLE, "%s", error);
	if (redis_conn_append(*conn, 2, get, NULL) == -1 ||
	    redis_conn_flush(*conn) == -1 ||
	    redis_conn_wait(*conn, &a) == ANSWER_BROKEN)
		return verdict_refuse(
		    v, HTTP_UNAVAILABLE, "%s", redis_conn_error(*conn));
	if (a.kind == ANSWER_ERROR && strncmp(a.text, "WRONGTYPE", 9) == 0)
		return verdict_misconfigured(v,
		    "the session's record cannot be used: it is not a string");
	if (a.kind == ANSWER_ERROR)
		return verdict_refuse(v, HTTP_UNAVAILABLE, "%s", a.text);
	return session_apply(
	    s, req, a.kind == ANSWER_TEXT ? a.text : NULL, a.len, v);
}
