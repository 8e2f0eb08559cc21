/* SPDX-License-Identifier: ISC */
/* Patterns of channel names.  Pure. */
#ifndef GLOB_H
#define GLOB_H

#include <stdbool.h>
#include <stddef.h>

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

#endif
