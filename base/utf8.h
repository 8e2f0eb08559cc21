/* SPDX-License-Identifier: ISC */
/* Bytes as UTF-8, or not.  Pure. */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Read the UTF-8 sequence that begins at p (len > 0), by the table of
 * "well-formed byte sequences" (Unicode 3.9, table 3-7).  Returns its code
 * point, or -1 if it is ill-formed; *used is its length, or that of the
 * maximal part that one U+FFFD stands for.
 */
int32_t utf8_decode(const unsigned char *p, size_t len, size_t *used);

/* Are these len bytes well-formed UTF-8 (RFC 3629: no surrogate, no overlong
 * form, nothing past U+10FFFF)?  NUL is well-formed. */
bool utf8_is_valid(const char *p, size_t len);

/*
 * Append len bytes to out, each maximal ill-formed part replaced by U+FFFD,
 * as the WHATWG decoder does.  Returns 0, or -1 if out is full.
 */
int utf8_put_repaired(struct buf *out, const char *p, size_t len);

#endif
