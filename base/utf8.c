/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629; repaired as the WHATWG decoder does).  Bytes are handled as
 * unsigned char throughout. */
#include "base/utf8.h"

#include <string.h>

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

int32_t
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
