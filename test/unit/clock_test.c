/* SPDX-License-Identifier: ISC */
/* clock.h: a clock that is held, and goes on. */
#include <time.h>

#include "base/clock.h"
#include "test/unit/unit.h"

static void
let_time_pass(void)
{
	const struct timespec ts = { 0, 3 * 1000000 };

	nanosleep(&ts, NULL);
}

static void
held_clock_stands_until_it_is_released(void **state)
{
	const int64_t before = clock_now_ms();
	int64_t held;

	(void)state;
	let_time_pass();
	clock_hold();
	held = clock_now_ms();
	assert_true(held > before);
	let_time_pass();
	assert_int_equal(clock_now_ms(), held);
	clock_hold(); /* again: the time now */
	assert_true(clock_now_ms() > held);
	held = clock_now_ms();
	let_time_pass();
	clock_release();
	assert_true(clock_now_ms() > held);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_clock_stands_until_it_is_released),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
