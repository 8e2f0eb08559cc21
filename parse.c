/* SPDX-License-Identifier: ISC */
/*
 * Small things that strangers wrote: numbers (decimal), percent escapes (RFC
 * 3986 2.1, and WHATWG's form encoding), UTF-8 (RFC 3629; repaired as the
 * WHATWG decoder does), glob patterns (Redis' stringmatchlen), channel names.
 * Bytes are handled as unsigned char throughout.  Pure.
 */
#include <string.h>

#include "parse.h"

int
parse_u64(const char *p, size_t len, uint64_t max, uint64_t *n)
{
	uint64_t sum = 0, digit, tens_max = max / 10, last_max = max % 10;
	size_t i;

	if (len == 0)
		return -1;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		digit = (uint64_t)(p[i] - '0');
		if (sum > tens_max || (sum == tens_max && digit > last_max))
			return -1;
		sum = sum * 10 + digit;
	}
	*n = sum;
	return 0;
}

/* 0 to 15, or -1 */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
parse_percent(const char *p, size_t len, int plus_is_blank, struct buf *out)
{
	size_t i;
	int high, low;
	char c;

	for (i = 0; i < len; i++) {
		c = p[i];
		if (c == '%') {
			if (len - i < 3)
				return -1;
			high = hex_digit(p[i + 1]);
			low = hex_digit(p[i + 2]);
			if (high == -1 || low == -1)
				return -1;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (buf_putc(out, c) == -1)
			return -1;
	}
	return 0;
}

/* How many of len bytes at p are ASCII?  Eight at a time: nearly every event
 * is nothing else. */
static size_t
ascii_len(const unsigned char *p, size_t len)
{
	uint64_t word;
	size_t i = 0;

	while (len - i >= sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
		i += sizeof(word);
	}
	while (i < len && p[i] < 0x80)
		i++;
	return i;
}

/*
 * Read the UTF-8 sequence that begins at p (len > 0), by the table of
 * "well-formed byte sequences" (Unicode 3.9, table 3-7).  Returns its code
 * point, or -1 if it is ill-formed; *used is its length, or that of the
 * maximal part that one U+FFFD stands for.
 */
static int32_t
utf8_decode(const unsigned char *p, size_t len, size_t *used)
{
	unsigned int low = 0x80, high = 0xbf; /* what the second byte may be */
	size_t i, want;
	int32_t code;

	*used = 1;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	want = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	code = p[0] & (0x7f >> want);
	if (p[0] == 0xe0)
		low = 0xa0; /* less would be overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* more would be a surrogate */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* more would be past U+10FFFF */
	for (i = 1; i < want; i++) {
		*used = i;
		if (i == len || p[i] < low || p[i] > high)
			return -1;
		code = code << 6 | (p[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	*used = want;
	return code;
}

/* How many of len bytes at p are well-formed, up to the first that is not? */
static size_t
utf8_valid_len(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t i = 0, used;

	if (len == 0)
		return 0; /* p may be NULL, which allows no sum */
	for (;;) {
		i += ascii_len(u + i, len - i);
		/* in a text of another script the next is rarely ASCII */
		do {
			if (i == len)
				return i;
			if (utf8_decode(u + i, len - i, &used) == -1)
				return i;
			i += used;
		} while (i < len && u[i] >= 0x80);
	}
}

bool
utf8_is_valid(const char *p, size_t len)
{
	return utf8_valid_len(p, len) == len;
}

int
utf8_put_repaired(struct buf *out, const char *p, size_t len)
{
	size_t n, used;

	for (;;) {
		n = utf8_valid_len(p, len);
		if (buf_put(out, p, n) == -1)
			return -1;
		p += n;
		len -= n;
		if (len == 0)
			return 0;
		(void)utf8_decode((const unsigned char *)p, len, &used);
		if (buf_put(out, "\xef\xbf\xbd", 3) == -1)
			return -1;
		p += used;
		len -= used;
	}
}

/*
 * Does the class whose '[' stands at pattern[*at] hold c?  Moves *at behind
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
 * behind it. */
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
	size_t star = 0, star_t = 0; /* behind the last '*', and its text */
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
		strip_blanks(&pattern, &len);
		if (glob_matches(pattern, len, text, text_len))
			return true;
	}
	return false;
}

static bool
is_control_or_white_space(int32_t c)
{
	return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

const char *
channel_name_error(const char *p, size_t len, const char *prefix)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t prefix_len = strlen(prefix), i, used;
	int32_t code;

	if (len == 0)
		return "is empty";
	if (len > CHANNEL_LEN_MAX)
		return "is longer than 128 bytes";
	for (i = 0; i < len; i += used) {
		code = utf8_decode(u + i, len - i, &used);
		if (code == -1)
			return "is not UTF-8";
		if (is_control_or_white_space(code))
			return "holds white space or a control character";
		if (code < 0x80 && strchr(",*?[]{}\\", code) != NULL)
			return "holds one of , * ? [ ] { } \\";
	}
	if (len >= 2 && memcmp(p, "__", 2) == 0)
		return "begins with \"__\"";
	if (prefix_len != 0 && len >= prefix_len &&
	    memcmp(p, prefix, prefix_len) == 0)
		return "begins with the server's own prefix";
	return NULL;
}

void
strip_blanks(const char **p, size_t *len)
{
	while (*len != 0 && (**p == ' ' || **p == '\t')) {
		(*p)++;
		(*len)--;
	}
	while (*len != 0 && ((*p)[*len - 1] == ' ' || (*p)[*len - 1] == '\t'))
		(*len)--;
}
