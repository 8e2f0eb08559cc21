/* SPDX-License-Identifier: ISC */
/* glob.h: which names a pattern matches. */
#include "base/glob.h"
#include "test/unit/unit.h"

static void
patterns_match_as_in_redis(void **state)
{
	/* patterns match as in Redis 7.0.15, whose answers these are but for
	 * the two differences that glob.h names */
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
stars_cost_no_exponential_time(void **state)
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
one_pattern_of_a_list_is_enough(void **state)
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_in_redis),
		cmocka_unit_test(stars_cost_no_exponential_time),
		cmocka_unit_test(one_pattern_of_a_list_is_enough),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
