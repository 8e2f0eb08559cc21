/* SPDX-License-Identifier: ISC */
/*
 * parse.h under a fuzzer.  Wherever there is a second way to the answer, both
 * are asked.  Input: a byte that picks the function, and what it is given.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "redis/channel.h"

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

/* The decoder as WHATWG's Encoding Standard 8.1.1 words it, one byte a step.
 * out has room for three bytes for each of len. */
static size_t
decode_slowly(const unsigned char *p, size_t len, char *out)
{
	unsigned int lower = 0x80, upper = 0xbf, needed = 0, seen = 0;
	size_t at = 0, out_len = 0, start = 0;

	while (at < len || needed != 0) {
		unsigned int byte = at < len ? p[at] : 0x100;

		if (needed == 0) {
			start = at++;
			if (byte <= 0x7f) {
				out[out_len++] = (char)byte;
				continue;
			}
			if (byte >= 0xc2 && byte <= 0xdf) {
				needed = 1;
			} else if (byte >= 0xe0 && byte <= 0xef) {
				lower = byte == 0xe0 ? 0xa0 : lower;
				upper = byte == 0xed ? 0x9f : upper;
				needed = 2;
			} else if (byte >= 0xf0 && byte <= 0xf4) {
				lower = byte == 0xf0 ? 0x90 : lower;
				upper = byte == 0xf4 ? 0x8f : upper;
				needed = 3;
			} else {
				memcpy(out + out_len, "\xef\xbf\xbd", 3);
				out_len += 3;
			}
			continue;
		}
		if (byte < lower || byte > upper) {
			/* the byte is read again, as the first of its own */
			lower = 0x80;
			upper = 0xbf;
			needed = seen = 0;
			memcpy(out + out_len, "\xef\xbf\xbd", 3);
			out_len += 3;
			continue;
		}
		lower = 0x80;
		upper = 0xbf;
		at++;
		if (++seen == needed) {
			memcpy(out + out_len, p + start, at - start);
			out_len += at - start;
			needed = seen = 0;
		}
	}
	return out_len;
}

static void
fuzz_utf8(const char *p, size_t len)
{
	char *want = malloc(3 * len + 1);
	size_t want_len;
	struct buf b;

	assert(want != NULL);
	want_len = decode_slowly((const unsigned char *)p, len, want);
	buf_init(&b, 3 * len);
	assert(utf8_put_repaired(&b, p, len) == 0);
	assert(b.len == want_len);
	assert(want_len == 0 || memcmp(b.bytes, want, want_len) == 0);
	assert(utf8_is_valid(p, len) ==
	       (len == want_len && (len == 0 || memcmp(p, want, len) == 0)));
	assert(utf8_is_valid(want, want_len));
	buf_free(&b);
	free(want);
}

static void
fuzz_percent(const char *p, size_t len)
{
	struct buf escaped, b;
	size_t i;

	/* anything: at most as long as it was */
	buf_init(&b, len);
	if (parse_percent(p, len, 1, &b) == 0 && memchr(p, '%', len) == NULL)
		assert(b.len == len);
	buf_free(&b);

	/* whatever is escaped comes back */
	buf_init(&escaped, 3 * len);
	buf_init(&b, len);
	for (i = 0; i < len; i++)
		assert(buf_printf(&escaped, i % 2 == 0 ? "%%%02x" : "%%%02X",
			   (unsigned int)(unsigned char)p[i]) == 0);
	assert(parse_percent(escaped.bytes, escaped.len, 1, &b) == 0);
	assert(b.len == len && (len == 0 || memcmp(b.bytes, p, len) == 0));
	buf_free(&escaped);
	buf_free(&b);
}

static void
fuzz_u64(const char *p, size_t len)
{
	char text[64], *end;
	uint64_t n = 0, max = UINT64_MAX;
	unsigned long long want;
	bool is_number;

	if (len >= 8) {
		memcpy(&max, p, 8);
		p += 8;
		len -= 8;
	}
	if (len >= sizeof(text))
		return;
	memcpy(text, p, len);
	text[len] = '\0';
	errno = 0;
	want = strtoull(text, &end, 10);
	is_number = len != 0 && text[0] >= '0' && text[0] <= '9' &&
		    end == text + len && errno == 0 && want <= max;
	assert((parse_u64(p, len, max, &n) == 0) == is_number);
	assert(n == (is_number ? want : 0));
}

static void
fuzz_glob(const char *p, size_t len)
{
	struct buf quoted;
	size_t pattern_len, i;
	const char *text;

	if (len == 0)
		return;
	/* anything: the first byte says where the pattern ends */
	pattern_len = (unsigned char)*p % len;
	p++;
	len--;
	text = p + pattern_len;
	(void)glob_matches(p, pattern_len, text, len - pattern_len);

	/* a text matches itself with each byte escaped, also after and before
	 * stars, and as a row of classes of one */
	buf_init(&quoted, 4 * len + 2);
	for (i = 0; i < len; i++) {
		(void)buf_putc(&quoted, '\\');
		(void)buf_putc(&quoted, p[i]);
	}
	assert(glob_matches(quoted.bytes, quoted.len, p, len));
	assert(buf_putc(&quoted, '*') == 0);
	assert(glob_matches(quoted.bytes, quoted.len, p, len));
	buf_reset(&quoted);
	(void)buf_putc(&quoted, '*');
	for (i = len / 2; i < len; i++) {
		(void)buf_puts(&quoted, "[\\");
		(void)buf_putc(&quoted, p[i]);
		(void)buf_putc(&quoted, ']');
	}
	assert(glob_matches(quoted.bytes, quoted.len, p, len));
	buf_free(&quoted);
}

static void
fuzz_channel(const char *p, size_t len)
{
	const char *stripped = p;
	size_t stripped_len = len, i;

	parse_strip_blanks(&stripped, &stripped_len);
	assert(stripped >= p && stripped + stripped_len <= p + len);
	if (channel_name_error(p, len, "sse:") != NULL)
		return;
	assert(stripped_len == len);
	assert(len >= 1 && len <= CHANNEL_LEN_MAX);
	assert(utf8_is_valid(p, len));
	for (i = 0; i < len; i++) {
		assert((unsigned char)p[i] > 0x20 && p[i] != 0x7f);
		assert(memchr(",*?[]{}\\", p[i], 8) == NULL);
	}
	assert(len < 2 || memcmp(p, "__", 2) != 0);
	assert(len < 4 || memcmp(p, "sse:", 4) != 0);
	/* as a pattern it stands for itself alone */
	assert(glob_matches(p, len, p, len));
	assert(!glob_matches(p, len, p, len - 1));
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	static void (*const functions[])(const char *p, size_t len) = {
		fuzz_utf8, fuzz_percent, fuzz_u64, fuzz_glob, fuzz_channel
	};

	if (size == 0)
		return 0;
	functions[input[0] % 5]((const char *)input + 1, size - 1);
	return 0;
}
