/* SPDX-License-Identifier: ISC */
/* fan_sink.h, fan_reset.h, fan_write.h: what a follower hears, to each stream
 * that it is for. */
#include "carrier/fan_sink.h"
#include "block.h"
#include "test/unit/fan_scene.h"

#define FRAME(id) "id: " #id "\ndata: x\n\n"
#define POSITION(id) "id: " #id "\nevent: stream-position\ndata: " #id "\n\n"
#define RESET(names, reason, id)                                               \
	"event: stream-reset\ndata: {\"channels\":[" names                     \
	"],\"reason\":\"" reason "\",\"id\":\"" #id "\"}\n\n"

/* --- records ------------------------------------------------------------ */

static void
records_are_for_who_hears_them(void **state)
{
	/* those of its channels that are newer than its floor */
	static const struct known ab[] = { { "a", 0 }, { "b", 0 } };
	struct carried *a, *b, *both;
	struct fan f;

	(void)state;
	scene_begin(&f);
	a = add_live(&f, "a", 10, 10);
	b = add_live(&f, "b", 10, 10);
	both = add_guest(&f, ab, 2, "", "", 1);
	move_in(&f, both, 20, 15);
	hear_record(&f, "a", 15, 0);
	hear_record(&f, "b", 20, 0);
	hear_record(&f, "a", 21, 15);
	check_stream(&f, a, FRAME(15) FRAME(21));
	check_stream(&f, b, FRAME(20));
	check_stream(&f, both, FRAME(21));
	hear_record(&f, "b", 22, 20);
	check_stream(&f, a, "");
	check_stream(&f, both, FRAME(22));
	scene_end(&f);
}

static void
cursor_never_goes_back(void **state)
{
	/* after a late record comes the highest id */
	static const struct known ab[] = { { "a", 0 }, { "b", 0 } };
	struct carried *c;
	struct fan f;

	(void)state;
	scene_begin(&f);
	c = add_guest(&f, ab, 2, "", "", 1);
	move_in(&f, c, 10, 10);
	hear_record(&f, "a", 30, 0);
	hear_record(&f, "b", 20, 0);
	hear_record(&f, "b", 25, 20);
	hear_record(&f, "a", 31, 30);
	check_stream(&f, c,
	    FRAME(30) FRAME(20) POSITION(30) FRAME(25) POSITION(30) FRAME(31));
	assert_int_equal(c->cursor, 31);
	scene_end(&f);
}

static void
guest_gets_what_came_meanwhile(void **state)
{
	/* after its floor, of its channels, when it moves in */
	static const struct known ab[] = { { "a", 10 }, { "b", 12 } };
	struct carried *c;
	struct fan f;

	(void)state;
	scene_begin(&f);
	recent_reset(&f.recent, 12);
	c = add_guest(&f, ab, 2, "", "", 1);
	add_live(&f, "other", 12, 12);
	hear_record(&f, "a", 20, 10);
	hear_record(&f, "other", 21, 0);
	hear_record(&f, "b", 22, 12);
	hear_record(&f, "a", 23, 20);
	fan_write(&f, NOW_MS);
	move_in(&f, c, 20, 20);
	check_stream(&f, c, FRAME(22) FRAME(23));
	hear_record(&f, "b", 24, 22);
	check_stream(&f, c, FRAME(24));
	assert_int_equal(c->cursor, 24);
	scene_end(&f);
}

static void
passed(struct fan *f, const char *channel, uint64_t id)
{
	const struct record rec = {
		.id = id, .frame = FRAME(30), .frame_len = strlen(FRAME(30))
	};

	f->sink.ops->passed(&f->sink, number_of(f, channel), &rec);
}

static void
passed_record_is_a_position(void **state)
{
	/* for who had it live; who moves in later gets it */
	static const struct known a[] = { { "a", 0 } };
	struct carried *before, *ahead, *guest;
	struct fan f;

	(void)state;
	scene_begin(&f);
	before = add_live(&f, "a", 10, 10);
	ahead = add_live(&f, "a", 10, 30);
	guest = add_guest(&f, a, 1, "", "", 1);
	passed(&f, "a", 30);
	check_stream(&f, before, POSITION(30));
	check_stream(&f, ahead, "");
	move_in(&f, guest, 10, 10);
	check_stream(&f, guest, FRAME(30));
	scene_end(&f);
}

static void
plain_message_spoils_guests(void **state)
{
	/* they cannot get it later; who does not hear it is as before */
	static const struct known a[] = { { "a", 0 } }, b[] = { { "b", 0 } };
	struct carried *live, *guest, *other;
	struct fan f;

	(void)state;
	scene_begin(&f);
	live = add_live(&f, "a", 10, 10);
	guest = add_guest(&f, a, 1, "", "", 1);
	other = add_guest(&f, b, 1, "", "", 1);
	f.sink.ops->message(&f.sink, number_of(&f, "a"), "data: y\n\n", 9);
	check_stream(&f, live, "data: y\n\n");
	assert_true(guest->is_spoiled);
	assert_false(other->is_spoiled);
	scene_end(&f);
}

/* --- what cannot be kept ------------------------------------------------ */

/* Of the channels a, b and c, in this order. */
static void
reset(struct fan *f, enum reset_reason reason, uint64_t id,
    const bool *is_affected, uint64_t a_end, uint64_t b_end)
{
	const struct taken_channel found[3] = { { 0, a_end }, { 0, b_end } };
	const struct take t = {
		.clock = id, .channels = found, .nchannels = 3
	};
	const struct reset r = { .reason = reason,
		.id = id,
		.channels = &f->channels,
		.is_affected = is_affected,
		.take = &t };

	assert_int_equal(f->sink.ops->reset(&f->sink, &r), CLIENT_OK);
}

static void
hole_concerns_who_wants_it(void **state)
{
	/* of a channel's hole hears who hears the channel, and is not after it;
	 * and a guest that is not after it cannot move in */
	static const struct known abc[] = { { "a", 0 }, { "b", 0 },
		{ "c", 0 } };
	static const bool ab_affected[] = { true, true, false },
			  b_affected[] = { false, true, false };
	struct carried *all, *a, *b, *late, *c, *guest;
	struct fan f;

	(void)state;
	scene_begin(&f);
	all = add_guest(&f, abc, 3, "", "", 1);
	move_in(&f, all, 10, 10);
	a = add_live(&f, "a", 10, 10);
	b = add_live(&f, "b", 25, 25);
	late = add_live(&f, "a", 20, 20);
	c = add_live(&f, "c", 10, 10);
	guest = add_guest(&f, abc, 3, "", "", 1);
	reset(&f, RESET_TRIMMED, 100, ab_affected, 20, 30);
	check_stream(&f, all, RESET("\"a\",\"b\"", "trimmed", 100));
	check_stream(&f, a, RESET("\"a\"", "trimmed", 100));
	check_stream(&f, b, RESET("\"b\"", "trimmed", 100));
	check_stream(&f, late, "");
	check_stream(&f, c, "");
	assert_false(guest->is_spoiled);
	guest->heard = 29;
	assert_false(fan_can_catch_up(&f, guest));
	guest->heard = 30;
	assert_true(fan_can_catch_up(&f, guest));

	/* one record that Redis does not let through */
	reset(&f, RESET_OVERSIZED, 40, b_affected, 0, 0);
	check_stream(&f, all, RESET("\"b\"", "oversized", 40));
	check_stream(&f, b, RESET("\"b\"", "oversized", 40));
	check_stream(&f, a, "");
	assert_false(fan_can_catch_up(&f, guest));
	guest->heard = 40;
	assert_true(fan_can_catch_up(&f, guest));
	scene_end(&f);
}

static void
store_that_went_back_concerns_all(void **state)
{
	/* its end is the cursor then, as a position once all is taken; guests stay
	 * where they are; what was kept is worth nothing */
	static const struct known a[] = { { "a", 90 } };
	static const bool none[3] = { false };
	struct carried *first, *second, *guest;
	struct fan f;

	(void)state;
	scene_begin(&f);
	first = add_live(&f, "a", 90, 90);
	second = add_live(&f, "b", 95, 30);
	guest = add_guest(&f, a, 1, "", "", 1);
	hear_record(&f, "a", 100, 90);
	check_stream(&f, first, FRAME(100));
	reset(&f, RESET_FLUSHED, 40, none, 0, 0);
	check_stream(&f, first, RESET("\"a\"", "flushed", 40));
	check_stream(&f, second, RESET("\"b\"", "flushed", 40));
	assert_int_equal(first->cursor, 40);
	assert_int_equal(second->cursor, 30);
	assert_true(guest->is_spoiled);
	assert_int_equal(recent_floor(&f.recent), 40);
	f.sink.ops->position(&f.sink, 41);
	check_stream(&f, first, POSITION(41));
	check_stream(&f, second, POSITION(41));
	f.sink.ops->position(&f.sink, 42); /* it is owed once */
	check_stream(&f, first, "");
	/* what the store gives out now is for them */
	hear_record(&f, "a", 43, 0);
	check_stream(&f, first, FRAME(43));
	scene_end(&f);
}

static void
who_came_since_has_nothing_to_hear(void **state)
{
	/* where one has seen the store further than it is, and others have not,
	 * it is the one's affair; where nobody has it is another store */
	static const bool none[3] = { false };
	struct carried *ahead, *since;
	struct fan f;

	(void)state;
	scene_begin(&f);
	ahead = add_live(&f, "a", 90, 90);
	since = add_live(&f, "a", 40, 40);
	reset(&f, RESET_FLUSHED, 40, none, 0, 0);
	check_stream(&f, ahead, RESET("\"a\"", "flushed", 40));
	check_stream(&f, since, "");
	reset(&f, RESET_FLUSHED, 40, none, 0, 0);
	check_stream(&f, ahead, RESET("\"a\"", "flushed", 40));
	check_stream(&f, since, RESET("\"a\"", "flushed", 40));
	scene_end(&f);
}

static void
first_record_shows_what_is_gone(void **state)
{
	/* the first of a channel since a stream came follows on what its responder
	 * knew, or that is gone from the store */
	static const struct {
		uint64_t known, id, prev;
		const char *want;
	} table[] = {
		{ 0, 50, 0, FRAME(50) },
		{ 30, 50, 30, FRAME(50) },
		{ 30, 50, 40,
		    FRAME(50) }, /* one missed: the follower's affair */
		{ 30, 50, 29, RESET("\"a\"", "flushed", 50) FRAME(50) },
		{ 30, 50, 0, RESET("\"a\"", "flushed", 50) FRAME(50) },
	};
	struct known one = { "a", 0 };
	struct carried *c;
	struct fan f;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		scene_begin(&f);
		one.position = table[i].known;
		c = add_guest(&f, &one, 1, "", "", 1);
		move_in(&f, c, 35, 35);
		hear_record(&f, "a", table[i].id, table[i].prev);
		check_stream(&f, c, table[i].want);
		/* said once */
		hear_record(&f, "a", 60, table[i].prev);
		check_stream(&f, c, FRAME(60));
		scene_end(&f);
	}
}

static void
take_shows_what_is_gone(void **state)
{
	/* the channel's last one is older than what a responder knew; a channel
	 * that was forgotten shows nothing */
	static const struct known ab[] = { { "a", 30 }, { "b", 20 } };
	static const struct {
		struct taken_channel found[2];
		size_t nchannels;
		const char *want;
	} table[] = {
		{ { { 30, 0 }, { 20, 0 } }, 2, "" },
		{ { { 40, 0 }, { 0, 0 } }, 2, "" },
		{ { { 29, 0 }, { 20, 0 } }, 2,
		    RESET("\"a\",\"b\"", "flushed", 50) POSITION(50) },
		{ { { 30, 0 }, { 19, 0 } }, 2,
		    RESET("\"a\",\"b\"", "flushed", 50) POSITION(50) },
		{ { { 30, 0 }, { 19, 0 } }, 1, "" }, /* it did not ask */
	};
	struct carried *c;
	struct fan f;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		const struct take t = { .clock = 50,
			.channels = table[i].found,
			.nchannels = table[i].nchannels };

		scene_begin(&f);
		c = add_guest(&f, ab, 2, "", "", 1);
		move_in(&f, c, 35, 35);
		fan_taken(&f, &t);
		check_stream(&f, c, table[i].want);
		fan_taken(&f, &t); /* said once */
		check_stream(&f, c, "");
		scene_end(&f);
	}
}

/* --- sessions ----------------------------------------------------------- */

static struct carried *
add_session(struct fan *f, const char *key, const char *grant, bool lives)
{
	static const struct known a[] = { { "a", 0 } };
	struct carried *c = add_guest(f, a, 1, key, grant, 1);

	if (lives)
		move_in(f, c, 10, 10);
	return c;
}

static void
take_grants(struct fan *f, const char *first, const char *second, size_t n)
{
	const struct taken_grant grants[] = {
		{ first, first != NULL ? strlen(first) : 0 },
		{ second, second != NULL ? strlen(second) : 0 },
	};
	const struct take t = { .grants = grants, .ngrants = n };

	assert_false(f->sink.ops->grants_changed(&f->sink, &t));
}

static void
sessions_that_spoke_are_silent(void **state)
{
	/* until a take shows the same grant: then comes what was held, in order;
	 * others hear on */
	struct carried *one, *other, *none;
	struct fan f;

	(void)state;
	scene_begin(&f);
	one = add_session(&f, "k1", "grant", true);
	other = add_session(&f, "k2", "grant", true);
	none = add_live(&f, "a", 10, 10);
	assert_false(f.sink.ops->session_spoke(&f.sink, 0));
	hear_record(&f, "a", 20, 0);
	f.sink.ops->message(&f.sink, 0, "data: y\n\n", 9);
	hear_record(&f, "a", 15, 0);
	check_stream(&f, one, "");
	check_stream(&f, other, FRAME(20) "data: y\n\n" FRAME(15) POSITION(20));
	check_stream(&f, none, FRAME(20) "data: y\n\n" FRAME(15) POSITION(20));
	take_grants(&f, "grant", "grant", 2);
	hear_record(&f, "a", 21, 20);
	check_stream(
	    &f, one, FRAME(20) "data: y\n\n" FRAME(15) POSITION(20) FRAME(21));
	check_stream(&f, other, FRAME(21));
	scene_end(&f);
}

static void
other_grant_ends_the_stream(void **state)
{
	/* what was held is not sent; it comes back to a responder, or, if the
	 * session is over, that is said */
	static const struct {
		const char *grant;
		const char *want; /* its beginning */
	} table[] = {
		{ "another", "retry: " },
		{ "gran", "retry: " },
		{ "", "event: stream-end\ndata: {\"reason\":\"session\"}\n\n" },
		{ NULL,
		    "event: stream-end\ndata: {\"reason\":\"session\"}\n\n" },
	};
	struct carried *c, *other;
	struct fcgi_reader r;
	struct fan f;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		scene_begin(&f);
		c = add_session(&f, "k1", "grant", true);
		other = add_session(&f, "k2", "grant", true);
		f.sink.ops->session_spoke(&f.sink, 0);
		hear_record(&f, "a", 20, 0);
		take_grants(&f, table[i].grant, "grant", 2);
		hear_record(&f, "a", 21, 20);
		fd = c->fd;
		check_stream(&f, other, FRAME(20) FRAME(21));
		assert_int_equal(c->state, CARRIED_GONE);
		fcgi_reader_read(&r, sockets[fd - FIRST_FD].sent.bytes,
		    sockets[fd - FIRST_FD].sent.len, REQUEST_ID);
		assert_true(r.has_ended && !r.is_bad);
		assert_memory_equal(
		    r.content, table[i].want, strlen(table[i].want));
		assert_null(memmem(r.content, r.len, "id:", 3));
		fcgi_reader_free(&r);
		scene_end(&f);
	}
}

static void
guests_of_other_grants_are_spoiled(void **state)
{
	struct carried *same, *other, *late;
	struct fan f;

	(void)state;
	scene_begin(&f);
	same = add_session(&f, "k1", "grant", false);
	other = add_session(&f, "k1", "another", false);
	late = add_session(&f, "k2", "grant", false);
	f.sink.ops->session_spoke(&f.sink, 0);
	f.sink.ops->session_spoke(&f.sink, 1);
	/* a take that did not ask for the second one's */
	take_grants(&f, "grant", NULL, 1);
	assert_false(same->is_spoiled || same->is_muted);
	assert_true(other->is_spoiled);
	assert_true(late->is_muted && !late->is_spoiled);
	assert_true(f.needs_take);
	scene_end(&f);
}

/* --- slow and broken ones ----------------------------------------------- */

static void
slow_ones_are_counted(void **state)
{
	/* what waits, for how many, and since when it gets no less; the others
	 * get theirs */
	struct carried *slow, *other;
	struct fan f;

	(void)state;
	scene_begin(&f);
	slow = add_live(&f, "a", 10, 10);
	other = add_live(&f, "a", 10, 10);
	sockets[slow->fd - FIRST_FD].is_full = true;
	hear_record(&f, "a", 20, 0);
	fan_write(&f, 1000);
	assert_int_equal(f.nblocked, 1);
	assert_int_equal(f.waiting_len, 8 + strlen(FRAME(20)));
	assert_int_equal(slow->blocked_ms, 1000);
	hear_record(&f, "a", 21, 20);
	fan_write(&f, 2000);
	assert_int_equal(f.nblocked, 1);
	assert_int_equal(f.waiting_len, 8 + 2 * strlen(FRAME(20)));
	assert_int_equal(slow->blocked_ms, 1000);
	check_stream(&f, other, FRAME(20) FRAME(21));
	sockets[slow->fd - FIRST_FD].is_full = false;
	fan_write_one(&f, slow, 3000);
	assert_int_equal(f.nblocked, 0);
	assert_int_equal(f.waiting_len, 0);
	assert_int_equal(slow->blocked_ms, 0);
	check_stream(&f, slow, FRAME(20) FRAME(21));
	/* one that leaves is not counted any more */
	sockets[slow->fd - FIRST_FD].is_full = true;
	hear_record(&f, "a", 22, 21);
	fan_write(&f, 4000);
	assert_int_equal(f.nblocked, 1);
	fan_gone(&f, slow);
	fan_sweep(&f);
	assert_int_equal(f.nblocked, 0);
	assert_int_equal(f.waiting_len, 0);
	assert_int_equal(f.n, 1);
	scene_end(&f);
}

static void
who_left_is_freed(void **state)
{
	struct carried *left;
	struct fan f;

	(void)state;
	scene_begin(&f);
	left = add_live(&f, "a", 10, 10);
	add_live(&f, "a", 10, 10);
	sockets[left->fd - FIRST_FD].is_closed = true;
	hear_record(&f, "a", 20, 0);
	fan_sweep(&f); /* not while something is to be written */
	assert_int_equal(f.n, 2);
	fan_write(&f, NOW_MS);
	fan_sweep(&f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.audiences[0].n, 1);
	scene_end(&f);
}

static void
nothing_follows_the_end(void **state)
{
	/* a stream for which more is held than there is room for comes back; what
	 * is put after that is not for it */
	static const struct known a[] = { { "a", 15 } };
	static char large[1 << 20];
	struct fcgi_reader r;
	struct carried *c;
	struct fan f;
	int fd;

	(void)state;
	memset(large, 'x', sizeof(large));
	scene_begin(&f);
	c = add_guest(&f, a, 1, "k", "grant", 1);
	move_in(&f, c, 18, 18);
	fd = c->fd;
	f.sink.ops->session_spoke(&f.sink, 0);
	fan_put(&f, c, large, sizeof(large) - 50);
	hear_record(&f, "a", 20, 0); /* a reset finds no room */
	assert_int_equal(c->state, CARRIED_ENDING);
	fan_write(&f, NOW_MS);
	fcgi_reader_read(&r, sockets[fd - FIRST_FD].sent.bytes,
	    sockets[fd - FIRST_FD].sent.len, REQUEST_ID);
	assert_true(r.has_ended && !r.is_bad);
	assert_memory_equal(r.content, "retry: ", 7);
	assert_null(memmem(r.content, r.len, "id:", 3));
	fcgi_reader_free(&r);
	scene_end(&f);
}

static void
large_batch_is_written_in_between(void **state)
{
	/* to all, in order */
	static char large[100000];
	struct carried *first, *second;
	struct buf want;
	struct fan f;
	int i;

	(void)state;
	buf_init(&want, 1 << 24);
	memset(large, 'x', sizeof(large));
	scene_begin(&f);
	first = add_live(&f, "a", 10, 10);
	second = add_live(&f, "a", 10, 10);
	sockets[second->fd - FIRST_FD].is_full = true;
	for (i = 0; i < 20; i++) {
		large[0] = (char)('a' + i);
		f.sink.ops->message(&f.sink, 0, large, sizeof(large));
		buf_put(&want, large, sizeof(large));
		assert_true(f.batch.len < 500000);
	}
	buf_putc(&want, '\0');
	fan_write(&f, NOW_MS);
	sockets[second->fd - FIRST_FD].is_full = false;
	fan_write_one(&f, second, NOW_MS);
	check_stream(&f, first, want.bytes);
	check_stream(&f, second, want.bytes);
	buf_free(&want);
	scene_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_for_who_hears_them),
		cmocka_unit_test(cursor_never_goes_back),
		cmocka_unit_test(guest_gets_what_came_meanwhile),
		cmocka_unit_test(passed_record_is_a_position),
		cmocka_unit_test(plain_message_spoils_guests),
		cmocka_unit_test(hole_concerns_who_wants_it),
		cmocka_unit_test(store_that_went_back_concerns_all),
		cmocka_unit_test(who_came_since_has_nothing_to_hear),
		cmocka_unit_test(first_record_shows_what_is_gone),
		cmocka_unit_test(take_shows_what_is_gone),
		cmocka_unit_test(sessions_that_spoke_are_silent),
		cmocka_unit_test(other_grant_ends_the_stream),
		cmocka_unit_test(guests_of_other_grants_are_spoiled),
		cmocka_unit_test(slow_ones_are_counted),
		cmocka_unit_test(who_left_is_freed),
		cmocka_unit_test(nothing_follows_the_end),
		cmocka_unit_test(large_batch_is_written_in_between),
	};

	return cmocka_run_group_tests_name("fan_sink", tests, NULL, NULL);
}
