/* SPDX-License-Identifier: ISC */
/* carried.h: what is left of a stream that is gone. */
#include "carrier/fan.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/fan_sink.h"
#include "test/unit/unit.h"

static void
set_up(struct fan *f)
{
	fan_init(f, epoll_create1(EPOLL_CLOEXEC));
	fan_sink_init(f);
}

static void
tear_down(struct fan *f)
{
	close(f->epoll_fd);
	fan_free(f);
}

/* A stream of one channel, which lives; *fd is the web server's end. */
static struct carried *
add(struct fan *f, const char *channel, const char *key, int *fd)
{
	struct offer o = { .request_id = 1,
		.key = key,
		.grant = "",
		.user = "",
		.nchannels = 1 },
		     parsed;
	const struct offer_move m = { .floor = 0 };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };
	struct carried *c;
	struct buf b;
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*fd = pair[1];
	buf_init(&b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(&b, &o), 0);
	assert_int_equal(offer_add_channel(&b, channel, strlen(channel), 0), 0);
	assert_int_equal(offer_parse(&parsed, b.bytes, b.len), 0);
	c = carried_new(&parsed, open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_non_null(c);
	assert_int_equal(fan_add(f, c, &parsed, 1), 0);
	buf_free(&b);
	carried_move_in(c, pair[0], &m);
	f->nguests--;
	ev.data.ptr = c;
	assert_int_equal(
	    epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, pair[0], &ev), 0);
	return c;
}

static void
leave(struct fan *f, struct carried *c)
{
	fan_gone(f, c);
	fan_sweep(f);
}

/* Its responder may still have the descriptor, too. */
static void
who_is_gone_is_heard_no_more(void **state)
{
	struct fan f;
	struct carried *c;
	struct epoll_event ev;
	int fd, others;

	(void)state;
	set_up(&f);
	c = add(&f, "all", "", &fd);
	others = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	leave(&f, c);
	close(fd);
	assert_int_equal(epoll_wait(f.epoll_fd, &ev, 1, 0), 0);
	close(others);
	tear_down(&f);
}

static void
keys_that_nobody_has_are_forgotten(void **state)
{
	char key[16];
	struct fan f;
	bool *is_kept;
	int i, fd, stays;

	(void)state;
	set_up(&f);
	add(&f, "all", "sse:session:stays", &stays);
	assert_false(fan_has_unused(&f));
	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		leave(&f, add(&f, "all", key, &fd));
		close(fd);
	}
	assert_int_equal(f.keys.n, 101);
	assert_true(fan_has_unused(&f));
	is_kept = fan_forget_unused(&f);
	assert_non_null(is_kept);
	assert_true(is_kept[0]);
	free(is_kept);
	assert_int_equal(f.keys.n, 1);
	assert_int_equal(f.channels.n, 1);
	assert_string_equal(f.keys.items[0].name, "sse:session:stays");
	assert_int_equal(f.streams[0]->key, 0);
	assert_false(fan_has_unused(&f));
	tear_down(&f);
	close(stays);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_gone_is_heard_no_more),
		cmocka_unit_test(keys_that_nobody_has_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
