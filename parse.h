/* SPDX-License-Identifier: ISC */
/*
 * Reading small things that strangers wrote: numbers, percent escapes, UTF-8,
 * glob patterns, channel names.  Pure: pointer and length in, a value out.
 */
#ifndef PARSE_H
#define PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define CHANNEL_LEN_MAX 128 /* bytes of a channel's name */

/*
 * Read len bytes as a decimal number of digits only, no sign, no blank, at
 * least one digit, at most max.  Leading zeros are accepted.
 * Returns 0 and sets *n, or -1 with *n unchanged.
 */
int parse_u64(const char *p, size_t len, uint64_t max, uint64_t *n);

/*
 * Append the percent-decoded form of len bytes to out; with plus_is_blank
 * nonzero, '+' means a blank (application/x-www-form-urlencoded).
 * Returns 0, or -1 if an escape is broken ("%4", "%zz") or out is full; out
 * may then hold a part.
 */
int parse_percent(
    const char *p, size_t len, int plus_is_blank, struct buf *out);

/* Are these len bytes well-formed UTF-8 (RFC 3629: no surrogate, no overlong
 * form, nothing past U+10FFFF)?  NUL is well-formed. */
bool utf8_is_valid(const char *p, size_t len);

/*
 * Append len bytes to out, each maximal ill-formed part replaced by U+FFFD,
 * as the WHATWG decoder does.  Returns 0, or -1 if out is full.
 */
int utf8_put_repaired(struct buf *out, const char *p, size_t len);

/*
 * Does text match pattern, by the rules of Redis' PSUBSCRIBE: '*' any bytes,
 * '?' one byte, [abc] [^abc] [a-z] classes of bytes, '\' takes the next byte
 * as itself?  A class without ']' runs to the pattern's end.  Two differences
 * that no channel's name can show but on odd patterns: '*' matches the empty
 * text, and bytes in ranges are unsigned on every machine.  At worst the time
 * is the product of both lengths.
 */
bool glob_matches(
    const char *pattern, size_t pattern_len, const char *text, size_t text_len);

/* Does one of the comma-separated patterns, blanks around them stripped? */
bool glob_any_matches(const char *patterns, const char *text, size_t text_len);

/*
 * Is this a channel's name?  1 to CHANNEL_LEN_MAX bytes of well-formed UTF-8
 * without control characters (U+0000-001F, 007F-009F), white space (the
 * Unicode White_Space property: also U+00A0, 1680, 2000-200A, 2028, 2029,
 * 202F, 205F, 3000) or any of  , * ? [ ] { } \   and not beginning with "__"
 * or with prefix (a C string, the site's Redis prefix; may be "").
 * Returns NULL if it is, else a constant sentence part saying why not, such as
 * "is longer than 128 bytes".
 */
const char *channel_name_error(const char *p, size_t len, const char *prefix);

/* strip ASCII blanks (space, tab) from both ends of *p, *len */
void strip_blanks(const char **p, size_t *len);

#endif
