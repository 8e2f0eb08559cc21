/* SPDX-License-Identifier: ISC */
/*
 * parse.h, clause by clause.  Inputs are copied into memory of exactly their
 * length, so that the sanitizers see a look beyond the end.
 */
#include "base/parse.h"
#include "test/unit/unit.h"

static void
number_is_digits_up_to_max(void **state)
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
escapes_are_decoded_once(void **state)
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
		if (got != table[i].want ||
		    !is_equal(out.bytes, out.len, table[i].out))
			fail_msg("<%s>: %d, %zu bytes", table[i].text.p, got,
			    out.len);
		buf_free(&out);
		free(copy);
	}
}

static void
full_buffer_is_told(void **state)
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

static void
blanks_are_stripped(void **state)
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
		cmocka_unit_test(number_is_digits_up_to_max),
		cmocka_unit_test(escapes_are_decoded_once),
		cmocka_unit_test(full_buffer_is_told),
		cmocka_unit_test(blanks_are_stripped),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
