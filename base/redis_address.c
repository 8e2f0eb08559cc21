/* SPDX-License-Identifier: ISC */
/* Where Redis is, from a URL. */
#include "base/redis_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"

/* a percent-decoded copy of len bytes at p, or NULL */
static char *
decode(const char *p, size_t len)
{
	struct buf b;

	buf_init(&b, len + 1);
	if (parse_percent(p, len, 0, &b) == -1 ||
	    (b.len > 0 && memchr(b.bytes, '\0', b.len) != NULL) ||
	    buf_putc(&b, '\0') == -1) {
		buf_free(&b);
		return NULL;
	}
	return b.bytes;
}

static int
parse_db(struct redis_address *ra, const char *p, size_t len)
{
	uint64_t db;

	if (parse_u64(p, len, 1000000, &db) == -1)
		return -1;
	ra->db = (unsigned)db;
	return 0;
}

/* /path[?db=N] */
static int
parse_unix(struct redis_address *ra, const char *p)
{
	size_t path_len = strcspn(p, "?");

	if (p[0] != '/' || (ra->unix_path = decode(p, path_len)) == NULL)
		return -1;
	p += path_len;
	if (*p == '\0')
		return 0;
	if (strncmp(p, "?db=", 4) != 0)
		return -1;
	return parse_db(ra, p + 4, strlen(p + 4));
}

/* [user:password@] */
static int
parse_user(struct redis_address *ra, const char *p, size_t len)
{
	const char *colon = memchr(p, ':', len);
	size_t user_len = colon != NULL ? (size_t)(colon - p) : len;

	if (colon == NULL)
		return -1;
	if (user_len > 0 && (ra->user = decode(p, user_len)) == NULL)
		return -1;
	ra->password = decode(colon + 1, len - user_len - 1);
	return ra->password == NULL ? -1 : 0;
}

/* host[:port], an IPv6 address in brackets */
static int
parse_host(struct redis_address *ra, const char *p, size_t len)
{
	const char *port = NULL, *end = p + len, *close;
	size_t host_len;
	uint64_t n = 6379;

	if (len > 0 && *p == '[') {
		if ((close = memchr(p, ']', len)) == NULL)
			return -1;
		p++;
		host_len = (size_t)(close - p);
		if (close + 1 < end && close[1] != ':')
			return -1;
		port = close + 1 < end ? close + 2 : NULL;
	} else {
		port = memchr(p, ':', len);
		host_len = port != NULL ? (size_t)(port - p) : len;
		port = port != NULL ? port + 1 : NULL;
	}
	if (port != NULL &&
	    (parse_u64(port, (size_t)(end - port), 65535, &n) == -1 || n == 0))
		return -1;
	ra->port = (uint16_t)n;
	ra->host = host_len > 0 ? decode(p, host_len) : strdup("127.0.0.1");
	return ra->host == NULL ? -1 : 0;
}

static int
parse_tcp(struct redis_address *ra, const char *p)
{
	size_t len = strcspn(p, "/");
	const char *at = memrchr(p, '@', len);

	if (at != NULL && parse_user(ra, p, (size_t)(at - p)) == -1)
		return -1;
	if (p[len] == '/' && p[len + 1] != '\0' &&
	    parse_db(ra, p + len + 1, strlen(p + len + 1)) == -1)
		return -1;
	if (at != NULL) {
		len -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	return parse_host(ra, p, len);
}

int
redis_address_parse(
    struct redis_address *ra, const char *url, char *error, size_t error_size)
{
	int failed = -1;

	memset(ra, 0, sizeof(*ra));
	if (strncmp(url, "redis://", 8) == 0)
		failed = parse_tcp(ra, url + 8);
	else if (strncmp(url, "unix://", 7) == 0)
		failed = parse_unix(ra, url + 7);
	if (failed) {
		/* the URL may hold a password: it is not repeated here */
		snprintf(error, error_size,
		    "the Redis address is neither "
		    "redis://[user:password@]host:port/db nor "
		    "unix:///path?db=N");
		redis_address_free(ra);
		return -1;
	}
	return 0;
}

void
redis_address_free(struct redis_address *ra)
{
	free(ra->host);
	free(ra->unix_path);
	free(ra->user);
	free(ra->password);
	memset(ra, 0, sizeof(*ra));
}

bool
redis_address_is_refusal(const char *why)
{
	/* the last three: Redis before 6, and one that wants no password */
	static const char *const words[] = { "WRONGPASS", "NOAUTH",
		"ERR invalid password", "ERR AUTH", "ERR Client sent AUTH" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(why, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

void
redis_address_put_error(const struct redis_address *ra, const char *why,
    char *error, size_t error_size)
{
	const char *file = ra->password_file;
	const bool is_read_again =
	    file != NULL && redis_address_is_refusal(why);
	char port[16] = "";

	if (ra->unix_path == NULL)
		snprintf(port, sizeof(port), " port %u", ra->port);
	snprintf(error, error_size, "Redis at %s%s: %s%s%s%s",
	    ra->unix_path != NULL ? ra->unix_path : ra->host, port, why,
	    is_read_again ? " (the password is read again from " : "",
	    is_read_again ? file : "",
	    is_read_again ? " before each try)" : "");
}
