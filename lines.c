/* SPDX-License-Identifier: ISC */
/* Of a line that is too long nothing is kept but that it is. */
#include "lines.h"

#include <string.h>

void
lines_init(struct lines *l, size_t line_len_max, size_t piece_len_max)
{
	memset(l, 0, sizeof(*l));
	l->line_len_max = line_len_max;
	/* one more: a carriage return at a line's end is not its */
	buf_init(&l->bytes, line_len_max + 1 + piece_len_max);
}

void
lines_free(struct lines *l)
{
	buf_free(&l->bytes);
}

int
lines_put(struct lines *l, const char *piece, size_t len)
{
	if (l->at > 0) {
		l->bytes.len -= l->at;
		memmove(l->bytes.bytes, l->bytes.bytes + l->at, l->bytes.len);
		l->at = 0;
	}
	return buf_put(&l->bytes, piece, len);
}

void
lines_end(struct lines *l)
{
	l->is_at_end = true;
}

enum line_kind
lines_next(struct lines *l, const char **line, size_t *len)
{
	const size_t left = l->bytes.len - l->at;
	const char *start = left > 0 ? l->bytes.bytes + l->at : "";
	const char *lf = memchr(start, '\n', left);
	bool is_too_long;

	if (lf == NULL && !l->is_at_end) {
		if (left > l->line_len_max + 1) {
			l->is_skipping = true;
			l->at = l->bytes.len;
		}
		return LINE_NONE;
	}
	if (lf == NULL && left == 0 && !l->is_skipping)
		return LINE_NONE;
	*line = start;
	*len = lf != NULL ? (size_t)(lf - start) : left;
	l->at += *len + (lf != NULL);
	if (*len > 0 && start[*len - 1] == '\r')
		--*len;
	is_too_long = l->is_skipping || *len > l->line_len_max;
	l->is_skipping = false;
	l->n++;
	return is_too_long ? LINE_TOO_LONG : LINE_WHOLE;
}
