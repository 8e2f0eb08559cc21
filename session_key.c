/* SPDX-License-Identifier: ISC */
/*
 * From cookie to key.  The cookie's value is a secret: Redis and the log
 * get to see only its digest, or nothing.
 */
#include "session_key.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <sha2.h>

#include "cookie.h"

#define COOKIE_LEN_MIN 16 /* shorter is no secret */
#define COOKIE_LEN_MAX 4096

/* The key of a cookie's value. */
static void
add_key(
    struct session *s, const struct config *cfg, const char *value, size_t len)
{
	char digest[SHA256_DIGEST_STRING_LENGTH];

	SHA256Data((const uint8_t *)value, len, digest);
	snprintf(s->keys[s->nkeys++], SESSION_KEY_SIZE, "%ssession:%s",
	    cfg->prefix, digest);
}

int
session_key_find(struct session *s, const struct request *req,
    const struct config *cfg, struct verdict *v)
{
	const char *value;
	size_t len, count = 1, i;

	s->nkeys = 0;
	for (i = 0; i < count; i++) {
		count =
		    cookie_find(req->env, req->session_cookie, i, &value, &len);
		if (count > SESSION_KEYS_MAX)
			return verdict_refuse(v, HTTP_FORBIDDEN,
			    "there are more than %d session cookies of the "
			    "same name",
			    SESSION_KEYS_MAX);
		if (count > 0 && len >= COOKIE_LEN_MIN && len <= COOKIE_LEN_MAX)
			add_key(s, cfg, value, len);
	}
	if (count == 0)
		return verdict_refuse(v, HTTP_FORBIDDEN,
		    "nobody is logged in: there is no session cookie");
	if (s->nkeys == 0)
		return verdict_refuse(v, HTTP_FORBIDDEN,
		    "the session cookie is too short or too long");
	session_use_key(s, 0);
	return 0;
}
