/* SPDX-License-Identifier: ISC */
/* recent.h: which frames are known, for how long, and how often. */
#include "recent.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000

static void
same_frame(void **state)
{
	/* a frame is known by its channel and all of its bytes */
	static const struct {
		const char *what;
		size_t channel;
		const char *bytes;
		size_t len;
		bool want;
	} table[] = {
		{ "the same", 3, "data: x\n\n", 9, true },
		{ "another channel", 2, "data: x\n\n", 9, false },
		{ "another byte", 3, "data: y\n\n", 9, false },
		{ "the first byte", 3, "Data: x\n\n", 9, false },
		{ "shorter", 3, "data: x\n", 8, false },
		{ "longer", 3, "data: x\n\n\n", 10, false },
		{ "with a NUL", 3, "data: x\n\n\0", 10, false },
		{ "nothing", 3, "", 0, false },
	};
	struct recent r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		r = (struct recent){ NULL, 0, 0 };
		recent_add(&r, 3, "data: x\n\n", 9, NOW_MS);
		if (recent_take(&r, table[i].channel, table[i].bytes,
			table[i].len, NOW_MS) != table[i].want)
			fail_msg("%s", table[i].what);
		recent_free(&r);
	}
}

static void
age(void **state)
{
	/* a frame is known for less than RECENT_MS */
	static const struct {
		int64_t after_ms;
		bool want;
	} table[] = { { 0, true }, { 1, true }, { RECENT_MS - 1, true },
		{ RECENT_MS, false }, { RECENT_MS + 1, false },
		{ 1000 * RECENT_MS, false } };
	struct recent r;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		r = (struct recent){ NULL, 0, 0 };
		recent_add(&r, 0, "x", 1, NOW_MS);
		if (recent_take(&r, 0, "x", 1, NOW_MS + table[i].after_ms) !=
		    table[i].want)
			fail_msg("after %jd ms", (intmax_t)table[i].after_ms);
		recent_free(&r);
	}
}

static void
taken_once(void **state)
{
	/* each frame that was passed on is taken once: two of the same bytes
	 * are taken twice */
	struct recent r = { NULL, 0, 0 };
	int i;

	(void)state;
	assert_false(recent_take(&r, 0, "x", 1, NOW_MS)); /* of none */
	for (i = 0; i < 2; i++) {
		recent_add(&r, 0, "x", 1, NOW_MS);
		recent_add(&r, 0, "y", 1, NOW_MS);
	}
	for (i = 0; i < 2; i++)
		assert_true(recent_take(&r, 0, "x", 1, NOW_MS));
	assert_false(recent_take(&r, 0, "x", 1, NOW_MS));
	for (i = 0; i < 2; i++)
		assert_true(recent_take(&r, 0, "y", 1, NOW_MS));
	assert_false(recent_take(&r, 0, "y", 1, NOW_MS));
	recent_free(&r);
}

static void
full(void **state)
{
	/* of more than RECENT_MAX frames the oldest are forgotten, round and
	 * round the ring */
	const int surplus = 2 * RECENT_MAX + 100;
	struct recent r = { NULL, 0, 0 };
	int i;

	(void)state;
	for (i = 0; i < RECENT_MAX + surplus; i++)
		recent_add(
		    &r, 0, (const char *)&i, sizeof(i), NOW_MS + i / 100);
	assert_int_equal(r.n, RECENT_MAX);
	i = surplus - 1;
	assert_false(recent_take(&r, 0, (const char *)&i, sizeof(i), NOW_MS));
	for (i = surplus; i < RECENT_MAX + surplus; i += 511)
		assert_true(
		    recent_take(&r, 0, (const char *)&i, sizeof(i), NOW_MS));
	i = RECENT_MAX + surplus - 1;
	assert_true(recent_take(&r, 0, (const char *)&i, sizeof(i), NOW_MS));
	recent_free(&r);
}

static void
old_ones_make_room(void **state)
{
	/* what is too old is dropped, also behind one that was taken */
	struct recent r = { NULL, 0, 0 };

	(void)state;
	recent_add(&r, 0, "a", 1, NOW_MS);
	recent_add(&r, 0, "b", 1, NOW_MS + 1);
	recent_add(&r, 0, "c", 1, NOW_MS + 2);
	assert_true(recent_take(&r, 0, "b", 1, NOW_MS + 3));
	recent_add(&r, 0, "d", 1, NOW_MS + 2 + RECENT_MS);
	assert_int_equal(r.n, 1);
	assert_true(recent_take(&r, 0, "d", 1, NOW_MS + 2 + RECENT_MS));
	recent_free(&r);
	/* freed, it may be used again */
	assert_false(recent_take(&r, 0, "d", 1, NOW_MS));
	recent_add(&r, 0, "e", 1, NOW_MS);
	assert_true(recent_take(&r, 0, "e", 1, NOW_MS));
	recent_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_frame),
		cmocka_unit_test(age),
		cmocka_unit_test(taken_once),
		cmocka_unit_test(full),
		cmocka_unit_test(old_ones_make_room),
	};

	return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}
