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

int
session_key_find(struct session *s, const struct request *req,
    const struct config *cfg, struct verdict *v)
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
