/* SPDX-License-Identifier: ISC */
/*
 * Records, and what recorders announce, as bytes in Redis (section "Redis" of
 * ARCHITECTURE.md).  A responder reads only the header line and passes the
 * frame on.
 */
#include "redis/record.h"

#include <stdbool.h>
#include <string.h>

#include "base/parse.h"

/* Ids are exact in Lua and JavaScript up to here: 2^53. */
#define ID_MAX (UINT64_C(1) << 53)
#define PLACE_MAX (1 << 20) /* more than a recorder's queue can hold */
#define SPREAD_MS_MAX 10000 /* as publish.lua has it */

/* Read an id of digits, without leading zeros, and the byte after it.
 * Returns the length of both, or 0 if it is none. */
static size_t
read_id(const char *p, size_t len, char after, uint64_t *id)
{
	size_t n = 0;

	while (n < len && n < 17 && p[n] >= '0' && p[n] <= '9')
		n++;
	if (n == len || p[n] != after || (n > 1 && p[0] == '0') ||
	    parse_u64(p, n, ID_MAX, id) == -1)
		return 0;
	return n + 1;
}

/* Returns the length of the header line, or 0 if there is none.  The id may be
 * 0: recorders begin their announcements so. */
static size_t
read_header(struct record *rec, const char *p, size_t len)
{
	size_t n, at;

	at = n = read_id(p, len, ' ', &rec->id);
	if (n == 0)
		return 0;
	n = read_id(p + at, len - at, ' ', &rec->prev);
	at += n;
	if (n == 0 || len - at < 2 || p[at + 1] != '\n' ||
	    (p[at] != ORIGIN_PUBLISHED && p[at] != ORIGIN_RECORDED))
		return 0;
	rec->origin = (enum record_origin)p[at];
	return at + 2;
}

int
record_parse(struct record *rec, const char *p, size_t len)
{
	struct record found;
	size_t header_len, id_len, id_line_len;

	header_len = read_header(&found, p, len);
	if (header_len == 0 || found.id == 0)
		return -1;
	found.frame = p + header_len;
	found.frame_len = len - header_len;

	/* the same id again, compared as bytes: "id: ID\n" */
	id_len = (size_t)((const char *)memchr(p, ' ', header_len) - p);
	id_line_len = strlen("id: ") + id_len + 1;
	if (found.frame_len <= id_line_len ||
	    memcmp(found.frame, "id: ", 4) != 0 ||
	    memcmp(found.frame + 4, p, id_len) != 0 ||
	    found.frame[id_line_len - 1] != '\n')
		return -1;
	found.body = found.frame + id_line_len;
	found.body_len = found.frame_len - id_line_len;
	if (memcmp(found.frame + found.frame_len - 2, "\n\n", 2) != 0)
		return -1;
	*rec = found;
	return 0;
}

bool
record_is_summons(const struct record *rec, int64_t *spread_ms)
{
	uint64_t ms;

	if (rec->body_len < 5 || memcmp(rec->body, ": ", 2) != 0 ||
	    parse_u64(rec->body + 2, rec->body_len - 4, SPREAD_MS_MAX, &ms) ==
		-1)
		return false;
	*spread_ms = (int64_t)ms;
	return true;
}

int
relay_parse(struct relay *r, const char *p, size_t len)
{
	struct record header;
	size_t header_len = read_header(&header, p, len);

	if (header_len == 0 || header.prev == 0 || header.prev > PLACE_MAX ||
	    header.origin != ORIGIN_RECORDED || len - header_len < 4 ||
	    memcmp(p + header_len, "id: ", 4) == 0 ||
	    memcmp(p + len - 2, "\n\n", 2) != 0)
		return -1;
	*r = (struct relay){ .base = header.id,
		.place = header.prev,
		.frame = p + header_len,
		.frame_len = len - header_len };
	return 0;
}

int
record_has_header(const char *p, size_t len)
{
	struct record rec;

	return read_header(&rec, p, len) != 0;
}

/* If the bytes at *p begin with these words, *p moves past them. */
static bool
skip(const char **p, const char *end, const char *words)
{
	size_t len = strlen(words);

	if ((size_t)(end - *p) < len || memcmp(*p, words, len) != 0)
		return false;
	*p += len;
	return true;
}

enum notice_kind
notice_parse(struct notice *n, const char *p, size_t len)
{
	const char *end = p + len, *blank;
	enum notice_kind kind = NOTICE_DOWN;

	if (!skip(&p, end, "0 0 r\n"))
		return NOTICE_OTHER;
	if (skip(&p, end, "up ")) {
		kind = NOTICE_UP;
		blank = memchr(p, ' ', (size_t)(end - p));
		if (blank == NULL || parse_u64(p, (size_t)(blank - p),
					 UINT64_MAX, &n->attempt) == -1)
			return NOTICE_OTHER;
		p = blank + 1;
	} else if (skip(&p, end, "forget ")) {
		kind = NOTICE_FORGET;
	} else if (!skip(&p, end, "down ")) {
		return NOTICE_OTHER;
	}
	n->token = p;
	n->token_len = (size_t)(end - p);
	return n->token_len == 0 || memchr(p, ' ', n->token_len) != NULL
		   ? NOTICE_OTHER
		   : kind;
}
