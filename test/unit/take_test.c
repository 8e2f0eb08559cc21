/* SPDX-License-Identifier: ISC */
/* take.h: the words that Redis gets, and that none stays of an earlier take. */
#include "base/cursor.h"
#include "redis/channel.h"
#include "redis/take.h"
#include "test/unit/unit.h"

/* The words from a number on are these, separated by blanks. */
static void
assert_words(const struct command *c, int first, const char *want)
{
	char got[2000] = "";
	size_t len = 0;
	int i;

	for (i = first; i < c->argc; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%.*s",
		    i > first ? " " : "", (int)c->lens[i], c->argv[i]);
	assert_string_equal(got, want);
}

static char all[] = "all", foo[] = "foo";
static struct channel two[] = { { all, 3 }, { foo, 3 } };
static const struct channel_set channels = { two, 2, 2, NULL, 0 };
static char key[] = "p:session:ab", other_key[] = "p:session:cd";
static struct channel key_items[] = { { key, 12 }, { other_key, 12 } };
static const struct channel_set no_keys;

static void
sessions_have_their_keys_in_their_place(void **state)
{
	/* snapshot.lua knows its keys by their places */
	static const struct {
		size_t nkeys;
		const char *keys, *subscribe;
	} table[] = {
		{ 0,
		    "8 p:clock p:epoch p:recorder p:last"
		    " p:history:all p:meta:all p:history:foo p:meta:foo",
		    "SUBSCRIBE p:recorder p:event:all p:event:foo" },
		{ 1,
		    "9 p:clock p:epoch p:recorder p:last p:session:ab"
		    " p:history:all p:meta:all p:history:foo p:meta:foo",
		    "SUBSCRIBE p:recorder p:event:all p:event:foo"
		    " p:session:ab" },
		{ 2,
		    "10 p:clock p:epoch p:recorder p:last p:session:ab"
		    " p:session:cd"
		    " p:history:all p:meta:all p:history:foo p:meta:foo",
		    "SUBSCRIBE p:recorder p:event:all p:event:foo"
		    " p:session:ab p:session:cd" },
	};
	struct take_words w;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		const struct channel_set keys = { key_items, table[i].nkeys, 2,
			NULL, 0 };

		assert_int_equal(
		    take_words_init(&w, "p:", &channels, &keys), 0);
		assert_string_equal(w.eval.argv[0], "EVAL");
		assert_int_equal(w.eval.lens[1], strlen(w.eval.argv[1]));
		assert_words(&w.eval, 2, table[i].keys);
		assert_words(&w.subscribe, 0, table[i].subscribe);
		take_words_free(&w);
	}
}

static void
each_take_replaces_the_last(void **state)
{
	/* what belongs to one take takes the place of what belonged to the one
	 * before; the empty word is that of a start from the positions */
	static const struct {
		struct cursor start;
		uint64_t highest;
		struct position positions[2];
		const char *eval, *plain;
	} table[] = {
		{ { CURSOR_NONE, 0 }, 9,
		    { { 1, true, true, false }, { 2, false, true, false } },
		    "4194304 9  0 0 1 2", "all foo" },
		{ { CURSOR_ID, 5 }, 5,
		    { { 5, false, false, false }, { 5, false, false, false } },
		    "4194304 5  5 0 5 5", "" },
		{ { CURSOR_LAST, 3 }, 0,
		    { { 1, false, false, false }, { 2, false, true, false } },
		    "4194304 0 last 3 0 1 2", "foo" },
		{ { CURSOR_SINCE, 60 }, UINT64_MAX,
		    { { 0, false, true, false },
			{ UINT64_MAX, false, false, false } },
		    "4194304 18446744073709551615 since 60"
		    " 0 0 18446744073709551615",
		    "all" },
		{ { CURSOR_EARLIEST, 0 }, 0,
		    { { 0, false, false, false }, { 0, false, false, false } },
		    "4194304 0  0 0 0 0", "" },
	};
	struct take_words w;
	size_t i;

	(void)state;
	assert_int_equal(take_words_init(&w, "p:", &channels, &no_keys), 0);
	for (i = 0; i < ROWS(table); i++) {
		take_words_set(&w, table[i].positions, table[i].highest,
		    &table[i].start, 4194304);
		/* after EVAL, the script, the number of keys, and eight */
		assert_words(&w.eval, 11, table[i].eval);
		/* after SUBSCRIBE and three channels of ours */
		assert_words(&w.subscribe, 4, table[i].plain);
	}
	take_words_free(&w);
}

static void
longest_names_have_room(void **state)
{
	/* a thousand channels with the longest names have room for all words,
	 * the plain ones, too */
	static char name[CHANNEL_LEN_MAX + 1];
	static struct channel thousand[1000];
	static struct position positions[1000];
	static const struct channel_set most = { thousand, 1000, 1000, NULL,
		0 };
	static const struct channel_set keys = { key_items, 1, 1, NULL, 0 };
	struct take_words w;
	size_t i;

	(void)state;
	memset(name, 'x', CHANNEL_LEN_MAX);
	for (i = 0; i < 1000; i++) {
		thousand[i] = (struct channel){ name, CHANNEL_LEN_MAX };
		positions[i] =
		    (struct position){ UINT64_MAX, true, true, false };
	}
	assert_int_equal(take_words_init(&w, "p:", &most, &keys), 0);
	take_words_set(&w, positions, UINT64_MAX,
	    &(struct cursor){ CURSOR_SINCE, 1 }, TAKE_BYTES_MAX);
	assert_int_equal(w.eval.argc, 13 + 3000);
	assert_int_equal(w.subscribe.argc, 3 + 2000);
	take_words_free(&w);
}

/* --- how much ----------------------------------------------------------- */

static void
cuts_halve_down_to_a_single_record(void **state)
{
	/* each cut halves what is asked for next, in the end to one record, and
	 * to its size */
	static const size_t want[] = { 2 << 20, 1 << 20, 512 << 10, 256 << 10,
		128 << 10, TAKE_SINGLE, TAKE_PROBE };
	struct take_size ts;
	size_t i;

	(void)state;
	take_size_init(&ts);
	assert_int_equal(ts.bytes, TAKE_BYTES_MAX);
	for (i = 0; i < ROWS(want); i++) {
		assert_true(take_size_cut(&ts, 0));
		assert_int_equal(ts.bytes, want[i]);
	}
	/* not even that is answered: it is not the size */
	assert_false(take_size_cut(&ts, 0));
	assert_int_equal(ts.bytes, TAKE_PROBE);
}

static void
answers_let_it_grow_slowly(void **state)
{
	/* each answer lets an eighth more be asked for, up to the maximum */
	struct take_size ts = { .bytes = TAKE_SINGLE, .ncuts = 2 };
	size_t before;
	int i;

	(void)state;
	assert_false(take_size_answered(&ts, 0, 0));
	assert_int_equal(ts.bytes, TAKE_BYTES_MIN);
	assert_int_equal(ts.ncuts, 0);
	for (i = 0; ts.bytes < TAKE_BYTES_MAX; i++) {
		before = ts.bytes;
		assert_false(take_size_answered(&ts, 0, 0));
		assert_true(ts.bytes > before);
		assert_true(ts.bytes <= before + before / 8);
	}
	assert_true(i < 40);
	assert_false(take_size_answered(&ts, 0, 0));
	assert_int_equal(ts.bytes, TAKE_BYTES_MAX);
}

static void
limit_holds_for_what_is_large(void **state)
{
	static const struct {
		size_t bytes, limit, want;
	} table[] = {
		{ TAKE_BYTES_MAX, TAKE_BYTES_MAX, TAKE_BYTES_MAX },
		{ TAKE_BYTES_MAX, 1 << 20, 1 << 20 },
		{ TAKE_BYTES_MAX, 5, TAKE_BYTES_MIN },
		{ TAKE_BYTES_MIN, 1 << 20, TAKE_BYTES_MIN },
		{ TAKE_SINGLE, 0, TAKE_SINGLE },
		{ TAKE_PROBE, 0, TAKE_PROBE },
	};
	struct take_size ts;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		ts = (struct take_size){ .bytes = table[i].bytes };
		take_size_limit(&ts, table[i].limit);
		assert_int_equal(ts.bytes, table[i].want);
	}
}

/* One record asked for, cut, and Redis asked how large it is. */
static bool
probe_after_cut(struct take_size *ts, uint64_t next_bytes, int64_t now_ms)
{
	assert_int_equal(ts->bytes, TAKE_SINGLE);
	assert_true(take_size_cut(ts, now_ms));
	assert_int_equal(ts->bytes, TAKE_PROBE);
	return take_size_answered(ts, next_bytes, now_ms);
}

static void
cuts_for_seconds_show_an_oversized_record(void **state)
{
	/* one that is cut three times, over three seconds, is passed over */
	struct take_size ts = { .bytes = TAKE_SINGLE };

	(void)state;
	assert_false(probe_after_cut(&ts, 1 << 20, 1000));
	assert_false(probe_after_cut(&ts, 1 << 20, 2000));
	assert_false(probe_after_cut(&ts, 1 << 20, 3999));
	assert_true(probe_after_cut(&ts, 1 << 20, 4000));
	/* and it begins anew for the next one; twice is chance */
	assert_false(probe_after_cut(&ts, 1 << 20, 5000));
	assert_false(probe_after_cut(&ts, 1 << 20, 9000));
	/* one that came through was cut by chance */
	assert_false(take_size_answered(&ts, 0, 9001));
	ts.bytes = TAKE_SINGLE;
	assert_false(probe_after_cut(&ts, 1 << 20, 9002));
}

static void
no_small_record_is_oversized(void **state)
{
	/* nor is none at all: then something else cuts the connection */
	struct take_size ts = { .bytes = TAKE_SINGLE };
	int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_false(
		    probe_after_cut(&ts, TAKE_BYTES_MIN - 1, 10000 * i));
		assert_false(probe_after_cut(&ts, 0, 10000 * i));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_have_their_keys_in_their_place),
		cmocka_unit_test(each_take_replaces_the_last),
		cmocka_unit_test(longest_names_have_room),
		cmocka_unit_test(cuts_halve_down_to_a_single_record),
		cmocka_unit_test(answers_let_it_grow_slowly),
		cmocka_unit_test(limit_holds_for_what_is_large),
		cmocka_unit_test(cuts_for_seconds_show_an_oversized_record),
		cmocka_unit_test(no_small_record_is_oversized),
	};

	return cmocka_run_group_tests_name("take", tests, NULL, NULL);
}
