/* SPDX-License-Identifier: ISC */
/* utf8.h: what is well-formed, and what becomes of the rest. */
#include "base/utf8.h"
#include "test/unit/unit.h"

/* The examples of the Unicode Standard 3.9 (tables 3-8 to 3-11) and the edges
 * of its table 3-7, with what WHATWG's decoder makes of them. */
#define R "\xef\xbf\xbd"
static const struct {
	const char *name;
	struct str text, repaired;
} texts[] = {
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
	{ "after a long run", S("0123456789abcdef\xff"),
	    S("0123456789abcdef" R) },
};

static void
valid_is_what_repair_leaves(void **state)
{
	/* a text is valid exactly if its repair changes nothing */
	size_t i;
	char *copy;
	bool want, got;

	(void)state;
	for (i = 0; i < ROWS(texts); i++) {
		want = texts[i].text.len == texts[i].repaired.len &&
		       memcmp(texts[i].text.p, texts[i].repaired.p,
			   texts[i].text.len) == 0;
		copy = exact_copy(texts[i].text);
		got = utf8_is_valid(copy, texts[i].text.len);
		if (got != want)
			fail_msg("%s: %d", texts[i].name, got);
		free(copy);
	}
}

static void
ill_formed_parts_are_repaired(void **state)
{
	/* each maximal ill-formed part becomes one U+FFFD, after what the
	 * buffer held */
	struct buf out;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(texts); i++) {
		copy = exact_copy(texts[i].text);
		buf_init(&out, 200);
		assert_int_equal(buf_puts(&out, "<"), 0);
		assert_int_equal(
		    utf8_put_repaired(&out, copy, texts[i].text.len), 0);
		assert_int_equal(out.bytes[0], '<');
		if (!is_equal(out.bytes + 1, out.len - 1, texts[i].repaired))
			fail_msg("%s: <%.*s>", texts[i].name, (int)out.len,
			    out.bytes);
		buf_free(&out);
		free(copy);
	}
}

static void
full_buffer_is_told(void **state)
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
each_code_point_has_one_form(void **state)
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_is_what_repair_leaves),
		cmocka_unit_test(ill_formed_parts_are_repaired),
		cmocka_unit_test(full_buffer_is_told),
		cmocka_unit_test(each_code_point_has_one_form),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
