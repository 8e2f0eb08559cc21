/* SPDX-License-Identifier: ISC */
/* expected.h: answers come in the order in which they are due. */
#include "recorder/expected.h"
#include "test/unit/unit.h"

static void
answers_belong_in_order(void **state)
{
	/* first in, first out, also round the end of the ring; what is not due
	 * is told apart */
	struct expected_answers e = { .n = 0 };
	enum expected what = EXPECT_NOTHING;
	size_t round, i;

	(void)state;
	assert_false(expected_next(&e, &what));
	assert_int_equal(what, EXPECT_NOTHING);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < EXPECT_MAX - 1; i++)
			expected_add(&e, (enum expected)(i % EXPECT_NOTHING));
		assert_int_equal(e.n, EXPECT_MAX - 1);
		for (i = 0; i < EXPECT_MAX - 1; i++) {
			assert_true(expected_next(&e, &what));
			assert_int_equal(what, i % EXPECT_NOTHING);
		}
		assert_false(expected_next(&e, &what));
	}
}

static void
lost_connection_has_none(void **state)
{
	struct expected_answers e = { .n = 0 };
	enum expected what;

	(void)state;
	expected_add(&e, EXPECT_MESSAGE);
	expected_add(&e, EXPECT_RELAYED);
	assert_true(expected_next(&e, &what));
	expected_clear(&e);
	assert_false(expected_next(&e, &what));
	expected_add(&e, EXPECT_RENEWED);
	assert_true(expected_next(&e, &what));
	assert_int_equal(what, EXPECT_RENEWED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_belong_in_order),
		cmocka_unit_test(lost_connection_has_none),
	};

	return cmocka_run_group_tests_name("expected", tests, NULL, NULL);
}
