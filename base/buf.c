/* SPDX-License-Identifier: ISC */
/*
 * The growing byte string of buf.h.  Its capacity doubles, so that appending
 * costs a constant time per byte, and stops at the limit; every sum is checked
 * before it is made.  Pure.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN_BYTES 256

void
buf_init(struct buf *b, size_t limit_len)
{
	*b = (struct buf){ .limit_len = limit_len };
}

void
buf_free(struct buf *b)
{
	free(b->bytes);
	buf_init(b, b->limit_len);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
}

/* Room for len more bytes, the limit not asked.  0 or -1. */
static int
reserve(struct buf *b, size_t len)
{
	size_t cap, need;
	char *bytes;

	if (len <= b->cap - b->len)
		return 0;
	if (len > SIZE_MAX / 2 - b->len)
		return -1;
	need = b->len + len;
	cap = b->cap < CAP_MIN_BYTES ? CAP_MIN_BYTES : b->cap * 2;
	/* the last step goes to the limit and no further, unless need does */
	if (cap > b->limit_len)
		cap = b->limit_len;
	if (cap < need)
		cap = need;
	bytes = realloc(b->bytes, cap);
	if (bytes == NULL)
		return -1;
	b->bytes = bytes;
	b->cap = cap;
	return 0;
}

int
buf_put(struct buf *b, const void *p, size_t len)
{
	if (len > b->limit_len - b->len)
		return -1;
	if (len == 0)
		return 0; /* p may be NULL, which memcpy does not allow */
	if (reserve(b, len) == -1)
		return -1;
	memcpy(b->bytes + b->len, p, len);
	b->len += len;
	return 0;
}

int
buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int
buf_putc(struct buf *b, char c)
{
	return buf_put(b, &c, 1);
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	size_t len;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	len = (size_t)n;
	/* vsnprintf's NUL needs memory, but is no content and has no limit */
	if (len > b->limit_len - b->len || reserve(b, len + 1) == -1)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(b->bytes + b->len, len + 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	b->len += len;
	return 0;
}
