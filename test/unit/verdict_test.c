/* SPDX-License-Identifier: ISC */
/* verdict.h: who says no last is heard. */
#include "test/unit/unit.h"
#include "verdict.h"

static void
refusing_says_why(void **state)
{
	/* a refusal has its status and its sentence, and is the client's */
	struct verdict v = { .status = HTTP_OK };

	(void)state;
	assert_int_equal(
	    verdict_refuse(&v, HTTP_BAD_REQUEST, "%d of %s", 3, "all"), -1);
	assert_int_equal(v.status, HTTP_BAD_REQUEST);
	assert_false(v.is_misconfigured);
	assert_string_equal(v.sentence, "3 of all");
}

static void
misconfigured_is_forbidden(void **state)
{
	/* the administrator's mistake is 403, and said to be one */
	struct verdict v = { .status = HTTP_OK };

	(void)state;
	assert_int_equal(verdict_misconfigured(&v, "SSE_%s", "ALLOW"), -1);
	assert_int_equal(v.status, HTTP_FORBIDDEN);
	assert_true(v.is_misconfigured);
	assert_string_equal(v.sentence, "SSE_ALLOW");
}

static void
last_one_wins(void **state)
{
	/* of an earlier verdict nothing is left */
	struct verdict v = { .status = HTTP_OK };

	(void)state;
	verdict_misconfigured(&v, "a long sentence");
	verdict_refuse(&v, HTTP_UNAVAILABLE, "short");
	assert_int_equal(v.status, HTTP_UNAVAILABLE);
	assert_false(v.is_misconfigured);
	assert_string_equal(v.sentence, "short");
	verdict_misconfigured(&v, "again");
	assert_int_equal(v.status, HTTP_FORBIDDEN);
	assert_true(v.is_misconfigured);
}

static void
long_sentence_is_cut(void **state)
{
	/* a sentence that repeats too much of what came ends with its room */
	struct verdict v = { .status = HTTP_OK };
	char text[300];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	verdict_refuse(&v, HTTP_BAD_REQUEST, "%s", text);
	assert_int_equal(strlen(v.sentence), 255);
	verdict_misconfigured(&v, "%s", text);
	assert_int_equal(strlen(v.sentence), 255);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusing_says_why),
		cmocka_unit_test(misconfigured_is_forbidden),
		cmocka_unit_test(last_one_wins),
		cmocka_unit_test(long_sentence_is_cut),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
