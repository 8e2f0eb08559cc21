/* SPDX-License-Identifier: ISC */
/* Bytes as they come, cut into lines.  Pure. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lines {
	uint64_t n; /* lines given out, also those that were too long */
	/* the rest is lines.c's */
	struct buf bytes;
	size_t at; /* in bytes: given out up to here */
	size_t line_len_max;
	bool is_at_end;
	bool is_skipping; /* within a line that is too long */
};

/* Lines of at most line_len_max bytes, from pieces of at most piece_len_max. */
void lines_init(struct lines *l, size_t line_len_max, size_t piece_len_max);
void lines_free(struct lines *l);

/* The next piece; only after LINE_NONE.  Returns 0, or -1 without memory. */
int lines_put(struct lines *l, const char *piece, size_t len);

/* There is no more: what is left is a line, too, unless it is empty. */
void lines_end(struct lines *l);

enum line_kind {
	LINE_NONE, /* no whole one; after lines_end: no more */
	LINE_WHOLE,
	LINE_TOO_LONG
};

/* The next line, without the LF or CRLF at its end; it lives until the next
 * lines_put. */
enum line_kind lines_next(struct lines *l, const char **line, size_t *len);

#endif
