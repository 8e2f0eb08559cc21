/* SPDX-License-Identifier: ISC */
/*
 * A growing byte string with a hard ceiling.  Everything that is built from
 * bytes of strangers is built here, so that no peer can make a process grow
 * without limit.  Pure: no descriptor, clock, log or global.
 */
#ifndef BUF_H
#define BUF_H

#include <stddef.h>

struct buf {
	char *bytes;	  /* owned; not NUL-terminated; NULL while empty */
	size_t len;	  /* bytes in use */
	size_t cap;	  /* bytes allocated */
	size_t limit_len; /* len never passes this */
};

/* Make b an empty buffer that never holds more than limit_len bytes. */
void buf_init(struct buf *b, size_t limit_len);

/* Release the memory.  b may be used again as after buf_init. */
void buf_free(struct buf *b);

/* Forget the content, keep the memory. */
void buf_reset(struct buf *b);

/*
 * Append len bytes at p (buf_put), a C string (buf_puts), one byte (buf_putc),
 * or a printf format (buf_printf).
 * Returns 0, or -1 with b unchanged if it would pass its limit or memory ran
 * out.  p must not point into b.
 */
int buf_put(struct buf *b, const void *p, size_t len);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
