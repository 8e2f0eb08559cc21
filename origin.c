/* SPDX-License-Identifier: ISC */
/* A list is the administrator's and short: it is read anew each time. */
#include "origin.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

#define SEPARATORS ", \t"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* The next origin of *list, which moves on; its length, 0 at the end. */
static int
next_origin(const char **list, const char **origin)
{
	size_t len;

	*origin = *list + strspn(*list, SEPARATORS);
	len = strcspn(*origin, SEPARATORS);
	*list = *origin + len;
	return (int)len;
}

static bool
is_same(const char *origin, int len, const char *wanted)
{
	return (size_t)len == strlen(wanted) &&
	       strncasecmp(origin, wanted, (size_t)len) == 0;
}

static size_t
host_len(const char *host)
{
	size_t len;

	if (host[0] != '[')
		return strspn(host, LETTERS DIGITS "-._");
	len = 1 + strspn(host + 1, DIGITS "abcdefABCDEF:.");
	return host[len] == ']' ? len + 1 : 0;
}

/* So much of what somebody wrote stands in a sentence. */
static int
shown(int len)
{
	return len < 80 ? len : 80;
}

/* It is no origin at all; of some mistakes it is certain what was meant. */
static int
refuse_form(const char *origin, int len, struct verdict *v)
{
	if (strchr("[{\"'", origin[0]) != NULL)
		return verdict_misconfigured(v,
		    "SSE_ORIGIN has brackets or quotes: write the bare "
		    "origins, with blanks between");
	if (memchr(origin, '*', (size_t)len) != NULL)
		return verdict_misconfigured(v,
		    "SSE_ORIGIN has '%.*s', but no patterns: write each "
		    "origin, or * alone for all, without cookies",
		    shown(len), origin);
	if (memchr(origin, '/', (size_t)len) == NULL)
		return verdict_misconfigured(v,
		    "SSE_ORIGIN has '%.*s', which has no scheme: write "
		    "https://%.*s",
		    shown(len), origin, shown(len), origin);
	return verdict_misconfigured(v,
	    "SSE_ORIGIN has '%.*s', which no browser sends: write "
	    "https://HOST or https://HOST:PORT, the host in ASCII (xn--...)",
	    shown(len), origin);
}

/* The port that browsers leave out; 0 where there is none. */
static uint64_t
own_port(const char *origin, int scheme_len)
{
	if (is_same(origin, scheme_len, "https"))
		return 443;
	return is_same(origin, scheme_len, "http") ? 80 : 0;
}

/*
 * What follows scheme and host, which are host_end bytes of it: nothing, or a
 * port.  Whatever else begins as a port or path does, can be left out.
 */
static int
check_rest(const char *origin, int len, int host_end, struct verdict *v)
{
	const char *rest = origin + host_end;
	int scheme_len = (int)strcspn(origin, ":");
	size_t digits = 0;
	uint64_t port = 0;
	char port_text[8] = "";
	bool is_port = *rest == ':';

	if (is_port) {
		digits = strspn(++rest, DIGITS);
		if (digits > 0 && parse_u64(rest, digits, 65535, &port) == -1)
			return refuse_form(origin, len, v);
		rest += digits;
	}
	if (port != 0 && port != own_port(origin, scheme_len))
		snprintf(port_text, sizeof(port_text), ":%d", (int)port);
	if (rest == origin + len &&
	    strlen(port_text) == (is_port ? digits + 1 : 0))
		return 0;
	if (rest < origin + len && strchr("/?#", *rest) == NULL)
		return refuse_form(origin, len, v);
	return verdict_misconfigured(v,
	    "SSE_ORIGIN has '%.*s', which no browser sends: write %.*s%s",
	    shown(len), origin, shown(host_end), origin, port_text);
}

static int
check_origin(const char *origin, int len, struct verdict *v)
{
	int scheme_len = (int)strspn(origin, LETTERS DIGITS "+-.");
	const char *host = origin + scheme_len + 3;
	size_t n;

	if (is_same(origin, len, "*") || is_same(origin, len, "null"))
		return 0;
	if (scheme_len == 0 || strncmp(origin + scheme_len, "://", 3) != 0)
		return refuse_form(origin, len, v);
	n = host_len(host);
	/* pages out of files have no host (web views send that) */
	if (n == 0 && !is_same(origin, len, "file://"))
		return refuse_form(origin, len, v);
	return check_rest(origin, len, scheme_len + 3 + (int)n, v);
}

int
origin_check_list(const char *list, struct verdict *v)
{
	const char *origin;
	int len, count = 0;

	for (; (len = next_origin(&list, &origin)) > 0; count++)
		if (check_origin(origin, len, v) == -1)
			return -1;
	if (count == 0)
		return verdict_misconfigured(v,
		    "SSE_ORIGIN names no origin: write https://HOST, or "
		    "leave it out");
	return 0;
}

bool
origin_is_listed(const char *list, const char *origin)
{
	const char *listed;
	int len;

	while ((len = next_origin(&list, &listed)) > 0)
		if (is_same(listed, len, origin))
			return true;
	return false;
}
