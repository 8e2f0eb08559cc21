/* SPDX-License-Identifier: ISC */
/* move.h: when a stream is offered, and what it waits for before it moves.  The
 * test is the carrier. */
#include "move.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000
#define SEEN 100
#define EPOCH 10

/* A stream that may move, and the carrier's side. */
struct scene {
	struct config cfg;
	struct session session;
	struct channel_set keys;
	struct follower follower;
	struct outlet out;
	struct move_stream stream;
	struct move move;
	int door[2]; /* ours, and the carrier's */
	int server_fd;
	int carrier_fd; /* came with the offer; else -1 */
	struct offer offer;
	char message[4096]; /* it borrows from that */
};

static struct client *
open_client(int *server_fd)
{
	static const unsigned char request[] = { 1, 1, 0, 7, 0, 8, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 0,			/* RESPONDER */
		1, 4, 0, 7, 0, 4, 0, 0, 1, 1, 'A', 'B', /* A=B */
		1, 4, 0, 7, 0, 0, 0, 0, 1, 5, 0, 7, 0, 0, 0, 0 };
	struct client *cl;
	const char *why;
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(
	    write(pair[1], request, sizeof(request)), sizeof(request));
	cl = client_accept(pair[0], 5000, 5000, &why);
	assert_non_null(cl);
	assert_int_equal(client_skip_body(cl, 0), 0);
	*server_fd = pair[1];
	return cl;
}

static void
begin(struct scene *sc)
{
	struct follower *f = &sc->follower;

	memset(sc, 0, sizeof(*sc));
	sc->carrier_fd = -1;
	channel_set_add(&sc->session.channels, "a", 1);
	channel_set_add(&sc->session.channels, "b", 1);
	f->state = FOLLOW_LIVE;
	f->sub = redis_sub_new(&sc->cfg); /* not connected */
	f->channels = &sc->session.channels;
	f->keys = &sc->keys;
	assert_int_equal(progress_init(&f->delivery.progress, 2, 0), 0);
	f->delivery.progress.positions[0] =
	    (struct position){ .id = 90, .is_exact = true };
	f->delivery.progress.positions[1] =
	    (struct position){ .id = 50, .is_exact = true };
	f->delivery.progress.seen_clock = SEEN;
	f->delivery.progress.seen_epoch = EPOCH;
	f->delivery.taken.now_us = 500;
	plain_init(&f->delivery.plain, 2, false);
	sc->stream.cl = open_client(&sc->server_fd);
	outlet_init(&sc->out, sc->stream.cl, 15);
	sc->out.is_open = true;
	sc->out.cursor = 90;
	sc->out.last_sign_ms = NOW_MS - 7;
	sc->stream.out = &sc->out;
	sc->stream.follower = f;
	sc->stream.session = &sc->session;
	sc->stream.end_due_ms = NOW_MS + 12345;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sc->door), 0);
	move_init(&sc->move, sc->door[0]);
}

static void
finish(struct scene *sc)
{
	move_cancel(&sc->move);
	close(sc->door[0]);
	close(sc->door[1]);
	close(sc->server_fd);
	if (sc->carrier_fd != -1)
		close(sc->carrier_fd);
	outlet_free(&sc->out);
	progress_free(&sc->follower.delivery.progress);
	plain_free(&sc->follower.delivery.plain);
	redis_sub_free(sc->follower.sub);
	channel_set_free(&sc->session.channels);
	channel_set_free(&sc->keys);
	client_forget(sc->stream.cl);
}

/* A turn in which the carrier says nothing, or something. */
static bool
turn(struct scene *sc, int64_t now_ms)
{
	return move_work(&sc->move, &sc->stream, false, now_ms);
}

static bool
turn_heard(struct scene *sc, int64_t now_ms)
{
	return move_work(&sc->move, &sc->stream, true, now_ms);
}

/* Is there an offer at the door?  Then it is taken. */
static bool
is_offered(struct scene *sc)
{
	ssize_t len = fdpass_receive(
	    sc->door[1], sc->message, sizeof(sc->message), &sc->carrier_fd);

	if (len <= 0)
		return false;
	assert_int_not_equal(sc->carrier_fd, -1);
	assert_int_equal(offer_parse(&sc->offer, sc->message, (size_t)len), 0);
	return true;
}

static void
offer_it(struct scene *sc)
{
	assert_false(turn(sc, NOW_MS));
	assert_true(is_offered(sc));
	assert_int_not_equal(sc->move.fd, -1);
}

static void
say_ready(const struct scene *sc, uint64_t covered, uint64_t clock,
    uint64_t epoch, uint64_t now_us)
{
	const struct offer_ready ready = { covered, clock, epoch, now_us };

	assert_int_equal(
	    fdpass_send(sc->carrier_fd, &ready, sizeof(ready), -1), 0);
}

/* It has moved: what the carrier hears. */
static void
check_move(const struct scene *sc, uint64_t heard)
{
	struct offer_move m;
	char bytes[100];
	ssize_t len;
	int fd;

	len = fdpass_receive(sc->carrier_fd, bytes, sizeof(bytes), &fd);
	assert_int_equal(offer_read_move(&m, bytes, (size_t)len), 0);
	assert_int_equal(m.floor, sc->follower.delivery.progress.seen_clock);
	assert_int_equal(m.heard, heard);
	assert_int_equal(m.cursor, sc->out.cursor);
	assert_int_equal(m.last_sign_ms, sc->out.last_sign_ms);
	/* the descriptor is the client's */
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(sc->server_fd, bytes, sizeof(bytes)), 1);
	close(fd);
	assert_int_equal(sc->move.fd, -1);
}

/* The offer is taken back: the carrier hears the end, and nothing else. */
static void
check_given_up(const struct scene *sc, int64_t now_ms)
{
	char bytes[100];
	int fd;

	assert_int_equal(sc->move.fd, -1);
	assert_int_equal(
	    fdpass_receive(sc->carrier_fd, bytes, sizeof(bytes), &fd), 0);
	assert_true(move_due_ms(&sc->move) > now_ms);
	assert_true(move_due_ms(&sc->move) <= now_ms + 15000);
}

/* --- the offer ---------------------------------------------------------- */

static void
offer_says_what_is_needed(void **state)
{
	static char grant[] = "grant", user[] = "me";
	struct scene sc;
	uint64_t position;
	const char *name;
	size_t at = 0, len;

	(void)state;
	begin(&sc);
	snprintf(sc.session.key, sizeof(sc.session.key), "sse:session:x");
	sc.session.grant = grant;
	sc.session.grant_len = 5;
	sc.session.user = user;
	offer_it(&sc);
	assert_int_equal(sc.offer.request_id, 7);
	assert_int_equal(sc.offer.heartbeat_s, 15);
	assert_int_equal(sc.offer.end_due_ms, NOW_MS + 12345);
	assert_string_equal(sc.offer.key, "sse:session:x");
	assert_int_equal(sc.offer.grant_len, 5);
	assert_memory_equal(sc.offer.grant, grant, 5);
	assert_string_equal(sc.offer.user, "me");
	assert_int_equal(sc.offer.nchannels, 2);
	offer_next_channel(&sc.offer, &at, &name, &len, &position);
	assert_true(is_equal(name, len, (struct str)S("a")));
	assert_int_equal(position, 90);
	offer_next_channel(&sc.offer, &at, &name, &len, &position);
	assert_true(is_equal(name, len, (struct str)S("b")));
	assert_int_equal(position, 50);
	finish(&sc);
}

/* What makes a stream another than the easy case, by number; false: no more. */
static bool
disturb(struct scene *sc, int what)
{
	struct follower *f = &sc->follower;
	static const char up[] = "0 0 r\nup 1 abc";
	const struct relay relay = { .base = 0, .place = 1 };

	switch (what) {
	case 0:
		f->state = FOLLOW_TAKING;
		break;
	case 1:
		f->is_muted = true;
		break;
	case 2:
		f->is_summoned = true;
		break;
	case 3:
		f->delivery.taken.is_not_atomic = true;
		break;
	case 4:
		sc->session.nkeys = 2;
		break;
	case 5:
		plain_hear_notice(&f->delivery.plain, up, strlen(up));
		break;
	case 6:
		plain_hear_relay(&f->delivery.plain, 0, &relay);
		break;
	case 7:
		f->delivery.progress.positions[1].hears_plain = true;
		break;
	case 8:
		f->delivery.progress.positions[0].is_exact = false;
		break;
	case 9:
		f->delivery.progress.n = 0;
		break;
	case 10:
		sc->out.is_open = false;
		break;
	case 11:
		outlet_put(&sc->out, "x", 1);
		break;
	case 12:
		sc->out.cursor = SEEN + 1;
		break;
	default:
		return false;
	}
	return true;
}

static void
only_quiet_streams_are_offered(void **state)
{
	/* all that was published is heard, and the client has it; as soon as that
	 * is so, it is offered */
	struct scene sc;
	bool is_disturbed;
	int what = 0;

	(void)state;
	do {
		begin(&sc);
		is_disturbed = disturb(&sc, what);
		assert_false(turn(&sc, NOW_MS));
		if (is_offered(&sc) == is_disturbed)
			fail_msg("number %d", what);
		assert_int_equal(sc.move.fd == -1, is_disturbed);
		finish(&sc);
		what++;
	} while (is_disturbed);
	assert_int_equal(what, 14);

	begin(&sc);
	sc.follower.state = FOLLOW_TAKING;
	assert_false(turn(&sc, NOW_MS));
	assert_false(is_offered(&sc));
	sc.follower.state = FOLLOW_LIVE;
	assert_false(turn(&sc, NOW_MS));
	assert_true(is_offered(&sc));
	finish(&sc);
}

static void
without_a_door_it_stays(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc);
	move_init(&sc.move, -1);
	assert_true(move_due_ms(&sc.move) == INT64_MAX);
	assert_false(turn(&sc, NOW_MS));
	assert_int_equal(sc.move.fd, -1);
	finish(&sc);
}

static void
closed_door_is_tried_later(void **state)
{
	struct scene sc;
	int64_t due_ms;

	(void)state;
	begin(&sc);
	shutdown(sc.door[1], SHUT_RD);
	assert_false(turn(&sc, NOW_MS));
	assert_int_equal(sc.move.fd, -1);
	due_ms = move_due_ms(&sc.move);
	assert_in_range(due_ms, NOW_MS + 1, NOW_MS + 15000);
	assert_false(turn(&sc, due_ms - 1));
	assert_int_equal(move_due_ms(&sc.move), due_ms);
	finish(&sc);
}

/* --- the move ----------------------------------------------------------- */

static void
stream_that_saw_all_moves_at_once(void **state)
{
	/* what the carrier covers begins at or before what was seen */
	struct scene sc;
	uint64_t covered;

	(void)state;
	for (covered = 0; covered <= SEEN; covered += 50) {
		begin(&sc);
		offer_it(&sc);
		say_ready(&sc, covered, 200, EPOCH, 600);
		assert_true(turn_heard(&sc, NOW_MS + 1));
		check_move(&sc, SEEN);
		finish(&sc);
	}
}

static void
others_hear_all_first(void **state)
{
	/* all that was published before READY: PING shows it, up to the carrier's
	 * clock, if that is ahead */
	static const struct {
		uint64_t covered, clock;
		const char *key;
		uint64_t want;
	} table[] = {
		{ SEEN + 1, 80, "", 130 },
		{ SEEN + 1, 200, "", 200 },
		{ UINT64_MAX, 0, "", 130 },
		/* the session may have spoken since */
		{ 0, 80, "sse:session:x", 130 },
		{ SEEN, 200, "sse:session:x", 200 },
	};
	struct scene sc;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		begin(&sc);
		if (table[i].key[0] != '\0')
			channel_set_add(
			    &sc.keys, table[i].key, strlen(table[i].key));
		sc.follower.pong = 4; /* of an attempt before */
		offer_it(&sc);
		say_ready(&sc, table[i].covered, table[i].clock, EPOCH, 600);
		assert_false(turn_heard(&sc, NOW_MS + 1));
		assert_false(turn(&sc, NOW_MS + 2));
		assert_int_equal(sc.move.state, MOVE_PINGED);
		sc.follower.delivery.progress.seen_clock = 130;
		assert_false(turn(&sc, NOW_MS + 3));
		sc.follower.pong = sc.move.pings;
		assert_true(turn(&sc, NOW_MS + 4));
		check_move(&sc, table[i].want);
		finish(&sc);
	}
}

static void
stream_moves_when_it_is_quiet_again(void **state)
{
	/* after READY, too, it waits for the client and for Redis */
	struct scene sc;
	int what;

	(void)state;
	for (what = 0; what <= 12; what++) {
		begin(&sc);
		offer_it(&sc);
		say_ready(&sc, SEEN, SEEN, EPOCH, 600);
		disturb(&sc, what);
		if (turn_heard(&sc, NOW_MS + 1) || turn(&sc, NOW_MS + 2))
			fail_msg("number %d", what);
		finish(&sc);
	}
	begin(&sc);
	offer_it(&sc);
	say_ready(&sc, SEEN, SEEN, EPOCH, 600);
	sc.follower.state = FOLLOW_TAKING;
	assert_false(turn_heard(&sc, NOW_MS + 1));
	sc.follower.state = FOLLOW_LIVE;
	assert_true(turn(&sc, NOW_MS + 2));
	check_move(&sc, SEEN);
	finish(&sc);
}

static void
older_answer_shows_nothing(void **state)
{
	/* of an offer that was given up before it came */
	struct scene sc;
	uint64_t first;
	int64_t now_ms;

	(void)state;
	begin(&sc);
	offer_it(&sc);
	say_ready(&sc, UINT64_MAX, SEEN, EPOCH, 600);
	assert_false(turn_heard(&sc, NOW_MS + 1));
	first = sc.move.pings;
	close(sc.carrier_fd);
	assert_false(turn_heard(&sc, NOW_MS + 2));
	now_ms = move_due_ms(&sc.move);
	assert_false(turn(&sc, now_ms));
	assert_true(is_offered(&sc));
	say_ready(&sc, UINT64_MAX, SEEN, EPOCH, 600);
	assert_false(turn_heard(&sc, now_ms + 1));
	sc.follower.pong = first;
	assert_false(turn(&sc, now_ms + 2));
	sc.follower.pong = sc.move.pings;
	assert_true(turn(&sc, now_ms + 3));
	check_move(&sc, SEEN);
	finish(&sc);
}

static void
slow_client_stays(void **state)
{
	/* much that the web server has not read yet */
	static char bytes[40000];
	struct scene sc;

	(void)state;
	begin(&sc);
	offer_it(&sc);
	say_ready(&sc, SEEN, SEEN, EPOCH, 600);
	assert_int_equal(write(client_fd(sc.stream.cl), bytes, sizeof(bytes)),
	    sizeof(bytes));
	assert_false(turn_heard(&sc, NOW_MS + 1));
	assert_int_equal(
	    read(sc.server_fd, bytes, sizeof(bytes)), sizeof(bytes));
	assert_true(turn(&sc, NOW_MS + 2));
	check_move(&sc, SEEN);
	finish(&sc);
}

/* --- giving up ---------------------------------------------------------- */

static void
other_stores_are_refused(void **state)
{
	/* unless one of both saw the store before its first event */
	static const struct {
		uint64_t here, here_now_us, there, there_now_us;
		bool moves;
	} table[] = {
		{ 10, 500, 10, 600, true },
		{ 10, 500, 11, 600, false },
		{ 0, 500, 0, 600, true },
		{ 0, 500, 550, 600, true },
		{ 0, 500, 500, 600, false },
		{ 0, 500, 10, 600, false },
		{ 650, 700, 0, 600, true },
		{ 600, 700, 0, 600, false },
		{ 10, 700, 0, 600, false },
	};
	struct scene sc;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		begin(&sc);
		sc.follower.delivery.progress.seen_epoch = table[i].here;
		sc.follower.delivery.taken.now_us = table[i].here_now_us;
		offer_it(&sc);
		say_ready(
		    &sc, SEEN, SEEN, table[i].there, table[i].there_now_us);
		if (turn_heard(&sc, NOW_MS + 1) != table[i].moves)
			fail_msg("row %zu", i);
		if (!table[i].moves)
			check_given_up(&sc, NOW_MS + 1);
		finish(&sc);
	}
}

static void
carrier_that_closes_is_given_up(void **state)
{
	/* before READY, after it, or where it says something else */
	struct scene sc;

	(void)state;
	begin(&sc);
	offer_it(&sc);
	close(sc.carrier_fd);
	sc.carrier_fd = -1;
	assert_false(turn_heard(&sc, NOW_MS + 1));
	assert_int_equal(sc.move.fd, -1);
	assert_true(move_due_ms(&sc.move) > NOW_MS + 1);
	finish(&sc);

	begin(&sc);
	offer_it(&sc);
	say_ready(&sc, SEEN + 1, SEEN, EPOCH, 600);
	assert_false(turn_heard(&sc, NOW_MS + 1));
	close(sc.carrier_fd);
	sc.carrier_fd = -1;
	assert_false(turn_heard(&sc, NOW_MS + 2));
	assert_int_equal(sc.move.fd, -1);
	sc.follower.pong = sc.move.pings;
	assert_false(turn(&sc, NOW_MS + 3));
	finish(&sc);

	begin(&sc);
	offer_it(&sc);
	assert_int_equal(fdpass_send(sc.carrier_fd, "hello", 5, -1), 0);
	assert_false(turn_heard(&sc, NOW_MS + 1));
	check_given_up(&sc, NOW_MS + 1);
	finish(&sc);
}

static void
patience_ends(void **state)
{
	/* at the time that it says itself, whatever it waits for; it is tried
	 * again, by and by */
	struct scene sc;
	int64_t due_ms;

	(void)state;
	begin(&sc);
	offer_it(&sc);
	due_ms = move_due_ms(&sc.move);
	assert_in_range(due_ms, NOW_MS + 1000, NOW_MS + 5000);
	assert_false(turn(&sc, due_ms - 1));
	assert_int_not_equal(sc.move.fd, -1);
	assert_false(turn(&sc, due_ms));
	check_given_up(&sc, due_ms);
	close(sc.carrier_fd);
	assert_false(turn(&sc, move_due_ms(&sc.move)));
	assert_true(is_offered(&sc));
	/* also while PING is not answered */
	say_ready(&sc, SEEN + 1, SEEN, EPOCH, 600);
	due_ms = move_due_ms(&sc.move);
	assert_false(turn_heard(&sc, due_ms - 1));
	assert_false(turn(&sc, due_ms));
	check_given_up(&sc, due_ms);
	finish(&sc);
}

static void
offer_can_be_taken_back(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc);
	move_cancel(&sc.move); /* there is none */
	offer_it(&sc);
	move_cancel(&sc.move);
	check_given_up(&sc, NOW_MS);
	finish(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offer_says_what_is_needed),
		cmocka_unit_test(only_quiet_streams_are_offered),
		cmocka_unit_test(without_a_door_it_stays),
		cmocka_unit_test(closed_door_is_tried_later),
		cmocka_unit_test(stream_that_saw_all_moves_at_once),
		cmocka_unit_test(others_hear_all_first),
		cmocka_unit_test(stream_moves_when_it_is_quiet_again),
		cmocka_unit_test(older_answer_shows_nothing),
		cmocka_unit_test(slow_client_stays),
		cmocka_unit_test(other_stores_are_refused),
		cmocka_unit_test(carrier_that_closes_is_given_up),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(offer_can_be_taken_back),
	};

	client_init();
	return cmocka_run_group_tests_name("move", tests, NULL, NULL);
}
