/* SPDX-License-Identifier: ISC */
/*
 * outflow.h: what is put arrives, in whole records, however little the socket
 * takes at a time.  The socket is here: sendmsg() takes what a test says.
 */
#include "carrier/outflow.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "test/fcgi_reader.h"
#include "test/unit/unit.h"

#define ID 0x1234
#define FAKE_FD 1000000
#define TAKES_ALL SIZE_MAX

/* what it takes, what it took, and its errno when it takes nothing */
static size_t room;
static struct buf sent;
static int full_errno = EAGAIN;

/* instead of libc's */
ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t i, n, all = 0;

	if (fd != FAKE_FD)
		return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
	assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (i = 0; i < message->msg_iovlen && room > 0; i++) {
		n = message->msg_iov[i].iov_len < room
			? message->msg_iov[i].iov_len
			: room;
		assert_int_equal(
		    buf_put(&sent, message->msg_iov[i].iov_base, n), 0);
		all += n;
		room -= room == TAKES_ALL ? 0 : n;
	}
	if (all > 0)
		return (ssize_t)all;
	errno = full_errno;
	return -1;
}

/* A client, what stands in the batch for it and others, and what it is to get. */
struct scene {
	struct outflow o;
	struct buf batch, want;
};

static void
begin(struct scene *sc)
{
	outflow_init(&sc->o, FAKE_FD, ID);
	buf_init(&sc->batch, 1 << 24);
	buf_init(&sc->want, 1 << 24);
	buf_init(&sent, 1 << 24);
	room = TAKES_ALL;
	full_errno = EAGAIN;
}

static void
finish(struct scene *sc)
{
	outflow_free(&sc->o);
	buf_free(&sc->batch);
	buf_free(&sc->want);
	buf_free(&sent);
}

/* len bytes that no others are like. */
static void
put_bytes(struct buf *b, size_t len)
{
	static unsigned char count;
	size_t i;

	for (i = 0; i < len; i++)
		assert_int_equal(
		    buf_putc(b, (char)(++count % 7 == 0 ? count : i % 251)), 0);
}

static int
put_own(struct scene *sc, size_t len)
{
	const size_t at = sc->want.len;

	put_bytes(&sc->want, len);
	return outflow_put(&sc->o, &sc->batch, sc->want.bytes + at, len);
}

/* gap: so many bytes of the batch before it are for others */
static int
put_shared(struct scene *sc, size_t gap, size_t len)
{
	size_t at;

	put_bytes(&sc->batch, gap);
	at = sc->batch.len;
	put_bytes(&sc->batch, len);
	assert_int_equal(buf_put(&sc->want, sc->batch.bytes + at, len), 0);
	return outflow_put_shared(&sc->o, &sc->batch, at, len);
}

/* At the end of a turn: nothing may be borrowed from the batch any more. */
static enum outflow_result
write_turn(struct scene *sc)
{
	enum outflow_result result = outflow_write(&sc->o, &sc->batch);

	buf_free(&sc->batch);
	return result;
}

static void
check_sent(const struct scene *sc, bool has_ended)
{
	struct fcgi_reader r;

	fcgi_reader_read(&r, sent.bytes, sent.len, ID);
	assert_false(r.is_bad);
	assert_int_equal(r.rest, 0);
	assert_int_equal(r.has_ended, has_ended);
	assert_true(is_equal(
	    r.content, r.len, (struct str){ sc->want.bytes, sc->want.len }));
	fcgi_reader_free(&r);
}

/* --- what a turn puts --------------------------------------------------- */

/*
 * A turn in words: "s100" a shared block of 100 bytes; "g100" the same, others'
 * before it; "o100" one of its own.
 */
static void
put_turn(struct scene *sc, const char *turn)
{
	char *next;
	size_t len;

	for (; *turn != '\0'; turn = next + (*next == ' ')) {
		len = strtoul(turn + 1, &next, 10);
		assert_int_equal(
		    turn[0] == 'o'
			? put_own(sc, len)
			: put_shared(sc, turn[0] == 'g' ? 9 : 0, len),
		    0);
	}
}

static const char *const turns[] = {
	"s1",
	"s100 s50",
	"g100 g50 g20",
	"o10",
	"o10 o20 o1",
	"s10 o20 s30 g40 o50",
	"g1 g2 g3 g4 g5 g6 g7 g8 g9 g10 g11",
	"g1 g2 g3 g4 g5 g6 g7 g8 g9 g10 g11 g12",
	"g1 g2 g3 g4 g5 g6 g7 g8 g9 g10 g11 g12 g13 g14 g15",
};

static const char *const large_turns[] = {
	"s65535",
	"s65536",
	"s65530 s5",
	"s65530 s6",
	"s65530 g5 g1",
	"g200000",
	"s10 s200000 s10",
	"o65535 o1",
	"o65536",
	"o30000 o30000 o30000 o30000",
	"o200000 s3 o131070",
};

/* Whatever takes it all at once takes one record for each 65,535 bytes. */
static void
whole_turns_are_written_at_once(void **state)
{
	struct fcgi_reader r;
	struct scene sc;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(turns) + ROWS(large_turns); i++) {
		begin(&sc);
		assert_false(outflow_has_some(&sc.o));
		put_turn(&sc,
		    i < ROWS(turns) ? turns[i] : large_turns[i - ROWS(turns)]);
		assert_true(outflow_has_some(&sc.o));
		assert_int_equal(write_turn(&sc), OUTFLOW_DONE);
		assert_false(outflow_has_some(&sc.o));
		assert_int_equal(outflow_pending_len(&sc.o), 0);
		check_sent(&sc, false);
		fcgi_reader_read(&r, sent.bytes, sent.len, ID);
		assert_true(r.nrecords <= 1 + 2 * (sc.want.len / 65535));
		fcgi_reader_free(&r);
		finish(&sc);
	}
}

/* A socket that takes so many bytes, then so many more at a time. */
static void
play(const char *turn, const char *then, size_t first, size_t more)
{
	enum outflow_result result;
	struct scene sc;

	begin(&sc);
	put_turn(&sc, turn);
	room = first;
	result = write_turn(&sc);
	put_turn(&sc, then);
	while (result != OUTFLOW_DONE || outflow_has_some(&sc.o)) {
		assert_int_not_equal(result, OUTFLOW_GONE);
		assert_true(sent.len < sc.want.len + 10000);
		room = more;
		result = write_turn(&sc);
	}
	check_sent(&sc, false);
	finish(&sc);
}

static void
parts_are_written_on(void **state)
{
	/* cut at each byte, with more put behind, and whatever it takes then */
	static const size_t more[] = { 1, 7, 8, 9, 100, TAKES_ALL };
	static const char *const then[] = { "", "s5", "o5", "g5 o3 s9" };
	size_t i, cut, k, j;

	(void)state;
	for (i = 0; i < ROWS(turns); i++)
		for (k = 0; k < ROWS(then); k++)
			for (j = 0; j < ROWS(more); j++)
				for (cut = 0; cut < 190;
				     cut += cut < 30 ? 1 : 3)
					play(turns[i], then[k], cut, more[j]);
}

static void
large_parts_are_written_on(void **state)
{
	static const size_t cuts[] = { 0, 1, 8, 9, 65534, 65535, 65536, 65542,
		65543, 65544, 65550, 65551, 65552, 131086, 131087 };
	static const size_t more[] = { 20000, 65543, TAKES_ALL };
	static const char *const then[] = { "", "s5", "g65535", "o70000" };
	size_t i, cut, k, j;

	(void)state;
	for (i = 0; i < ROWS(large_turns); i++)
		for (k = 0; k < ROWS(then); k++)
			for (j = 0; j < ROWS(more); j++)
				for (cut = 0; cut < ROWS(cuts); cut++)
					play(large_turns[i], then[k], cuts[cut],
					    more[j]);
}

static void
client_may_be_behind_for_ever(void **state)
{
	/* it needs no more memory than what waits */
	struct scene sc;
	size_t i;

	(void)state;
	begin(&sc);
	room = 50;
	put_turn(&sc, "s1000");
	assert_int_equal(write_turn(&sc), OUTFLOW_BLOCKED);
	for (i = 0; i < 5000; i++) {
		put_turn(&sc, i % 3 == 0 ? "o100" : "s100");
		room = 108;
		assert_int_equal(write_turn(&sc), OUTFLOW_BLOCKED);
		assert_true(outflow_pending_len(&sc.o) < 3000);
		assert_true(sc.o.pending.cap < 16384);
	}
	room = TAKES_ALL;
	assert_int_equal(write_turn(&sc), OUTFLOW_DONE);
	check_sent(&sc, false);
	/* and none when nothing does */
	assert_true(sc.o.pending.cap <= 4096);
	finish(&sc);
}

static void
errors_are_told_apart(void **state)
{
	/* what passes, and what means that nobody reads any more */
	static const struct {
		int error;
		enum outflow_result want;
	} table[] = {
		{ EAGAIN, OUTFLOW_BLOCKED },
		{ EINTR, OUTFLOW_BLOCKED },
		{ ENOBUFS, OUTFLOW_BLOCKED },
		{ ENOMEM, OUTFLOW_BLOCKED },
		{ EPIPE, OUTFLOW_GONE },
		{ ECONNRESET, OUTFLOW_GONE },
		{ EBADF, OUTFLOW_GONE },
	};
	struct scene sc;
	size_t i;
	int own;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		for (own = 0; own < 2; own++) {
			begin(&sc);
			put_turn(&sc, own ? "o10" : "s10 g10");
			room = 0;
			full_errno = table[i].error;
			assert_int_equal(write_turn(&sc), table[i].want);
			room = TAKES_ALL;
			if (table[i].want == OUTFLOW_BLOCKED) {
				assert_int_equal(write_turn(&sc), OUTFLOW_DONE);
				check_sent(&sc, false);
			}
			finish(&sc);
		}
	}
}

/* --- the end ------------------------------------------------------------ */

#define BLOCK "retry: 700\n\n"

/* Whole frames of what was put, from the first on; then the block; then the
 * end.  Returns how many frames. */
static size_t
check_end(
    const struct scene *sc, const size_t *ends, size_t nends, size_t block_len)
{
	struct fcgi_reader r;
	size_t n;

	fcgi_reader_read(&r, sent.bytes, sent.len, ID);
	assert_false(r.is_bad);
	assert_int_equal(r.rest, 0);
	assert_true(r.has_ended);
	assert_true(r.len >= block_len);
	assert_memory_equal(r.content + r.len - block_len, BLOCK, block_len);
	r.len -= block_len;
	assert_true(r.len <= sc->want.len);
	assert_true(
	    r.len == 0 || memcmp(r.content, sc->want.bytes, r.len) == 0);
	for (n = 0; n < nends; n++)
		if (ends[n] == r.len)
			break;
	assert_true(n < nends);
	fcgi_reader_free(&r);
	return n;
}

/* Frames of these lengths, shared or own; the socket takes so much; the end. */
static size_t
play_end(const size_t *lens, size_t n, bool own, size_t taken, size_t block_len)
{
	enum outflow_result result;
	size_t ends[10] = { 0 }, i;
	struct scene sc;

	begin(&sc);
	for (i = 0; i < n; i++) {
		assert_int_equal(own ? put_own(&sc, lens[i])
				     : put_shared(&sc, i % 2, lens[i]),
		    0);
		ends[i + 1] = sc.want.len;
	}
	room = taken;
	write_turn(&sc);
	assert_int_equal(outflow_end(&sc.o, BLOCK, block_len), 0);
	do {
		room = 5000;
		result = write_turn(&sc);
	} while (result == OUTFLOW_BLOCKED);
	assert_int_equal(result, OUTFLOW_DONE);
	i = check_end(&sc, ends, n + 1, block_len);
	finish(&sc);
	return i;
}

static void
end_completes_what_was_begun(void **state)
{
	/* cut at each byte: the frames that were begun are whole, then comes the
	 * block, then the end; what else waited is forgotten */
	static const size_t small[] = { 10, 20, 30 },
			    split[] = { 5, 70000, 10 };
	size_t cut;

	(void)state;
	for (cut = 0; cut <= 68; cut++) {
		play_end(small, 3, false, cut, strlen(BLOCK));
		play_end(small, 3, true, cut, 0);
	}
	assert_int_equal(play_end(small, 3, false, 0, strlen(BLOCK)), 0);
	assert_int_equal(play_end(small, 3, false, 1, strlen(BLOCK)), 3);
	for (cut = 0; cut < 70000 + 50; cut += cut < 30 ? 1 : 997) {
		play_end(split, 3, false, cut, strlen(BLOCK));
		play_end(split, 3, true, cut, strlen(BLOCK));
	}
}

static void
waiting_frames_are_forgotten(void **state)
{
	/* whole ones, in records of their own */
	static const size_t large[] = { 40000, 40000, 40000 };

	(void)state;
	assert_int_equal(play_end(large, 3, true, 0, 0), 0);
	assert_int_equal(play_end(large, 3, true, 1, 0), 1);
	assert_int_equal(play_end(large, 3, true, 40007, 0), 1);
	assert_int_equal(play_end(large, 3, true, 40008, 0), 1);
	assert_int_equal(play_end(large, 3, true, 40009, 0), 2);
	assert_int_equal(play_end(large, 3, true, TAKES_ALL, 0), 3);
}

static void
without_room_nothing_is_put(void **state)
{
	/* a block that finds no room leaves none of its bytes: half a frame would
	 * swallow the end */
	static const struct {
		size_t before, limit, len;
		bool own;
	} table[] = {
		{ 10, 50, 60, true },
		{ 10, 50, 60, false },
		{ 0, 100000, 131070, true },
		{ 10, 100000, 131070, true },
		{ 10, 100000, 131070, false },
		{ 65530, 131200, 70000 + 5, true },
		{ 65530, 150000, 140000, false },
		{ 10, 65535 + 8 + 10 + 7, 65535 + 1, true },
	};
	const size_t limit_of_end = strlen(BLOCK) + 40;
	size_t ends[2] = { 0 }, i;
	struct scene sc;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		begin(&sc);
		room = 0;
		if (table[i].before > 0)
			assert_int_equal(put_own(&sc, table[i].before), 0);
		ends[1] = sc.want.len;
		assert_int_equal(write_turn(&sc),
		    table[i].before > 0 ? OUTFLOW_BLOCKED : OUTFLOW_DONE);
		sc.o.pending.limit_len = table[i].limit;
		assert_int_equal(table[i].own
				     ? put_own(&sc, table[i].len)
				     : put_shared(&sc, 1, table[i].len),
		    -1);
		sc.o.pending.limit_len += limit_of_end;
		room = 1; /* now it is begun */
		write_turn(&sc);
		assert_int_equal(outflow_end(&sc.o, BLOCK, strlen(BLOCK)), 0);
		room = TAKES_ALL;
		assert_int_equal(write_turn(&sc), OUTFLOW_DONE);
		check_end(&sc, ends, 2, strlen(BLOCK));
		finish(&sc);
	}
}

/* --- a real one --------------------------------------------------------- */

static void
socket_takes_it_by_and_by(void **state)
{
	char bytes[3000];
	struct scene sc;
	ssize_t n;
	int pair[2], turn;

	(void)state;
	begin(&sc);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	sc.o.fd = pair[0];
	for (turn = 0; turn < 200; turn++) {
		if (turn < 150)
			put_turn(&sc, turn % 2 == 0 ? "s3000 o2" : "s70000");
		assert_int_not_equal(write_turn(&sc), OUTFLOW_GONE);
		if (turn % 3 == 0)
			continue;
		while ((n = read(pair[1], bytes, sizeof(bytes))) > 0)
			assert_int_equal(buf_put(&sent, bytes, (size_t)n), 0);
	}
	while (outflow_has_some(&sc.o)) {
		assert_int_not_equal(write_turn(&sc), OUTFLOW_GONE);
		while ((n = read(pair[1], bytes, sizeof(bytes))) > 0)
			assert_int_equal(buf_put(&sent, bytes, (size_t)n), 0);
	}
	check_sent(&sc, false);
	close(pair[1]);
	put_turn(&sc, "s10");
	assert_int_equal(write_turn(&sc), OUTFLOW_GONE);
	close(pair[0]);
	finish(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_turns_are_written_at_once),
		cmocka_unit_test(parts_are_written_on),
		cmocka_unit_test(large_parts_are_written_on),
		cmocka_unit_test(client_may_be_behind_for_ever),
		cmocka_unit_test(errors_are_told_apart),
		cmocka_unit_test(end_completes_what_was_begun),
		cmocka_unit_test(waiting_frames_are_forgotten),
		cmocka_unit_test(without_room_nothing_is_put),
		cmocka_unit_test(socket_takes_it_by_and_by),
	};

	return cmocka_run_group_tests_name("outflow", tests, NULL, NULL);
}
