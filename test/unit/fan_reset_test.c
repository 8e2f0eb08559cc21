/* SPDX-License-Identifier: ISC */
/* fan_reset.h: who is told that the store went back, and what is left to say
 * then. */
#include "carrier/fan_reset.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/fan_sink.h"
#include "carrier/fan_write.h"
#include "test/unit/unit.h"

#define KNOWN 110 /* the channel's last record, as its responder knew it */

struct fixture {
	struct fan fan;
	struct carried *c, *other; /* two streams, of one channel */
	int fd, other_fd;	   /* the web server's ends */
	struct taken_channel found;
};

static struct carried *
add_stream(struct fixture *f, int *fd)
{
	struct offer o = { .key = "", .grant = "", .user = "", .nchannels = 1 },
		     parsed;
	const struct offer_move m = {
		.floor = KNOWN, .heard = KNOWN, .cursor = KNOWN
	};
	struct carried *c;
	struct buf b;
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*fd = pair[1];
	buf_init(&b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(&b, &o), 0);
	assert_int_equal(offer_add_channel(&b, "all", 3, KNOWN), 0);
	assert_int_equal(offer_parse(&parsed, b.bytes, b.len), 0);
	c = carried_new(&parsed, open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_non_null(c);
	assert_int_equal(fan_add(&f->fan, c, &parsed, 1), 0);
	buf_free(&b);
	carried_move_in(c, pair[0], &m);
	f->fan.nguests--;
	return c;
}

static void
set_up(struct fixture *f)
{
	fan_init(&f->fan, -1);
	fan_sink_init(&f->fan);
	f->c = add_stream(f, &f->fd);
	f->other = add_stream(f, &f->other_fd);
}

static void
tear_down(struct fixture *f)
{
	fan_free(&f->fan);
	close(f->fd);
	close(f->other_fd);
}

/* A take that found this. */
static struct take
take(struct fixture *f, uint64_t clock, uint64_t last, bool is_replica)
{
	f->found = (struct taken_channel){ .last = last };
	return (struct take){
		.clock = clock,
		.epoch = 1,
		.is_replica = is_replica,
		.channels = &f->found,
		.nchannels = 1,
	};
}

/* Was this written, and nothing else but FastCGI's heads? */
static void
assert_written(struct fixture *f, const char *want)
{
	char bytes[1024], text[1024];
	size_t n = 0;
	ssize_t len, i;

	fan_write(&f->fan, 1);
	len = recv(f->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	for (i = 8; i < len; i++)
		text[n++] = bytes[i];
	text[n] = '\0';
	assert_string_equal(text, want);
}

static void
flush(struct fixture *f, uint64_t id)
{
	const bool is_affected = true;
	const struct take t = take(f, id, id, false);
	const struct reset r = { .reason = RESET_FLUSHED,
		.id = id,
		.channels = &f->fan.channels,
		.is_affected = &is_affected,
		.take = &t };

	fan_reset(&f->fan, &r);
}

static void
record_that_is_gone_is_a_flush(void **state)
{
	struct fixture f;
	struct take t;

	(void)state;
	set_up(&f);
	t = take(&f, 120, 100, false);
	fan_taken(&f.fan, &t);
	assert_written(&f,
	    "event: stream-reset\n"
	    "data: {\"channels\":[\"all\"],\"reason\":\"flushed\","
	    "\"id\":\"120\"}\n\n"
	    "id: 120\nevent: stream-position\ndata: 120\n\n");
	fan_taken(&f.fan, &t);
	assert_written(&f, "");
	tear_down(&f);
}

/* How long it may is the follower's business. */
static void
replica_may_lag(void **state)
{
	struct fixture f;
	struct take t;

	(void)state;
	set_up(&f);
	t = take(&f, 105, 100, true);
	fan_taken(&f.fan, &t);
	assert_written(&f, "");
	t = take(&f, 120, KNOWN, false);
	fan_taken(&f.fan, &t);
	assert_written(&f, "");
	tear_down(&f);
}

static void
replica_that_never_comes_as_far_is_a_flush(void **state)
{
	struct fixture f;
	struct take t;

	(void)state;
	set_up(&f);
	f.c->cursor = 100; /* it has had no event since then */
	f.other->cursor = 115;
	t = take(&f, 105, 100, true);
	fan_taken(&f.fan, &t);
	flush(&f, 105);
	assert_int_equal(f.c->floor, 0);
	assert_written(&f,
	    "event: stream-reset\n"
	    "data: {\"channels\":[\"all\"],\"reason\":\"flushed\","
	    "\"id\":\"105\"}\n\n");
	tear_down(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_that_is_gone_is_a_flush),
		cmocka_unit_test(replica_may_lag),
		cmocka_unit_test(replica_that_never_comes_as_far_is_a_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
