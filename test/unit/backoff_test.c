/* SPDX-License-Identifier: ISC */
/* backoff.h: how long is waited. */
#include "base/backoff.h"
#include "base/clock.h"
#include "test/unit/unit.h"

/* in place of clock.c: the minimum, or the maximum */

static bool is_max;

int64_t
clock_random(int64_t min, int64_t max)
{
	return is_max ? max : min;
}

static void
pauses_double_up_to_the_longest(void **state)
{
	/* whatever chance says: half the pause is waited, or all of it, and
	 * never more than max_ms */
	static const struct {
		int64_t min_ms, max_ms, pauses[6];
	} table[] = {
		{ 100, 2000, { 100, 200, 400, 800, 1600, 2000 } },
		{ 100, 5000, { 100, 200, 400, 800, 1600, 3200 } },
		{ 100, 250, { 100, 200, 250, 250, 250, 250 } },
		{ 100, 100, { 100, 100, 100, 100, 100, 100 } },
		{ 1, 3, { 1, 2, 3, 3, 3, 3 } },
	};
	struct backoff min, max;
	size_t i, j;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		min = (struct backoff){ table[i].min_ms, table[i].max_ms, 0 };
		max = min;
		for (j = 0; j < ROWS(table[i].pauses); j++) {
			is_max = false;
			assert_int_equal(
			    backoff_next(&min), table[i].pauses[j] / 2);
			is_max = true;
			assert_int_equal(
			    backoff_next(&max), table[i].pauses[j]);
		}
	}
}

static void
success_begins_anew(void **state)
{
	/* after a success the next pause is the first one */
	struct backoff b = { .min_ms = 100, .max_ms = 1000 };
	int i;

	(void)state;
	is_max = true;
	backoff_reset(&b);
	for (i = 0; i < 10; i++)
		backoff_next(&b);
	assert_int_equal(b.ms, 1000);
	backoff_reset(&b);
	assert_int_equal(b.ms, 0);
	assert_int_equal(backoff_next(&b), 100);
	assert_int_equal(backoff_next(&b), 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_double_up_to_the_longest),
		cmocka_unit_test(success_begins_anew),
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
