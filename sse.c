/* SPDX-License-Identifier: ISC */
/*
 * Events and records as text/event-stream bytes (HTML 9.2.5, 9.2.6; the record
 * is section "Redis" of ARCHITECTURE.md).  Framing happens once per event, by
 * whoever publishes; a responder only reads the header line and passes the
 * frame on.  Pure.
 */
#include <stdbool.h>
#include <string.h>

#include "parse.h"
#include "sse.h"

/* Ids are exact in Lua and JavaScript up to here: 2^53. */
#define ID_MAX (UINT64_C(1) << 53)

static bool
has_name(const struct event *ev)
{
	return ev->name_len != 0 && (ev->name_len != strlen("message") ||
					memcmp(ev->name, "message", 7) != 0);
}

/* The first c at p or after, or end.  found is the answer of the call before:
 * a search goes over each byte once, however many lines there are. */
static const char *
find_next(const char *found, const char *p, const char *end, char c)
{
	if (found != NULL && found >= p)
		return found;
	found = p == end ? NULL : memchr(p, c, (size_t)(end - p));
	return found == NULL ? end : found;
}

static int
put_data(struct buf *b, const char *p, size_t len)
{
	const char *end, *cr = NULL, *lf = NULL, *line_end;

	if (len == 0)
		return buf_puts(b, "data: \n"); /* p may be NULL */
	end = p + len;
	for (;;) {
		cr = find_next(cr, p, end, '\r');
		lf = find_next(lf, p, end, '\n');
		line_end = cr < lf ? cr : lf;
		/* an ill-formed sequence never reaches over a line's end */
		if (buf_puts(b, "data: ") == -1 ||
		    utf8_put_repaired(b, p, (size_t)(line_end - p)) == -1 ||
		    buf_putc(b, '\n') == -1)
			return -1;
		if (line_end == end)
			return 0;
		p = line_end + 1;
		if (line_end == cr && p == lf && p < end)
			p++; /* CRLF is one; end is the lf of a last CR */
	}
}

int
sse_put_event(struct buf *b, const struct event *ev)
{
	size_t start_len = b->len;

	if (event_name_error(ev->name, ev->name_len) != NULL)
		return -1;
	if (has_name(ev) && (buf_puts(b, "event: ") == -1 ||
				buf_put(b, ev->name, ev->name_len) == -1 ||
				buf_putc(b, '\n') == -1))
		goto full;
	if (put_data(b, ev->data, ev->data_len) == -1 ||
	    buf_putc(b, '\n') == -1)
		goto full;
	return 0;
full:
	b->len = start_len;
	return -1;
}

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
	if (n == 0 || len - at < 2 || p[at + 1] != '\n')
		return 0;
	if (p[at] == ORIGIN_PUBLISHED)
		rec->origin = ORIGIN_PUBLISHED;
	else if (p[at] == ORIGIN_RECORDED)
		rec->origin = ORIGIN_RECORDED;
	else
		return 0;
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
	} else if (!skip(&p, end, "down ")) {
		return NOTICE_OTHER;
	}
	n->token = p;
	n->token_len = (size_t)(end - p);
	return n->token_len == 0 || memchr(p, ' ', n->token_len) != NULL
		   ? NOTICE_OTHER
		   : kind;
}
