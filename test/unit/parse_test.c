/* SPDX-License-Identifier: ISC */
/*
 * parse.h, clause by clause.  Inputs are copied into memory of exactly their
 * length, so that the sanitizers see a look beyond the end.
 */
#include "base/glob.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "redis/channel.h"
#include "test/unit/unit.h"

static void
check_bytes(const char *name, const struct buf *got, struct str want)
{
	if (got->len != want.len ||
	    (want.len != 0 && memcmp(got->bytes, want.p, want.len) != 0))
		fail_msg("%s: got %zu bytes <%.*s>, want %zu bytes <%.*s>",
		    name, got->len, (int)got->len,
		    got->bytes == NULL ? "" : got->bytes, want.len,
		    (int)want.len, want.p);
}

static void
numbers(void **state)
{
	/* digits only, up to max, and n untouched by anything else */
	static const struct {
		struct str text;
		uint64_t max;
		int want;
		uint64_t n;
	} table[] = {
		{ S("0"), 9, 0, 0 }, { S("7"), 9, 0, 7 }, { S("9"), 9, 0, 9 },
		{ S("10"), 9, -1, 0 }, { S("007"), 9, 0, 7 },
		{ S("00000000000000000000000000009"), 9, 0, 9 },
		{ S("0"), 0, 0, 0 }, { S("1"), 0, -1, 0 },
		{ S("25"), 25, 0, 25 }, { S("26"), 25, -1, 0 },
		{ S("30"), 25, -1, 0 }, { S("100"), 25, -1, 0 },
		{ S("19"), 15, -1, 0 }, { S("15"), 15, 0, 15 },
		{ S("16"), 15, -1, 0 },
		{ S("9007199254740992"), UINT64_C(1) << 53, 0,
		    UINT64_C(1) << 53 },
		{ S("9007199254740993"), UINT64_C(1) << 53, -1, 0 },
		{ S("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX },
		{ S("18446744073709551616"), UINT64_MAX, -1, 0 },
		{ S("18446744073709551625"), UINT64_MAX, -1, 0 },
		{ S("99999999999999999999999"), UINT64_MAX, -1, 0 },
		{ S(""), 9, -1, 0 }, { S("+1"), 9, -1, 0 },
		{ S("-1"), 9, -1, 0 }, { S(" 1"), 9, -1, 0 },
		{ S("1 "), 9, -1, 0 }, { S("1\0"), 9, -1, 0 },
		{ S("1\n"), 9, -1, 0 }, { S("1.0"), 9, -1, 0 },
		{ S("1e1"), 99, -1, 0 }, { S("0x1"), 9, -1, 0 },
		{ S("/"), 9, -1, 0 }, { S(":"), 99, -1, 0 },
		{ S("\xd9\xa1"), 9, -1, 0 }, /* an Arabic digit */
	};
	uint64_t n;
	size_t i;
	char *copy;
	int got;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].text);
		n = 12345;
		got = parse_u64(copy, table[i].text.len, table[i].max, &n);
		if (got != table[i].want ||
		    n != (got == 0 ? table[i].n : 12345))
			fail_msg("<%s> max %ju: %d, %ju", table[i].text.p,
			    (uintmax_t)table[i].max, got, (uintmax_t)n);
		free(copy);
	}
}

static void
percent(void **state)
{
	/* escapes are decoded once, in either case, to any byte; a broken one
	 * is an error; '+' is a blank only in a form */
	static const struct {
		struct str text;
		int plus_is_blank;
		int want;
		struct str out;
	} table[] = {
		{ S(""), 0, 0, S("") },
		{ S("all,foo"), 0, 0, S("all,foo") },
		{ S("%41%62%2C"), 0, 0, S("Ab,") },
		{ S("%2c%aF%Fa"), 0, 0, S(",\xaf\xfa") },
		{ S("%00"), 0, 0, S("\0") },
		{ S("a%0d%0Ab"), 0, 0, S("a\r\nb") },
		{ S("%2541"), 0, 0, S("%41") },
		{ S("%25"), 0, 0, S("%") },
		{ S("%09%9F%f9%0f"), 0, 0, S("\t\x9f\xf9\x0f") },
		{ S("\xc3\xa9\xff"), 0, 0, S("\xc3\xa9\xff") },
		{ S("a+b"), 0, 0, S("a+b") },
		{ S("a+b"), 1, 0, S("a b") },
		{ S("a%2Bb"), 1, 0, S("a+b") },
		{ S("a%20b"), 1, 0, S("a b") },
		{ S("%"), 0, -1, S("") },
		{ S("%4"), 0, -1, S("") },
		{ S("ab%"), 0, -1, S("ab") },
		{ S("ab%4"), 0, -1, S("ab") },
		{ S("%zz"), 0, -1, S("") },
		{ S("%4g"), 0, -1, S("") },
		{ S("%g4"), 0, -1, S("") },
		{ S("%%41"), 0, -1, S("") },
		{ S("% 4"), 0, -1, S("") },
		{ S("%+4"), 1, -1, S("") },
		{ S("%-1"), 0, -1, S("") },
		{ S("%0x"), 0, -1, S("") },
		{ S("%4\0"), 0, -1, S("") },
		{ S("%u0041"), 0, -1, S("") },
	};
	struct buf out;
	size_t i;
	char *copy;
	int got;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].text);
		buf_init(&out, 100);
		got = parse_percent(
		    copy, table[i].text.len, table[i].plus_is_blank, &out);
		if (got != table[i].want)
			fail_msg("<%s>: %d", table[i].text.p, got);
		check_bytes(table[i].text.p, &out, table[i].out);
		buf_free(&out);
		free(copy);
	}
}

static void
percent_is_bounded(void **state)
{
	/* what does not fit is an error; what fits after decoding is none */
	struct buf out;

	(void)state;
	buf_init(&out, 2);
	assert_int_equal(parse_percent("%41%42", 6, 0, &out), 0);
	assert_int_equal(parse_percent("", 0, 0, &out), 0);
	assert_int_equal(parse_percent("c", 1, 0, &out), -1);
	buf_free(&out);
}

/* The examples of the Unicode Standard 3.9 (tables 3-8 to 3-11) and the edges
 * of its table 3-7, with what WHATWG's decoder makes of them. */
#define R "\xef\xbf\xbd"
static const struct {
	const char *name;
	struct str text, repaired;
} utf8_table[] = {
	{ "empty", S(""), S("") },
	{ "ASCII", S("hello"), S("hello") },
	{ "ASCII, long", S("0123456789abcdefghijklmnopq"),
	    S("0123456789abcdefghijklmnopq") },
	{ "NUL and controls", S("a\0b\x01\x7f"), S("a\0b\x01\x7f") },
	{ "U+0080", S("\xc2\x80"), S("\xc2\x80") },
	{ "U+07FF", S("\xdf\xbf"), S("\xdf\xbf") },
	{ "U+0800", S("\xe0\xa0\x80"), S("\xe0\xa0\x80") },
	{ "U+D7FF", S("\xed\x9f\xbf"), S("\xed\x9f\xbf") },
	{ "U+E000", S("\xee\x80\x80"), S("\xee\x80\x80") },
	{ "U+FEFF", S("\xef\xbb\xbf"), S("\xef\xbb\xbf") },
	{ "U+FFFD itself", S(R), S(R) },
	{ "U+FFFF, no character", S("\xef\xbf\xbf"), S("\xef\xbf\xbf") },
	{ "U+10000", S("\xf0\x90\x80\x80"), S("\xf0\x90\x80\x80") },
	{ "U+10FFFF", S("\xf4\x8f\xbf\xbf"), S("\xf4\x8f\xbf\xbf") },
	{ "mixed scripts", S("a\xc3\xa9z\xe2\x82\xac!\xf0\x9f\x98\x80."),
	    S("a\xc3\xa9z\xe2\x82\xac!\xf0\x9f\x98\x80.") },
	{ "8 ASCII, then one", S("12345678\xc3\xa9"), S("12345678\xc3\xa9") },
	{ "one in the middle of a word",
	    S("123\xc3\xa9"
	      "678901234567"),
	    S("123\xc3\xa9"
	      "678901234567") },
	/* from here on ill-formed */
	{ "lone continuation", S("a\x80z"), S("a" R "z") },
	{ "continuations", S("\x80\xbf\x80"), S(R R R) },
	{ "U+110000", S("\xf4\x90\x80\x80"), S(R R R R) },
	{ "F5", S("\xf5\x80\x80\x80"), S(R R R R) },
	{ "FE FF", S("\xfe\xff"), S(R R) },
	{ "C0 80", S("\xc0\x80"), S(R R) },
	{ "C1 BF", S("\xc1\xbf"), S(R R) },
	{ "overlong of three", S("\xe0\x80\x80"), S(R R R) },
	{ "overlong of three, last", S("\xe0\x9f\xbf"), S(R R R) },
	{ "overlong of four", S("\xf0\x80\x80\x80"), S(R R R R) },
	{ "overlong of four, last", S("\xf0\x8f\xbf\xbf"), S(R R R R) },
	{ "high surrogate", S("\xed\xa0\x80"), S(R R R) },
	{ "low surrogate", S("\xed\xbf\xbf"), S(R R R) },
	{ "CESU-8 pair", S("\xed\xa0\x81\xed\xb0\x80"), S(R R R R R R) },
	{ "truncated two", S("\xc3"), S(R) },
	{ "truncated three by one", S("\xe2\x82"), S(R) },
	{ "truncated three by two", S("\xe2"), S(R) },
	{ "truncated four by one", S("\xf0\x9f\x98"), S(R) },
	{ "truncated four by two", S("\xf0\x9f"), S(R) },
	{ "truncated four by three", S("\xf0"), S(R) },
	{ "truncated, then ASCII", S("\xe2\x82z"), S(R "z") },
	{ "truncated, then line end", S("\xf0\x9f\n"), S(R "\n") },
	{ "truncated, then a lead", S("\xe2\x82\xc3\xa9"), S(R "\xc3\xa9") },
	{ "truncated, then itself", S("\xe2\x82\xe2\x82\xac"),
	    S(R "\xe2\x82\xac") },
	{ "truncated surrogate lead", S("\xed\xa0"), S(R R) },
	{ "truncated overlong", S("\xe0\x80"), S(R R) },
	{ "table 3-8", S("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
	    S(R R R R R R R R "A") },
	{ "table 3-9", S("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
	    S(R R R R R R R R "A") },
	{ "table 3-10", S("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
	    S(R R R R R "A" R R "B") },
	{ "table 3-11", S("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"),
	    S(R R R R "A") },
	{ "behind a long run", S("0123456789abcdef\xff"),
	    S("0123456789abcdef" R) },
};

static void
utf8_valid(void **state)
{
	/* a text is valid exactly if its repair changes nothing */
	size_t i;
	char *copy;
	bool want, got;

	(void)state;
	for (i = 0; i < ROWS(utf8_table); i++) {
		want = utf8_table[i].text.len == utf8_table[i].repaired.len &&
		       memcmp(utf8_table[i].text.p, utf8_table[i].repaired.p,
			   utf8_table[i].text.len) == 0;
		copy = exact_copy(utf8_table[i].text);
		got = utf8_is_valid(copy, utf8_table[i].text.len);
		if (got != want)
			fail_msg("%s: %d", utf8_table[i].name, got);
		free(copy);
	}
}

static void
utf8_repair(void **state)
{
	/* each maximal ill-formed part becomes one U+FFFD, after what the
	 * buffer held */
	struct buf out;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(utf8_table); i++) {
		copy = exact_copy(utf8_table[i].text);
		buf_init(&out, 200);
		assert_int_equal(buf_puts(&out, "<"), 0);
		assert_int_equal(
		    utf8_put_repaired(&out, copy, utf8_table[i].text.len), 0);
		assert_int_equal(out.bytes[0], '<');
		if (!is_equal(
			out.bytes + 1, out.len - 1, utf8_table[i].repaired))
			fail_msg("%s: <%.*s>", utf8_table[i].name, (int)out.len,
			    out.bytes);
		buf_free(&out);
		free(copy);
	}
}

static void
utf8_repair_is_bounded(void **state)
{
	/* a full buffer is told, whether by a byte or by a U+FFFD */
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	assert_int_equal(utf8_put_repaired(&out, "a\xff", 2), 0);
	assert_int_equal(utf8_put_repaired(&out, "", 0), 0);
	assert_int_equal(utf8_put_repaired(&out, "b", 1), -1);
	buf_reset(&out);
	assert_int_equal(utf8_put_repaired(&out, "ab\xff", 3), -1);
	buf_free(&out);
}

static void
utf8_all_code_points(void **state)
{
	/* every code point but the surrogates is valid, in its one form */
	unsigned int c;
	char s[4];
	size_t n;

	(void)state;
	for (c = 0; c <= 0x110000; c++) {
		n = 0;
		if (c < 0x80) {
			s[n++] = (char)c;
		} else if (c < 0x800) {
			s[n++] = (char)(0xc0 | c >> 6);
		} else if (c < 0x10000) {
			s[n++] = (char)(0xe0 | c >> 12);
			s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		} else {
			s[n++] = (char)(0xf0 | c >> 18);
			s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
			s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		}
		if (c >= 0x80)
			s[n++] = (char)(0x80 | (c & 0x3f));
		if (utf8_is_valid(s, n) !=
		    (c < 0x110000 && (c < 0xd800 || c > 0xdfff)))
			fail_msg("U+%04X", c);
		if (n > 1 && utf8_is_valid(s, n - 1))
			fail_msg("U+%04X cut short", c);
	}
}

static void
globs(void **state)
{
	/* patterns match as in Redis 7.0.15, whose answers these are but for
	 * the two differences that parse.h names */
	static const struct {
		struct str pattern, text;
		bool want;
	} table[] = {
		{ S(""), S(""), true },
		{ S(""), S("a"), false },
		{ S("a"), S(""), false },
		{ S("abc"), S("abc"), true },
		{ S("abc"), S("abcd"), false },
		{ S("abcd"), S("abc"), false },
		{ S("abc"), S("ABC"), false },
		{ S("a\0b"), S("a\0b"), true },
		{ S("a\0b"), S("a\0c"), false },
		/* '*' */
		{ S("*"), S(""), true }, /* Redis: false */
		{ S("*"), S("abc"), true },
		{ S("*"), S("a\nb\0c/d"), true },
		{ S("***"), S("abc"), true },
		{ S("a*"), S("a"), true },
		{ S("a*"), S("ab"), true },
		{ S("a*"), S("ba"), false },
		{ S("*a"), S("ba"), true },
		{ S("*a"), S("ab"), false },
		{ S("a**b"), S("ab"), true },
		{ S("a*b*c"), S("a-b-b-c"), true },
		{ S("a*b*c"), S("a-b-b-"), false },
		{ S("ab*bc"), S("abc"), false },
		{ S("*ab"), S("aab"), true },
		{ S("*aab"), S("aaaab"), true },
		{ S("*ab*ab*"), S("aabab"), true },
		{ S("*ab*ab*"), S("aaba"), false },
		/* '?' */
		{ S("?"), S(""), false },
		{ S("?"), S("a"), true },
		{ S("?"), S("\0"), true },
		{ S("?"), S("ab"), false },
		{ S("h?llo"), S("hallo"), true },
		{ S("h?llo"), S("hllo"), false },
		{ S("?"), S("\xc3\xa9"), false }, /* bytes, not characters */
		{ S("??"), S("\xc3\xa9"), true },
		{ S("*?"), S("a"), true },
		{ S("a*?"), S("a"), false },
		/* classes */
		{ S("h[ae]llo"), S("hello"), true },
		{ S("h[ae]llo"), S("hillo"), false },
		{ S("h[ae]llo"), S("hllo"), false },
		{ S("[abc]"), S("ab"), false },
		{ S("h[^e]llo"), S("hallo"), true },
		{ S("h[^e]llo"), S("hello"), false },
		{ S("[^abc]"), S("c"), false },
		{ S("[^abc]"), S("d"), true },
		{ S("[^abc]"), S("^"), true },
		{ S("[a^]"), S("^"), true },
		{ S("[!a]"), S("!"), true }, /* '!' is nothing special */
		{ S("[!a]"), S("b"), false },
		{ S("[a-c]"), S("b"), true },
		{ S("[a-c]"), S("a"), true },
		{ S("[a-c]"), S("c"), true },
		{ S("[a-c]"), S("d"), false },
		{ S("[a-c]"), S("-"), false },
		{ S("[z-a]"), S("m"), true },
		{ S("[z-a]"), S("z"), true },
		{ S("[z-a]"), S("A"), false },
		{ S("[^a-c]"), S("b"), false },
		{ S("[^a-c]"), S("d"), true },
		{ S("[a-cx-z]"), S("y"), true },
		{ S("[a-cx-z]"), S("m"), false },
		{ S("[a-]"), S("-]"), false }, /* a range to ']', unclosed */
		{ S("[a-]"), S("_"), true },
		{ S("[-a]"), S("-"), true },
		{ S("[-a]"), S("a"), true },
		{ S("[*]"), S("*"), true },
		{ S("[*]"), S("a"), false },
		{ S("[?]"), S("a"), false },
		{ S("[[]"), S("["), true },
		{ S("[]"), S("]"), false }, /* empty: holds nothing */
		{ S("[]a]"), S("]"), false },
		{ S("[^]"), S("a"), true }, /* not empty: holds all */
		{ S("[^]a]"), S("xa]"), true },
		{ S("[\x01-\xff]"), S("a"), true }, /* Redis on x86: false */
		/* escapes in classes */
		{ S("[\\]]"), S("]"), true },
		{ S("[\\]]"), S("\\"), false },
		{ S("[\\\\]"), S("\\"), true },
		{ S("[\\^a]"), S("^"), true },
		{ S("[\\^a]"), S("b"), false },
		{ S("[\\a-c]"), S("b"), false }, /* an escape begins no range */
		{ S("[\\a-c]"), S("-"), true },
		{ S("[a-\\c]"), S("["), false },
		{ S("[a-\\c]"), S("\\"), true }, /* the range a-\ */
		/* classes that do not end */
		{ S("[abc"), S("b"), true },
		{ S("[abc"), S("d"), false },
		{ S("[abc"), S("[abc"), false },
		{ S("x[a-c"), S("xb"), true },
		{ S("[a-"), S("-"), true },
		{ S("[a-"), S("b"), false },
		{ S("["), S("["), false },
		{ S("["), S("a"), false },
		{ S("[^"), S("a"), true },
		{ S("[^a"), S("a"), false },
		{ S("[a\\"), S("\\"), true },
		{ S("[\\]"), S("]"), true },
		{ S("[\\]"), S("\\"), false },
		{ S("a["), S("a"), false },
		/* escapes */
		{ S("\\*"), S("*"), true },
		{ S("\\*"), S("a"), false },
		{ S("\\?"), S("?"), true },
		{ S("\\?"), S("a"), false },
		{ S("\\["), S("["), true },
		{ S("\\[a]"), S("[a]"), true },
		{ S("\\[a]"), S("a"), false },
		{ S("\\a"), S("a"), true },
		{ S("\\a"), S("\\a"), false },
		{ S("\\\\"), S("\\"), true },
		{ S("\\\\*"), S("\\abc"), true },
		{ S("\\\\?"), S("\\a"), true },
		{ S("\\"), S("\\"), true }, /* at the end: itself */
		{ S("a\\"), S("a\\"), true },
		{ S("a\\"), S("a"), false },
		{ S("*\\"), S("abc\\"), true },
		{ S("*\\*"), S("ab*"), true },
		{ S("*\\*"), S("ab"), false },
		{ S("*[ab]"), S("xxa"), true },
		{ S("*[ab]c"), S("aaxbc"), true },
	};
	size_t i;
	char *pattern, *text;
	bool got;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		pattern = exact_copy(table[i].pattern);
		text = exact_copy(table[i].text);
		got = glob_matches(
		    pattern, table[i].pattern.len, text, table[i].text.len);
		if (got != table[i].want)
			fail_msg("<%s> <%s>: %d", table[i].pattern.p,
			    table[i].text.p, got);
		free(pattern);
		free(text);
	}
}

static void
glob_lists(void **state)
{
	/* one of the patterns is enough; blanks around them do not count */
	static const struct {
		const char *patterns, *text;
		bool want;
	} table[] = {
		{ "", "a", false },
		{ "a", "a", true },
		{ "b", "a", false },
		{ "a,b", "a", true },
		{ "a,b", "b", true },
		{ "a,b", "a,b", false },
		{ "a,b", "c", false },
		{ "x*, a?\t,z", "ab", true },
		{ " a ", "a", true },
		{ "a b", "a b", true },
		{ ",,a,", "a", true },
		{ ",", "a", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++)
		if (glob_any_matches(table[i].patterns, table[i].text,
			strlen(table[i].text)) != table[i].want)
			fail_msg(
			    "\"%s\" \"%s\"", table[i].patterns, table[i].text);
}

static void
globs_end(void **state)
{
	/* a pattern of many '*' costs no exponential time (with the naive way
	 * this test would not end in a lifetime) */
	char pattern[401], text[4000];
	size_t i;

	(void)state;
	for (i = 0; i < 400; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[400] = 'b';
	memset(text, 'a', sizeof(text));
	assert_false(glob_matches(pattern, 401, text, sizeof(text)));
	assert_true(glob_matches(pattern, 400, text, sizeof(text)));
}

static void
channel_names(void **state)
{
	/* which names are a channel's, and what is said of the others */
	static const char empty[] = "is empty", too_long[] = "128",
			  not_utf8[] = "UTF-8", blank[] = "white space",
			  special[] = "holds one of", ours[] = "__",
			  prefixed[] = "prefix";
	static const struct {
		struct str name;
		const char *prefix;
		const char *want; /* part of the sentence; NULL: a name */
	} table[] = {
		{ S("a"), "sse:", NULL },
		{ S("all"), "sse:", NULL },
		{ S("user:1/x.y-z_#%&=+'\"()<>|~^$!@;"), "sse:", NULL },
		{ S("caf\xc3\xa9"), "sse:", NULL },
		{ S("\xf0\x9f\x98\x80"), "sse:", NULL },
		{ S("_x"), "sse:", NULL },
		{ S("_"), "sse:", NULL },
		{ S("a__"), "sse:", NULL },
		{ S(""), "sse:", empty },
		{ S("a,b"), "sse:", special },
		{ S("*"), "sse:", special },
		{ S("a?"), "sse:", special },
		{ S("[a"), "sse:", special },
		{ S("a]"), "sse:", special },
		{ S("{user}"), "sse:", special },
		{ S("a}"), "sse:", special },
		{ S("a\\b"), "sse:", special },
		{ S("__"), "sse:", ours },
		{ S("__keyspace@0__:x"), "sse:", ours },
		{ S("sse:"), "sse:", prefixed },
		{ S("sse:event:x"), "sse:", prefixed },
		{ S("sse"), "sse:", NULL },
		{ S("Sse:x"), "sse:", NULL },
		{ S("xsse:"), "sse:", NULL },
		{ S("sse:x"), "sse5:", NULL },
		{ S("sse5:x"), "sse5:", prefixed },
		{ S("sse:x"), "", NULL },
		{ S("__x"), "", ours },
		/* controls and white space */
		{ S("a b"), "sse:", blank },
		{ S(" a"), "sse:", blank },
		{ S("a\tb"), "sse:", blank },
		{ S("a\nb"), "sse:", blank },
		{ S("a\r"), "sse:", blank },
		{ S("\0"), "sse:", blank },
		{ S("a\0b"), "sse:", blank },
		{ S("\x1f"), "sse:", blank },
		{ S("!"), "sse:", NULL },
		{ S("~"), "sse:", NULL },
		{ S("\x7f"), "sse:", blank },
		{ S("\xc2\x80"), "sse:", blank },
		{ S("\xc2\x85"), "sse:", blank },
		{ S("\xc2\x9f"), "sse:", blank },
		{ S("\xc2\xa0"), "sse:", blank },
		{ S("\xc2\xa1"), "sse:", NULL },
		{ S("a\xe1\x9a\x80"), "sse:", blank }, /* U+1680 */
		{ S("\xe1\x9f\xbf"), "sse:", NULL },   /* U+17FF */
		{ S("\xe1\xbf\xbf"), "sse:", NULL },   /* U+1FFF */
		{ S("\xe2\x80\x80"), "sse:", blank },  /* U+2000 */
		{ S("\xe2\x80\x8a"), "sse:", blank },  /* U+200A */
		{ S("\xe2\x80\x8b"), "sse:", NULL },   /* U+200B */
		{ S("a\xe2\x80\xa8"), "sse:", blank }, /* U+2028 */
		{ S("\xe2\x80\xa9"), "sse:", blank },  /* U+2029 */
		{ S("\xe2\x80\xaa"), "sse:", NULL },   /* U+202A */
		{ S("\xe2\x80\xaf"), "sse:", blank },  /* U+202F */
		{ S("\xe2\x81\x9f"), "sse:", blank },  /* U+205F */
		{ S("\xe3\x80\x80"), "sse:", blank },  /* U+3000 */
		{ S("\xe3\x80\x81"), "sse:", NULL },   /* U+3001 */
		/* not UTF-8 */
		{ S("\xff"), "sse:", not_utf8 },
		{ S("caf\xe9"), "sse:", not_utf8 },
		{ S("\xc0\x80"), "sse:", not_utf8 },
		{ S("\xed\xa0\x80"), "sse:", not_utf8 },
		{ S("a\xe2\x82"), "sse:", not_utf8 },
	};
	char longest[CHANNEL_LEN_MAX + 1];
	const char *got;
	char *copy;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].name);
		got = channel_name_error(
		    copy, table[i].name.len, table[i].prefix);
		if ((got == NULL) != (table[i].want == NULL) ||
		    (got != NULL && strstr(got, table[i].want) == NULL))
			fail_msg("<%s> prefix <%s>: %s", table[i].name.p,
			    table[i].prefix, got == NULL ? "fine" : got);
		free(copy);
	}
	memset(longest, 'x', sizeof(longest));
	assert_null(channel_name_error(longest, CHANNEL_LEN_MAX, "sse:"));
	got = channel_name_error(longest, CHANNEL_LEN_MAX + 1, "sse:");
	assert_non_null(got);
	assert_non_null(strstr(got, too_long));
}

static void
blanks(void **state)
{
	/* spaces and tabs go from both ends, and nothing else does */
	static const struct {
		const char *text, *want;
	} table[] = {
		{ "", "" },
		{ " ", "" },
		{ " \t \t", "" },
		{ "a", "a" },
		{ " a", "a" },
		{ "a\t", "a" },
		{ "\t a b \t", "a b" },
		{ "\na\r", "\na\r" },
	};
	const char *p;
	size_t i, len;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		p = table[i].text;
		len = strlen(p);
		parse_strip_blanks(&p, &len);
		assert_int_equal(len, strlen(table[i].want));
		assert_memory_equal(p, table[i].want, len);
		assert_true(p >= table[i].text &&
			    p + len <= table[i].text + strlen(table[i].text));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(percent),
		cmocka_unit_test(percent_is_bounded),
		cmocka_unit_test(utf8_valid),
		cmocka_unit_test(utf8_repair),
		cmocka_unit_test(utf8_repair_is_bounded),
		cmocka_unit_test(utf8_all_code_points),
		cmocka_unit_test(globs),
		cmocka_unit_test(globs_end),
		cmocka_unit_test(glob_lists),
		cmocka_unit_test(channel_names),
		cmocka_unit_test(blanks),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
