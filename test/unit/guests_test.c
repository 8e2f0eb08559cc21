/* SPDX-License-Identifier: ISC */
/* guests.h: a stream on its way in, by what its responder does.  The test is
 * responder and web server. */
#include "carrier/guests.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "carrier/fan_sink.h"
#include "carrier/fan_write.h"
#include "test/unit/unit.h"

struct fixture {
	struct fan fan;
	struct follower follower;
	struct guests guests;
	struct carried *c;
	int responder_fd; /* its end of the pair that it offered */
	int server_fd;	  /* the web server's end of the connection, */
	int client_fd;	  /* and the responder's */
};

static void
make_pair(int type, int *one, int *other)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	*one = pair[0];
	*other = pair[1];
}

/* A guest that was told to come. */
static void
add_guest(struct fixture *f)
{
	struct offer o = { .key = "", .grant = "", .user = "", .nchannels = 1 },
		     parsed;
	struct buf b;
	int fd;

	make_pair(SOCK_SEQPACKET, &fd, &f->responder_fd);
	buf_init(&b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(&b, &o), 0);
	assert_int_equal(offer_add_channel(&b, "all", 3, 0), 0);
	assert_int_equal(offer_parse(&parsed, b.bytes, b.len), 0);
	f->c = carried_new(&parsed, fd);
	assert_non_null(f->c);
	assert_int_equal(fan_add(&f->fan, f->c, &parsed, 1), 0);
	buf_free(&b);
	f->c->is_ready = true;
	f->c->patience_ms = 1000;
}

static void
set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	fan_init(&f->fan, -1);
	fan_sink_init(&f->fan);
	guests_init(&f->guests, &f->fan, &f->follower);
	f->follower.state = FOLLOW_LIVE;
	assert_int_equal(
	    progress_init(&f->follower.delivery.progress, 1, 0), 0);
	add_guest(f);
	make_pair(SOCK_STREAM, &f->server_fd, &f->client_fd);
}

static void
tear_down(struct fixture *f)
{
	fan_free(&f->fan);
	progress_free(&f->follower.delivery.progress);
	close(f->responder_fd);
	close(f->server_fd);
}

static int
send_move(struct fixture *f)
{
	const struct offer_move m = { .floor = 0 };

	return fdpass_send(f->responder_fd, &m, sizeof(m), f->client_fd);
}

/* It ends properly: with END_REQUEST (type 3), the last of the records. */
static void
assert_ended(struct fixture *f)
{
	unsigned char bytes[256];
	ssize_t len;

	fan_write(&f->fan, 1);
	fan_sweep(&f->fan);
	assert_int_equal(f->fan.n, 0);
	len = recv(f->server_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	assert_true(len >= 16);
	assert_int_equal(bytes[len - 16 + 1], 3);
}

/* Its responder has sent it off already, and knows nothing of that. */
static void
guest_that_is_spoiled_is_not_cut_off(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_int_equal(send_move(&f), 0);
	close(f.client_fd);
	f.c->is_spoiled = true;
	guests_work(&f.guests, 1);
	assert_ended(&f);
	tear_down(&f);
}

static void
guest_that_is_late_moves_in(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_int_equal(send_move(&f), 0);
	close(f.client_fd);
	guests_work(&f.guests, 1000);
	assert_int_equal(f.c->state, CARRIED_LIVE);
	assert_int_equal(f.fan.nguests, 0);
	tear_down(&f);
}

static void
guest_that_is_given_up_stays_where_it_is(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f);
	guests_work(&f.guests, 1000);
	assert_int_equal(f.c->state, CARRIED_GONE);
	assert_int_equal(f.fan.nguests, 0);
	assert_int_equal(send_move(&f), -1);
	close(f.client_fd);
	tear_down(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_that_is_spoiled_is_not_cut_off),
		cmocka_unit_test(guest_that_is_late_moves_in),
		cmocka_unit_test(guest_that_is_given_up_stays_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
