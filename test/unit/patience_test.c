/* SPDX-License-Identifier: ISC */
/* patience.h: for whom more waits than he takes, and how long. */
#include "carrier/patience.h"

#include "test/unit/fan_scene.h"

#define MIB ((size_t)1 << 20)

struct row {
	const char *name;
	size_t len;	 /* waits for each of those who are behind, */
	size_t in_all;	 /* and for all together */
	int behind, all; /* so many of so many */
	int64_t since_ms;
	bool go_back, is_paused;
};

static const struct row rows[] = {
	{ "nobody is", 0, 0, 0, 4, 0, false, false },
	{ "a little for long", MIB / 8, MIB, 1, 4, 20000, false, false },
	{ "one, just now", MIB, MIB, 1, 4, 1999, false, false },
	{ "one who takes nothing", MIB, MIB, 1, 4, 2000, true, false },
	/* a large event, which no socket takes at once */
	{ "several, just now", MIB, 33 * MIB, 2, 4, 0, false, false },
	{ "several, a moment ago", MIB, 33 * MIB, 2, 4, 499, false, false },
	{ "several who take nothing", MIB, 33 * MIB, 2, 4, 500, true, false },
	{ "several, far too much", MIB, 129 * MIB, 2, 4, 0, true, false },
	{ "most", MIB, 33 * MIB, 3, 4, 0, false, true },
	{ "most, for long", MIB, 33 * MIB, 3, 4, 4000, false, true },
	{ "most, not so much", MIB, 31 * MIB, 3, 4, 1999, false, false },
	{ "most, not so much, for long", MIB, 31 * MIB, 3, 4, 20000, false,
	    false },
};

static void
make(struct fan *f, const struct row *row)
{
	int i;

	scene_begin(f);
	for (i = 0; i < row->all; i++)
		add_live(f, "all", 0, 0);
	for (i = 0; i < row->behind; i++) {
		f->streams[i]->waiting_len = row->len;
		f->streams[i]->blocked_ms = NOW_MS;
	}
	f->nblocked = (size_t)row->behind;
	f->waiting_len = row->in_all;
}

static bool
is_as_wanted(
    const struct fan *f, const struct patience *p, const struct row *row)
{
	int i;

	for (i = 0; i < row->all; i++)
		if ((f->streams[i]->state != CARRIED_LIVE) !=
		    (row->go_back && i < row->behind))
			return false;
	return patience_is_paused(p) == row->is_paused;
}

static void
who_goes_back(void **state)
{
	struct patience p;
	struct fan f;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		p = (struct patience){ 0 };
		make(&f, &rows[i]);
		patience_mind(&p, &f, NOW_MS + rows[i].since_ms);
		if (!is_as_wanted(&f, &p, &rows[i]))
			fail_msg("%s", rows[i].name);
		scene_end(&f);
	}
}

/* Redis would cut the connection by and by. */
static void
pause_ends(void **state)
{
	const struct row row = { "", MIB, 33 * MIB, 3, 4, 0, true, false };
	struct patience p = { 0 };
	struct fan f;

	(void)state;
	make(&f, &row);
	patience_mind(&p, &f, NOW_MS);
	assert_int_equal(patience_due_ms(&p), NOW_MS + 5000);
	patience_mind(&p, &f, NOW_MS + 4999);
	assert_true(patience_is_paused(&p));
	patience_mind(&p, &f, NOW_MS + 5000);
	assert_true(is_as_wanted(&f, &p, &row));
	scene_end(&f);
}

static void
pause_ends_when_they_have_caught_up(void **state)
{
	const struct row row = { "", MIB, 33 * MIB, 3, 4, 0, false, false };
	struct patience p = { 0 };
	struct fan f;

	(void)state;
	make(&f, &row);
	patience_mind(&p, &f, NOW_MS);
	f.waiting_len = 9 * MIB;
	patience_mind(&p, &f, NOW_MS + 1);
	assert_true(patience_is_paused(&p));
	f.waiting_len = 7 * MIB;
	patience_mind(&p, &f, NOW_MS + 2);
	assert_true(is_as_wanted(&f, &p, &row));
	assert_int_equal(patience_due_ms(&p), INT64_MAX);
	scene_end(&f);
}

/* Then the next take comes later, but not because of a few. */
static void
congestion_is_that_of_most(void **state)
{
	static const struct {
		size_t in_all, behind;
		bool want;
	} table[] = {
		{ 9 * MIB, 3, true },
		{ 9 * MIB, 2, false },
		{ 8 * MIB, 4, false },
		{ 129 * MIB, 1, false },
	};
	struct fan f;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		make(&f, &(struct row){ .all = 4 });
		f.nblocked = table[i].behind;
		f.waiting_len = table[i].in_all;
		assert_int_equal(
		    f.sink.ops->is_congested(&f.sink), table[i].want);
		scene_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_goes_back),
		cmocka_unit_test(congestion_is_that_of_most),
		cmocka_unit_test(pause_ends),
		cmocka_unit_test(pause_ends_when_they_have_caught_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
