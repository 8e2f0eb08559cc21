/* SPDX-License-Identifier: ISC */
/* Reading small things that strangers wrote.  Pure: pointer and length in, a
 * value out. */
#ifndef PARSE_H
#define PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

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

/* Strip ASCII blanks (space, tab) from both ends of *p, *len. */
void parse_strip_blanks(const char **p, size_t *len);

#endif
