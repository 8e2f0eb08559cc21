/* SPDX-License-Identifier: ISC */
/*
 * resume.h: where a stream begins and what it is told, for each cursor and
 * store.  The rows of a table stand in the order of the decisions.
 */
#include "base/cursor.h"
#include "resume.h"
#include "test/unit/unit.h"

#define SECOND UINT64_C(1000000)
#define DAY (86400 * SECOND)
#define NOW UINT64_C(1700000000000000)
#define ID_MAX (UINT64_C(1) << 53)

/* a store that began an hour ago; its last event came ten seconds ago */
#define EPOCH (NOW - 3600 * SECOND)
#define CLOCK (NOW - 10 * SECOND)
#define STORE                                                                  \
	{                                                                      \
		.clock = CLOCK, .epoch = EPOCH, .now_us = NOW                  \
	}
/* one that began two months ago, and whose last event is 40 days old */
#define OLD_EPOCH (NOW - 60 * DAY)
#define OLD_CLOCK (NOW - 40 * DAY)
#define OLD_STORE                                                              \
	{                                                                      \
		.clock = OLD_CLOCK, .epoch = OLD_EPOCH, .now_us = NOW          \
	}
/* one as old that is still busy */
#define LONG_STORE                                                             \
	{                                                                      \
		.clock = CLOCK, .epoch = OLD_EPOCH, .now_us = NOW              \
	}
#define EMPTY_STORE                                                            \
	{                                                                      \
		.now_us = NOW                                                  \
	}
/* a replica that has come as far as the store above */
#define REPLICA                                                                \
	{                                                                      \
		.clock = CLOCK, .epoch = EPOCH, .now_us = NOW,                 \
		.is_replica = true                                             \
	}
/* a master whose clock was set back by an hour after its last event */
#define AHEAD (NOW + 3600 * SECOND)
#define AHEAD_STORE                                                            \
	{                                                                      \
		.clock = AHEAD, .epoch = EPOCH, .now_us = NOW                  \
	}

struct row {
	const char *what;
	struct cursor cursor;
	struct take take;
	uint64_t first_id;
	bool any_trimmed;
	struct resume want;
};

static void
check(const struct row *rows, size_t n)
{
	struct resume got;
	size_t i;

	for (i = 0; i < n; i++) {
		got = resume_decide(&rows[i].cursor, &rows[i].take,
		    rows[i].first_id, rows[i].any_trimmed);
		if (got.floor != rows[i].want.floor ||
		    got.reason != rows[i].want.reason ||
		    got.affects_all != rows[i].want.affects_all ||
		    got.is_lagging != rows[i].want.is_lagging)
			fail_msg("%s: floor %ju, %s, all %d, lagging %d",
			    rows[i].what, (uintmax_t)got.floor,
			    reset_reason_name(got.reason), got.affects_all,
			    got.is_lagging);
	}
}

#define ID(n)                                                                  \
	{                                                                      \
		CURSOR_ID, n                                                   \
	}

static void
stream_without_a_cursor_is_told_nothing(void **state)
{
	/* without a cursor a stream begins at the clock, or before the first
	 * record wanted, and has nothing to be told */
	static const struct row table[] = {
		{ "now", { CURSOR_NONE, 0 }, STORE, 0, false,
		    { .floor = CLOCK } },
		{ "now, in an empty store", { CURSOR_NONE, 0 }, EMPTY_STORE, 0,
		    false, { .floor = 0 } },
		{ "now, on a replica", { CURSOR_NONE, 0 }, REPLICA, 0, false,
		    { .floor = CLOCK } },
		{ "earliest", { CURSOR_EARLIEST, 0 }, STORE, EPOCH + 5, false,
		    { .floor = EPOCH + 4 } },
		/* one id before the first of all is a cursor of before the
		 * store; 0 is none */
		{ "earliest, the store's first event", { CURSOR_EARLIEST, 0 },
		    STORE, EPOCH, false, { .floor = 0 } },
		{ "earliest, its second", { CURSOR_EARLIEST, 0 }, STORE,
		    EPOCH + 1, false, { .floor = EPOCH } },
		{ "the newest three, all there is", { CURSOR_LAST, 3 }, STORE,
		    EPOCH, false, { .floor = 0 } },
		{ "earliest is never a reset", { CURSOR_EARLIEST, 0 },
		    OLD_STORE, OLD_EPOCH + 5, true,
		    { .floor = OLD_EPOCH + 4 } },
		{ "earliest, nothing kept", { CURSOR_EARLIEST, 0 }, STORE, 0,
		    true, { .floor = CLOCK } },
		{ "earliest, empty store", { CURSOR_EARLIEST, 0 }, EMPTY_STORE,
		    0, false, { .floor = 0 } },
		{ "the newest three", { CURSOR_LAST, 3 }, STORE, CLOCK - 2,
		    false, { .floor = CLOCK - 3 } },
		{ "the newest three are more than kept", { CURSOR_LAST, 3 },
		    STORE, CLOCK - 2, true, { .floor = CLOCK - 3 } },
		{ "the newest of nothing", { CURSOR_LAST, 3 }, STORE, 0, false,
		    { .floor = CLOCK } },
		{ "a minute", { CURSOR_SINCE, 60 }, STORE, CLOCK - 7, true,
		    { .floor = CLOCK - 8 } },
		{ "a minute without events", { CURSOR_SINCE, 60 }, STORE, 0,
		    false, { .floor = CLOCK } },
		{ "the number is none of ours", { CURSOR_NONE, 77 }, STORE, 0,
		    false, { .floor = CLOCK } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
client_can_come_back_to_its_start(void **state)
{
	/* where a stream began is a place that its client can come back to
	 * without a word */
	static const struct cursor starts[] = { { CURSOR_NONE, 0 },
		{ CURSOR_EARLIEST, 0 }, { CURSOR_LAST, 5 },
		{ CURSOR_SINCE, 60 } };
	static const uint64_t first_ids[] = { 0, EPOCH, EPOCH + 1, EPOCH + 2,
		CLOCK - 1, CLOCK };
	static const struct take stores[] = { STORE, REPLICA };
	struct cursor again = { CURSOR_ID, 0 };
	struct resume r;
	size_t i, k, j;

	(void)state;
	for (i = 0; i < ROWS(starts); i++)
		for (k = 0; k < ROWS(first_ids); k++)
			for (j = 0; j < ROWS(stores); j++) {
				r = resume_decide(&starts[i], &stores[j],
				    first_ids[k], false);
				again.number = r.floor;
				r = resume_decide(
				    &again, &stores[j], first_ids[k], false);
				if (r.reason != RESET_NONE || r.is_lagging)
					fail_msg("start %zu, first %zu", i, k);
			}
}

static void
cursor_within_the_store_goes_on(void **state)
{
	/* a cursor within the store goes on after itself, without a word */
	static const struct row table[] = {
		{ "in the middle", ID(CLOCK - 5), STORE, CLOCK - 4, false,
		    { .floor = CLOCK - 5 } },
		{ "at the clock", ID(CLOCK), STORE, 0, false,
		    { .floor = CLOCK } },
		{ "at the epoch", ID(EPOCH), STORE, EPOCH + 1, false,
		    { .floor = EPOCH } },
		{ "all that is kept", ID(0), STORE, EPOCH, false,
		    { .floor = 0 } },
		{ "all of an empty store", ID(0), EMPTY_STORE, 0, false,
		    { .floor = 0 } },
		{ "on a replica", ID(CLOCK - 5), REPLICA, CLOCK - 4, false,
		    { .floor = CLOCK - 5 } },
		{ "more than a minute ahead, but the clock is as far",
		    ID(AHEAD), AHEAD_STORE, 0, false, { .floor = AHEAD } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
cursor_of_the_future_is_unknown(void **state)
{
	/* not a number, or more than a minute past Redis' time: unknown, from the
	 * clock; it comes before all other reasons */
	static const struct row table[] = {
		{ "not a number", { CURSOR_UNKNOWN, 0 }, STORE, 0, false,
		    { .floor = CLOCK, .reason = RESET_UNKNOWN } },
		{ "not a number, and trimmed", { CURSOR_UNKNOWN, 0 }, STORE, 0,
		    true, { .floor = CLOCK, .reason = RESET_UNKNOWN } },
		{ "not a number, empty store", { CURSOR_UNKNOWN, 0 },
		    EMPTY_STORE, 0, false,
		    { .floor = 0, .reason = RESET_UNKNOWN } },
		{ "a minute and a bit ahead", ID(NOW + 60 * SECOND + 1), STORE,
		    0, false, { .floor = CLOCK, .reason = RESET_UNKNOWN } },
		{ "the largest", ID(ID_MAX), STORE, 0, true,
		    { .floor = CLOCK, .reason = RESET_UNKNOWN } },
		{ "before flushed", ID(ID_MAX), EMPTY_STORE, 0, false,
		    { .floor = 0, .reason = RESET_UNKNOWN } },
		{ "before lagging", ID(ID_MAX), REPLICA, 0, false,
		    { .floor = CLOCK, .reason = RESET_UNKNOWN } },
		{ "just past a clock that is ahead", ID(AHEAD + 1), AHEAD_STORE,
		    0, false, { .floor = AHEAD, .reason = RESET_UNKNOWN } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
cursor_of_another_store_is_flushed(void **state)
{
	/* a cursor of before the store, or newer than a master's clock:
	 * flushed.  What the store gives out from now on must pass the floor,
	 * so it is never above a master's clock. */
	static const struct row table[] = {
		{ "a minute ahead is not unknown", ID(NOW + 60 * SECOND), STORE,
		    0, false, { .floor = CLOCK, .reason = RESET_FLUSHED } },
		{ "just past the clock", ID(CLOCK + 1), STORE, 0, false,
		    { .floor = CLOCK, .reason = RESET_FLUSHED } },
		{ "just before the epoch", ID(EPOCH - 1), STORE, EPOCH, false,
		    { .floor = EPOCH - 1, .reason = RESET_FLUSHED } },
		{ "the first id of all", ID(1), STORE, EPOCH, false,
		    { .floor = 1, .reason = RESET_FLUSHED } },
		{ "an empty store", ID(CLOCK), EMPTY_STORE, 0, false,
		    { .floor = 0, .reason = RESET_FLUSHED } },
		{ "an empty store whose time is behind", ID(NOW + 30 * SECOND),
		    EMPTY_STORE, 0, false,
		    { .floor = 0, .reason = RESET_FLUSHED } },
		{ "before trimmed", ID(EPOCH - 1), STORE, EPOCH, true,
		    { .floor = EPOCH - 1, .reason = RESET_FLUSHED } },
		{ "before 30 days", ID(OLD_EPOCH - 1), LONG_STORE, 0, false,
		    { .floor = OLD_EPOCH - 1, .reason = RESET_FLUSHED } },
		{ "past the clock, before trimmed", ID(CLOCK + 1), STORE, 0,
		    true, { .floor = CLOCK, .reason = RESET_FLUSHED } },
		{ "an epoch without a clock", ID(CLOCK),
		    { .epoch = EPOCH, .now_us = NOW }, 0, false,
		    { .floor = 0, .reason = RESET_FLUSHED } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
replica_that_lags_is_waited_for(void **state)
{
	/* a replica may not have come as far as the cursor: wait for it there;
	 * but a replica of a store without an epoch, or of a younger one, says
	 * flushed like any other */
	static const struct row table[] = {
		{ "just past its clock", ID(CLOCK + 1), REPLICA, 0, false,
		    { .floor = CLOCK + 1, .is_lagging = true } },
		{ "a minute ahead", ID(NOW + 60 * SECOND), REPLICA, 0, false,
		    { .floor = NOW + 60 * SECOND, .is_lagging = true } },
		{ "before trimmed", ID(CLOCK + 1), REPLICA, 0, true,
		    { .floor = CLOCK + 1, .is_lagging = true } },
		{ "not past its clock", ID(CLOCK), REPLICA, 0, false,
		    { .floor = CLOCK } },
		{ "before the epoch", ID(EPOCH - 1), REPLICA, EPOCH, false,
		    { .floor = EPOCH - 1, .reason = RESET_FLUSHED } },
		/* it may still be filled with what the cursor has seen */
		{ "an empty replica", ID(CLOCK),
		    { .now_us = NOW, .is_replica = true }, 0, false,
		    { .floor = CLOCK, .reason = RESET_FLUSHED } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
what_is_gone_is_trimmed(void **state)
{
	/* a channel of which something is gone: trimmed, that one alone.  A
	 * cursor of more than 30 days ago: all, as their memory may have gone,
	 * unless it is the clock. */
	static const struct row table[] = {
		{ "a channel", ID(CLOCK - 5), STORE, CLOCK - 1, true,
		    { .floor = CLOCK - 5, .reason = RESET_TRIMMED } },
		{ "a channel, at the clock", ID(CLOCK), STORE, 0, true,
		    { .floor = CLOCK, .reason = RESET_TRIMMED } },
		{ "a channel, after 0", ID(0), STORE, EPOCH + 9, true,
		    { .floor = 0, .reason = RESET_TRIMMED } },
		{ "30 days and a bit", ID(NOW - 30 * DAY - 1), LONG_STORE, 0,
		    false,
		    { .floor = NOW - 30 * DAY - 1,
			.reason = RESET_TRIMMED,
			.affects_all = true } },
		{ "30 days", ID(NOW - 30 * DAY), LONG_STORE, 0, false,
		    { .floor = NOW - 30 * DAY } },
		{ "30 days, and a channel", ID(NOW - 30 * DAY), LONG_STORE, 0,
		    true,
		    { .floor = NOW - 30 * DAY, .reason = RESET_TRIMMED } },
		{ "more than 30 days, and a channel", ID(NOW - 50 * DAY),
		    LONG_STORE, 0, true,
		    { .floor = NOW - 50 * DAY,
			.reason = RESET_TRIMMED,
			.affects_all = true } },
		{ "old, and the clock: nothing has come since", ID(OLD_CLOCK),
		    OLD_STORE, 0, false, { .floor = OLD_CLOCK } },
		{ "just before an old clock", ID(OLD_CLOCK - 1), OLD_STORE,
		    OLD_CLOCK, false,
		    { .floor = OLD_CLOCK - 1,
			.reason = RESET_TRIMMED,
			.affects_all = true } },
		{ "0 in an old store", ID(0), LONG_STORE, 0, false,
		    { .floor = 0,
			.reason = RESET_TRIMMED,
			.affects_all = true } },
		{ "0 in one of just 30 days", ID(0),
		    { .clock = CLOCK, .epoch = NOW - 30 * DAY, .now_us = NOW },
		    0, false, { .floor = 0 } },
		{ "on a replica, too", ID(NOW - 50 * DAY),
		    { .clock = CLOCK,
			.epoch = OLD_EPOCH,
			.now_us = NOW,
			.is_replica = true },
		    0, false,
		    { .floor = NOW - 50 * DAY,
			.reason = RESET_TRIMMED,
			.affects_all = true } },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
take_reads_after_the_cursor(void **state)
{
	/* the take reads after the cursor; everything for earliest; nothing
	 * when there is no place to go on from */
	static const struct {
		struct cursor cursor;
		uint64_t want;
	} table[] = {
		{ { CURSOR_ID, CLOCK }, CLOCK },
		{ { CURSOR_ID, 0 }, 0 },
		{ { CURSOR_EARLIEST, 0 }, 0 },
		{ { CURSOR_NONE, 0 }, ID_MAX },
		{ { CURSOR_UNKNOWN, 0 }, ID_MAX },
		{ { CURSOR_LAST, 5 }, ID_MAX },
		{ { CURSOR_SINCE, 60 }, ID_MAX },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++)
		if (resume_position(&table[i].cursor) != table[i].want)
			fail_msg("row %zu", i);
}

static void
reasons_have_their_words(void **state)
{
	/* the words of the interface */
	(void)state;
	assert_string_equal(reset_reason_name(RESET_UNKNOWN), "unknown");
	assert_string_equal(reset_reason_name(RESET_FLUSHED), "flushed");
	assert_string_equal(reset_reason_name(RESET_TRIMMED), "trimmed");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_without_a_cursor_is_told_nothing),
		cmocka_unit_test(client_can_come_back_to_its_start),
		cmocka_unit_test(cursor_within_the_store_goes_on),
		cmocka_unit_test(cursor_of_the_future_is_unknown),
		cmocka_unit_test(cursor_of_another_store_is_flushed),
		cmocka_unit_test(replica_that_lags_is_waited_for),
		cmocka_unit_test(what_is_gone_is_trimmed),
		cmocka_unit_test(take_reads_after_the_cursor),
		cmocka_unit_test(reasons_have_their_words),
	};

	return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
