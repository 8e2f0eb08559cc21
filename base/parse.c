/* SPDX-License-Identifier: ISC */
/*
 * Small things that strangers wrote: numbers (decimal), percent escapes (RFC
 * 3986 2.1, and WHATWG's form encoding).  Pure.
 */
#include "base/parse.h"

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

void
parse_strip_blanks(const char **p, size_t *len)
{
	while (*len != 0 && (**p == ' ' || **p == '\t')) {
		(*p)++;
		(*len)--;
	}
	while (*len != 0 && ((*p)[*len - 1] == ' ' || (*p)[*len - 1] == '\t'))
		(*len)--;
}
