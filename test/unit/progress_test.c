/* SPDX-License-Identifier: ISC */
/*
 * progress.h: what a record and a take make of a stream's positions, and what
 * shows that the store went back.
 */
#include "progress.h"
#include "redis/record.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000
#define LAG_MS 700

/* A stream of two channels: 90 is the last event of the first, 50 that of the
 * second, and the store, which began with 10, has given out 100. */
static void
fill(struct progress *p)
{
	assert_int_equal(progress_init(p, 2, LAG_MS), 0);
	p->positions[0] = (struct position){ 90, true, false, false };
	p->positions[1] = (struct position){ 50, true, false, false };
	p->seen_clock = 100;
	p->seen_epoch = 10;
}

#define RECORD(id, prev)                                                       \
	&(const struct record)                                                 \
	{                                                                      \
		id, prev, ORIGIN_PUBLISHED, "", 0, "", 0                       \
	}

static void
next_record_names_the_position(void **state)
{
	/* the next record names the position as its previous one, and is newer
	 * itself */
	static const struct {
		uint64_t id, prev;
		bool want;
	} table[] = {
		{ 101, 90, true },
		{ 91, 90, true },
		{ 90, 90, false },
		{ 89, 90, false },
		{ 101, 95, false },
		{ 101, 80, false },
		{ 101, 0, false },
	};
	struct progress p;
	size_t i;

	(void)state;
	fill(&p);
	for (i = 0; i < ROWS(table); i++)
		if (progress_is_next(&p, 0,
			RECORD(table[i].id, table[i].prev)) != table[i].want)
			fail_msg("%ju behind %ju", (uintmax_t)table[i].id,
			    (uintmax_t)table[i].prev);
	progress_free(&p);
}

static void
reached_record_is_the_position(void **state)
{
	/* a record becomes its channel's position; only after the floor is it
	 * for the client; the clock never goes back */
	struct progress p;

	(void)state;
	fill(&p);
	p.floor = 120;
	assert_false(progress_reach(&p, 0, RECORD(110, 90)));
	assert_int_equal(p.seen_clock, 110);
	assert_false(progress_reach(&p, 0, RECORD(120, 110)));
	assert_true(progress_reach(&p, 0, RECORD(121, 120)));
	assert_int_equal(p.positions[0].id, 121);
	assert_int_equal(p.positions[1].id, 50);
	p.floor = 0;
	assert_true(progress_reach(&p, 1, RECORD(60, 50)));
	assert_int_equal(p.positions[1].id, 60);
	assert_int_equal(p.seen_clock, 121);
	progress_free(&p);
}

static void
take_shows_that_the_store_went_back(void **state)
{
	/* by its clock, its epoch, or a channel's last event */
	static const struct {
		const char *what;
		uint64_t clock, epoch, last[2];
		bool want;
	} table[] = {
		{ "nothing new", 100, 10, { 90, 50 }, false },
		{ "new events", 200, 10, { 200, 150 }, false },
		{ "the clock", 99, 10, { 90, 50 }, true },
		{ "an empty store", 0, 0, { 0, 0 }, true },
		{ "the first channel", 100, 10, { 89, 50 }, true },
		{ "the second channel", 200, 10, { 200, 49 }, true },
		{ "one forgotten after 30 days", 100, 10, { 90, 0 }, false },
		{ "another epoch behind us", 200, 150, { 200, 0 }, true },
		{ "another epoch before us", 200, 20, { 200, 50 }, false },
		{ "no epoch", 200, 0, { 200, 50 }, true },
	};
	struct taken_channel channels[2] = { { 0, 0 }, { 0, 0 } };
	struct take t = { .channels = channels, .nchannels = 2 };
	struct progress p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		fill(&p);
		t.clock = table[i].clock;
		t.epoch = table[i].epoch;
		channels[0].last = table[i].last[0];
		channels[1].last = table[i].last[1];
		if (progress_went_back(&p, &t, NOW_MS) != table[i].want)
			fail_msg("%s", table[i].what);
		/* the next take is held against this epoch */
		assert_int_equal(p.seen_epoch, t.epoch);
		progress_free(&p);
	}
}

static void
position_of_a_batch_shows_nothing(void **state)
{
	/* a position that is only where a batch ended, and a stream that has
	 * seen nothing of a store, show nothing */
	struct taken_channel channels[2] = { { 20, 0 }, { 20, 0 } };
	struct take t = {
		.clock = 100, .epoch = 10, .channels = channels, .nchannels = 2
	};
	struct progress p;

	(void)state;
	fill(&p);
	p.positions[0].is_exact = p.positions[1].is_exact = false;
	progress_note_taken(&p, 0, RECORD(95, 80));
	assert_false(progress_went_back(&p, &t, NOW_MS));
	progress_free(&p);

	fill(&p);
	p.positions[0].is_exact = p.positions[1].is_exact = false;
	p.seen_clock = p.seen_epoch = 0;
	assert_false(progress_went_back(&p, &t, NOW_MS));
	progress_free(&p);
}

static void
records_show_that_the_store_went_back(void **state)
{
	/* a record tells, too, and counts once: a live one that is not the
	 * next, and a taken one that steps over an event that was seen */
	static const struct {
		uint64_t id, prev;
		bool live, taken;
	} table[] = {
		{ 110, 90, false, false }, /* the next */
		{ 110, 95, false, false }, /* one was missed */
		{ 110, 80, true, true },   /* 90 was there, and is no more */
		{ 85, 80, true, false },   /* a take finds what came before */
		{ 90, 90, true, false },
		{ 110, 0, true, true },
	};
	static const struct taken_channel channels[2] = { { 110, 0 },
		{ 50, 0 } };
	const struct take t = {
		.clock = 110, .epoch = 10, .channels = channels, .nchannels = 2
	};
	const struct record *rec;
	struct progress p;
	size_t i;

	(void)state;
	fill(&p);
	for (i = 0; i < ROWS(table); i++) {
		rec = RECORD(table[i].id, table[i].prev);
		progress_note_live(&p, 0, rec);
		if (progress_went_back(&p, &t, NOW_MS) != table[i].live)
			fail_msg("live, row %zu", i);
		assert_false(progress_went_back(&p, &t, NOW_MS));
		progress_note_taken(&p, 0, rec);
		progress_note_taken(&p, 0, RECORD(120, 110)); /* says nothing */
		if (progress_went_back(&p, &t, NOW_MS) != table[i].taken)
			fail_msg("taken, row %zu", i);
		assert_false(progress_went_back(&p, &t, NOW_MS));
	}
	progress_free(&p);
}

static void
replica_may_lag_for_a_while(void **state)
{
	/* a replica may be behind for LAG_MS at a time, whatever its records
	 * say */
	static const struct taken_channel channels[2] = { { 90, 0 },
		{ 50, 0 } };
	const struct take behind = { .clock = 99,
		.epoch = 10,
		.is_replica = true,
		.channels = channels,
		.nchannels = 2 };
	const struct take there = {
		.clock = 100, .epoch = 10, .channels = channels, .nchannels = 2
	};
	const int64_t later_ms = NOW_MS + 10 * LAG_MS;
	struct progress p;

	(void)state;
	fill(&p);
	progress_note_taken(&p, 0, RECORD(95, 80));
	assert_false(progress_went_back(&p, &behind, NOW_MS));
	assert_false(progress_went_back(&p, &behind, NOW_MS + LAG_MS - 1));
	assert_true(progress_went_back(&p, &behind, NOW_MS + LAG_MS));
	/* once it has come as far, it may lag again */
	assert_false(progress_went_back(&p, &there, NOW_MS + LAG_MS));
	assert_false(progress_went_back(&p, &behind, later_ms));
	assert_true(progress_went_back(&p, &behind, later_ms + LAG_MS));
	progress_free(&p);
}

static void
stream_begins_at_the_floor(void **state)
{
	/* a stream begins at the floor; behind a lagging replica its time runs
	 * from there, and the floor counts as seen */
	static const struct taken_channel channels[2] = { { 90, 0 },
		{ 50, 0 } };
	const struct take t = { .clock = 100,
		.epoch = 10,
		.is_replica = true,
		.channels = channels,
		.nchannels = 2 };
	struct resume r = { .floor = 95 };
	struct progress p;

	(void)state;
	assert_int_equal(progress_init(&p, 2, LAG_MS), 0);
	progress_begin(&p, &r, &t, NOW_MS);
	assert_int_equal(p.positions[0].id, 95);
	assert_int_equal(p.positions[1].id, 95);
	assert_int_equal(p.floor, 95);
	assert_int_equal(p.seen_clock, 100);
	assert_int_equal(p.seen_epoch, 10);
	assert_false(progress_went_back(&p, &t, NOW_MS + LAG_MS));
	progress_free(&p);

	r = (struct resume){ .floor = 120, .is_lagging = true };
	assert_int_equal(progress_init(&p, 2, LAG_MS), 0);
	progress_begin(&p, &r, &t, NOW_MS);
	assert_int_equal(p.seen_clock, 120);
	assert_false(progress_went_back(&p, &t, NOW_MS + LAG_MS - 1));
	assert_true(progress_went_back(&p, &t, NOW_MS + LAG_MS));
	progress_free(&p);
}

static void
forgotten_store_shows_nothing(void **state)
{
	/* nothing of a store that went back counts: what it gives out now
	 * passes, and shows nothing */
	static const struct taken_channel channels[2] = { { 40, 0 }, { 0, 0 } };
	const struct take t = {
		.clock = 40, .epoch = 30, .channels = channels, .nchannels = 2
	};
	struct progress p;

	(void)state;
	fill(&p);
	p.floor = 60;
	assert_true(progress_went_back(&p, &t, NOW_MS));
	progress_forget(&p, &t);
	assert_int_equal(p.seen_clock, 40);
	assert_false(progress_went_back(&p, &t, NOW_MS));
	assert_true(progress_reach(&p, 0, RECORD(41, 40)));
	progress_free(&p);
}

static void
take_sets_the_positions(void **state)
{
	/* after a take the positions are its channels' last ids; while more
	 * is to come, where the batch ended, or what is gone if that is newer */
	static const struct {
		const char *what;
		bool has_more;
		uint64_t reached, oldest_prev, clock;
		struct position want;
		uint64_t want_clock;
	} table[] = {
		{ "all", false, 110, 0, 130, { 115, true, false, false }, 130 },
		{ "nothing", false, 0, 0, 90, { 115, true, false, false },
		    100 },
		{ "a batch", true, 110, 0, 130, { 110, false, false, false },
		    130 },
		{ "a batch of others", true, 80, 0, 130,
		    { 90, true, false, false }, 130 },
		{ "gone up to 112", true, 110, 112, 130,
		    { 112, false, false, false }, 130 },
		{ "gone up to 100", true, 110, 100, 130,
		    { 110, false, false, false }, 130 },
	};
	struct taken_channel channels[2] = { { 115, 0 }, { 50, 0 } };
	struct take t = { .epoch = 10, .channels = channels, .nchannels = 2 };
	struct progress p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		fill(&p);
		p.positions[0].is_exact = table[i].has_more;
		channels[0].oldest_prev = table[i].oldest_prev;
		t.clock = table[i].clock;
		t.has_more = table[i].has_more;
		progress_reach_take(&p, &t, table[i].reached);
		if (p.positions[0].id != table[i].want.id ||
		    p.positions[0].is_exact != table[i].want.is_exact ||
		    p.seen_clock != table[i].want_clock)
			fail_msg("%s: at %ju, exact %d, clock %ju",
			    table[i].what, (uintmax_t)p.positions[0].id,
			    p.positions[0].is_exact, (uintmax_t)p.seen_clock);
		progress_free(&p);
	}
}

static void
what_is_gone_is_trimmed(void **state)
{
	/* a channel is trimmed if what lay before its oldest record is newer
	 * than the position */
	static const struct {
		uint64_t oldest_prev[2];
		bool want[2];
	} table[] = {
		{ { 0, 0 }, { false, false } },
		{ { 90, 50 }, { false, false } },
		{ { 91, 50 }, { true, false } },
		{ { 0, 51 }, { false, true } },
		{ { 95, 95 }, { true, true } },
	};
	struct taken_channel channels[2] = { { 0, 0 }, { 0, 0 } };
	const struct take t = { .channels = channels, .nchannels = 2 };
	struct progress p;
	size_t i, channel;

	(void)state;
	fill(&p);
	for (i = 0; i < ROWS(table); i++) {
		for (channel = 0; channel < 2; channel++)
			channels[channel].oldest_prev =
			    table[i].oldest_prev[channel];
		for (channel = 0; channel < 2; channel++)
			if (progress_is_trimmed(&p, &t, channel) !=
			    table[i].want[channel])
				fail_msg("row %zu, channel %zu", i, channel);
		assert_int_equal(progress_any_trimmed(&p, &t),
		    table[i].want[0] || table[i].want[1]);
	}
	progress_free(&p);
}

static void
channels_come_loose(void **state)
{
	/* of a channel that came later whatever record is newer than all that was
	 * seen is the next one, once; then its position is exact */
	static const struct {
		uint64_t id, prev;
		bool want;
	} table[] = {
		{ 100, 0, false }, /* the store had come to here */
		{ 99, 0, false }, { 101, 0, true }, { 101, 42, true },
		{ 200, 150, true }, /* one before it was missed: no matter */
	};
	struct progress p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		const struct record *rec = RECORD(table[i].id, table[i].prev);

		fill(&p);
		assert_int_equal(progress_add(&p, 4), 0);
		assert_int_equal(p.n, 4);
		assert_int_equal(p.positions[0].id, 90);
		assert_int_equal(p.positions[1].id, 50);
		if (progress_is_next(&p, 3, rec) != table[i].want)
			fail_msg("%ju after %ju", (uintmax_t)table[i].id,
			    (uintmax_t)table[i].prev);
		if (table[i].want) {
			assert_true(progress_reach(&p, 3, rec));
			assert_false(progress_is_next(&p, 3, RECORD(300, 299)));
			assert_true(
			    progress_is_next(&p, 3, RECORD(300, table[i].id)));
		}
		/* the other one is as loose as before */
		assert_true(progress_is_next(&p, 2, RECORD(300, 299)));
		/* and these are as they were */
		assert_false(progress_is_next(&p, 0, RECORD(300, 299)));
		assert_true(progress_is_next(&p, 0, RECORD(300, 90)));
		progress_free(&p);
	}
}

static void
channels_come_to_none(void **state)
{
	/* a follower may begin without any */
	struct progress p;

	(void)state;
	assert_int_equal(progress_init(&p, 0, LAG_MS), 0);
	p.seen_clock = 7;
	assert_int_equal(progress_add(&p, 1), 0);
	assert_false(progress_is_next(&p, 0, RECORD(7, 0)));
	assert_true(progress_is_next(&p, 0, RECORD(8, 0)));
	progress_free(&p);
}

static void
take_fixes_loose_positions(void **state)
{
	/* of the channels that it asked for, and no others: those came in
	 * meanwhile; it shows nothing of a channel that had none */
	struct taken_channel channels[3] = { { 90, 0 }, { 50, 0 }, { 80, 0 } };
	const struct take t = {
		.clock = 100, .epoch = 10, .channels = channels, .nchannels = 3
	};
	struct progress p;

	(void)state;
	fill(&p);
	assert_int_equal(progress_add(&p, 4), 0);
	assert_false(progress_any_trimmed(&p, &t));
	assert_false(progress_is_trimmed(&p, &t, 3));
	assert_false(progress_went_back(&p, &t, NOW_MS));
	progress_reach_take(&p, &t, 0);
	assert_int_equal(p.positions[2].id, 80);
	assert_true(progress_is_next(&p, 2, RECORD(110, 80)));
	assert_false(progress_is_next(&p, 2, RECORD(110, 90)));
	assert_true(progress_is_next(&p, 3, RECORD(110, 90)));
	progress_free(&p);
}

static void
loose_positions_wait_for_all_of_a_take(void **state)
{
	/* where more is to come nothing live is the next one */
	struct taken_channel channels[3] = { { 190, 0 }, { 150, 0 },
		{ 180, 0 } };
	const struct take t = { .clock = 200,
		.epoch = 10,
		.has_more = true,
		.channels = channels,
		.nchannels = 3 };
	struct progress p;

	(void)state;
	fill(&p);
	assert_int_equal(progress_add(&p, 3), 0);
	progress_reach_take(&p, &t, 120);
	assert_int_equal(p.positions[2].id, 120);
	assert_false(progress_is_next(&p, 2, RECORD(210, 180)));
	assert_false(progress_is_next(&p, 2, RECORD(210, 120)));
	progress_free(&p);
}

static void
kept_channels_move_up(void **state)
{
	static const bool is_kept[] = { false, true, false, true };
	struct progress p;

	(void)state;
	fill(&p);
	assert_int_equal(progress_add(&p, 4), 0);
	progress_reach(&p, 3, RECORD(110, 0));
	progress_keep(&p, is_kept);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.positions[0].id, 50);
	assert_true(progress_is_next(&p, 1, RECORD(120, 110)));
	/* one that comes again is a new one */
	assert_int_equal(progress_add(&p, 3), 0);
	assert_true(progress_is_next(&p, 2, RECORD(120, 115)));
	assert_false(progress_is_next(&p, 2, RECORD(110, 109)));
	progress_keep(&p, (const bool[]){ false, false, false });
	assert_int_equal(p.n, 0);
	progress_free(&p);
}

static void
others_tell_how_far_the_store_is(void **state)
{
	/* never backwards; a take that is not as far shows that it went back */
	static const struct taken_channel channels[2] = { { 90, 0 },
		{ 50, 0 } };
	const struct take t = {
		.clock = 110, .epoch = 10, .channels = channels, .nchannels = 2
	};
	struct progress p;

	(void)state;
	fill(&p);
	progress_see(&p, 99);
	assert_int_equal(p.seen_clock, 100);
	progress_see(&p, 110);
	assert_int_equal(p.seen_clock, 110);
	assert_false(progress_went_back(&p, &t, NOW_MS));
	progress_see(&p, 111);
	assert_true(progress_went_back(&p, &t, NOW_MS));
	progress_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_record_names_the_position),
		cmocka_unit_test(reached_record_is_the_position),
		cmocka_unit_test(take_shows_that_the_store_went_back),
		cmocka_unit_test(position_of_a_batch_shows_nothing),
		cmocka_unit_test(records_show_that_the_store_went_back),
		cmocka_unit_test(replica_may_lag_for_a_while),
		cmocka_unit_test(stream_begins_at_the_floor),
		cmocka_unit_test(forgotten_store_shows_nothing),
		cmocka_unit_test(take_sets_the_positions),
		cmocka_unit_test(what_is_gone_is_trimmed),
		cmocka_unit_test(channels_come_loose),
		cmocka_unit_test(channels_come_to_none),
		cmocka_unit_test(take_fixes_loose_positions),
		cmocka_unit_test(loose_positions_wait_for_all_of_a_take),
		cmocka_unit_test(kept_channels_move_up),
		cmocka_unit_test(others_tell_how_far_the_store_is),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
