/* SPDX-License-Identifier: ISC */
/* recent.h: which records are kept, and what its floor says of the others. */
#include "carrier/recent.h"
#include "test/unit/unit.h"

/* A record whose frame begins with its id, of so many bytes. */
static void
put(struct recent *r, size_t channel, uint64_t id, size_t len)
{
	char *frame = malloc(len + 1);
	const struct record rec = {
		.id = id, .prev = id / 2, .frame = frame, .frame_len = len
	};
	size_t i;

	assert_non_null(frame);
	for (i = 0; i < len; i++)
		frame[i] = (char)('a' + (id + i) % 26);
	recent_put(r, channel, &rec);
	free(frame);
}

/* What is kept, as "CHANNEL:ID ". */
static void
check(const struct recent *r, uint64_t floor, const char *want)
{
	struct recent_record rec;
	char got[200] = "";
	size_t at = 0, n = 0, i;

	assert_int_equal(recent_floor(r), floor);
	while (recent_next(r, &at, &rec)) {
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%zu:%ju ",
		    rec.channel, (uintmax_t)rec.id);
		assert_true(n < sizeof(got));
		assert_int_equal(rec.prev, rec.id / 2);
		for (i = 0; i < rec.frame_len; i++)
			assert_int_equal(
			    rec.frame[i], 'a' + (char)((rec.id + i) % 26));
	}
	assert_string_equal(got, want);
	assert_false(recent_next(r, &at, &rec));
}

static void
records_come_in_order(void **state)
{
	/* as they were put, also those that came late; a reset forgets all */
	struct recent r;

	(void)state;
	recent_init(&r, 5);
	check(&r, 5, "");
	put(&r, 0, 10, 20);
	put(&r, 7, 12, 0);
	put(&r, 0, 11, 3);
	check(&r, 5, "0:10 7:12 0:11 ");
	recent_reset(&r, 12);
	check(&r, 12, "");
	put(&r, 1, 13, 1);
	check(&r, 12, "1:13 ");
	recent_reset(&r, 3); /* the store went back */
	check(&r, 3, "");
	recent_free(&r);
}

static void
oldest_are_forgotten(void **state)
{
	/* whole ones, from the beginning; the floor is the newest id that is
	 * gone, and never goes back for a late record */
	struct recent r;
	size_t all;

	(void)state;
	recent_init(&r, 5);
	recent_trim(&r, 0);
	check(&r, 5, "");
	put(&r, 0, 10, 100);
	put(&r, 0, 30, 100);
	put(&r, 0, 20, 100); /* late */
	put(&r, 0, 40, 100);
	all = r.bytes.len - r.begin;
	recent_trim(&r, all);
	check(&r, 5, "0:10 0:30 0:20 0:40 ");
	recent_trim(&r, all - 1);
	check(&r, 10, "0:30 0:20 0:40 ");
	recent_trim(&r, all / 4 * 2);
	check(&r, 30, "0:20 0:40 ");
	recent_trim(&r, all / 4);
	check(&r, 30, "0:40 ");
	put(&r, 1, 41, 2);
	check(&r, 30, "0:40 1:41 ");
	recent_trim(&r, 0);
	check(&r, 41, "");
	put(&r, 2, 35, 1); /* later than late */
	check(&r, 41, "2:35 ");
	recent_trim(&r, 0);
	check(&r, 41, "");
	recent_free(&r);
}

static void
too_large_is_not_kept(void **state)
{
	/* nor is what was before it; the next one is */
	struct recent r;

	(void)state;
	recent_init(&r, 5);
	put(&r, 0, 10, RECENT_LEN_MAX + 1);
	check(&r, 10, "");
	put(&r, 0, 11, 10);
	put(&r, 0, 12, RECENT_LEN_MAX - 60);
	check(&r, 11, "0:12 ");
	put(&r, 0, 13, RECENT_LEN_MAX);
	check(&r, 13, "");
	put(&r, 0, 14, 10);
	put(&r, 0, 9, RECENT_LEN_MAX); /* late */
	check(&r, 14, "");
	recent_free(&r);
}

static void
so_many_bytes_are_kept(void **state)
{
	/* as long as they go on, in memory that does not grow; what is kept has
	 * no gap */
	struct recent_record rec;
	uint64_t id, want;
	size_t at, len;
	struct recent r;

	(void)state;
	recent_init(&r, 0);
	for (id = 1; id < 3000; id++) {
		put(&r, id % 3, id, id * 7919 % 50000);
		assert_true(r.bytes.len - r.begin <= RECENT_LEN_MAX);
		assert_true(r.bytes.len <= 2 * RECENT_LEN_MAX);
		if (id % 100 != 0)
			continue;
		want = recent_floor(&r);
		for (at = len = 0; recent_next(&r, &at, &rec);
		     len += rec.frame_len) {
			assert_int_equal(rec.id, ++want);
			assert_int_equal(rec.channel, rec.id % 3);
			assert_int_equal(rec.frame_len, rec.id * 7919 % 50000);
		}
		assert_int_equal(want, id);
		/* as many as there is room for */
		assert_true(
		    recent_floor(&r) == 0 || len > RECENT_LEN_MAX - 100000);
	}
	recent_free(&r);
}

static void
channels_get_other_numbers(void **state)
{
	/* those that are left have none any more, and get none again */
	static const uint32_t first[] = { UINT32_MAX, 0, 1 },
			      then[] = { 1, UINT32_MAX };
	struct recent r;

	(void)state;
	recent_init(&r, 0);
	put(&r, 0, 1, 10);
	put(&r, 0, 2, 10);
	put(&r, 1, 3, 10);
	put(&r, 2, 4, 10);
	recent_trim(&r, r.bytes.len - 1); /* without the first */
	recent_renumber(&r, first);
	check(&r, 1, "4294967295:2 0:3 1:4 ");
	recent_renumber(&r, then);
	check(&r, 1, "4294967295:2 1:3 4294967295:4 ");
	put(&r, 0, 5, 1);
	check(&r, 1, "4294967295:2 1:3 4294967295:4 0:5 ");
	recent_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_in_order),
		cmocka_unit_test(oldest_are_forgotten),
		cmocka_unit_test(too_large_is_not_kept),
		cmocka_unit_test(so_many_bytes_are_kept),
		cmocka_unit_test(channels_get_other_numbers),
	};

	return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}
