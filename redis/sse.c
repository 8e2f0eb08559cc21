/* SPDX-License-Identifier: ISC */
/*
 * Events as text/event-stream bytes (HTML 9.2.5, 9.2.6).  Framing happens once
 * per event, by whoever publishes.
 */
#include "redis/sse.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

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
