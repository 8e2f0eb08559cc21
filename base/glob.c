/* SPDX-License-Identifier: ISC */
/* Glob patterns, as Redis' stringmatchlen has them. */
#include "base/glob.h"

#include <string.h>

#include "base/parse.h"

/*
 * Does the class whose '[' stands at pattern[*at] hold c?  Moves *at after
 * the class.  As in Redis, a '-' between two bytes is a range in either
 * direction even if the second is ']', and "[]" holds nothing.
 */
static bool
class_holds(const char *pattern, size_t len, size_t *at, unsigned char c)
{
	size_t i = *at + 1;
	bool negated = false, found = false;
	unsigned char from, to;

	if (i < len && pattern[i] == '^') {
		negated = true;
		i++;
	}
	while (i < len && pattern[i] != ']') {
		from = to = (unsigned char)pattern[i];
		if (from == '\\' && len - i >= 2) {
			from = to = (unsigned char)pattern[i + 1];
			i += 2;
		} else if (len - i >= 3 && pattern[i + 1] == '-') {
			to = (unsigned char)pattern[i + 2];
			i += 3;
		} else {
			i++;
		}
		if ((c >= from && c <= to) || (c >= to && c <= from))
			found = true;
	}
	*at = i < len ? i + 1 : len;
	return found != negated;
}

/* Does the element at pattern[*at], which is no '*', match c?  Moves *at
 * after it. */
static bool
element_matches(const char *pattern, size_t len, size_t *at, char c)
{
	size_t i = *at;

	if (pattern[i] == '[')
		return class_holds(pattern, len, at, (unsigned char)c);
	if (pattern[i] == '?') {
		*at = i + 1;
		return true;
	}
	if (pattern[i] == '\\' && len - i >= 2)
		i++;
	*at = i + 1;
	return pattern[i] == c;
}

bool
glob_matches(
    const char *pattern, size_t pattern_len, const char *text, size_t text_len)
{
	size_t p = 0, t = 0;
	size_t star = 0, star_t = 0; /* after the last '*', and its text */
	bool starred = false;

	/*
	 * Only the last '*' ever needs another try: what stands before it
	 * matched as early as it could.  So the worst is the product of the
	 * two lengths, not a power of them.
	 */
	while (t < text_len) {
		if (p < pattern_len && pattern[p] == '*') {
			starred = true;
			star = ++p;
			star_t = t;
		} else if (p < pattern_len &&
			   element_matches(pattern, pattern_len, &p, text[t])) {
			t++;
		} else if (starred) {
			p = star;
			t = ++star_t;
		} else {
			return false;
		}
	}
	while (p < pattern_len && pattern[p] == '*')
		p++;
	return p == pattern_len;
}

bool
glob_any_matches(const char *patterns, const char *text, size_t text_len)
{
	const char *pattern;
	size_t len;

	for (; *patterns != '\0'; patterns += *patterns == ',') {
		pattern = patterns;
		len = strcspn(patterns, ",");
		patterns += len;
		parse_strip_blanks(&pattern, &len);
		if (glob_matches(pattern, len, text, text_len))
			return true;
	}
	return false;
}
