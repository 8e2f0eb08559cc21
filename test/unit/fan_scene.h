/* SPDX-License-Identifier: ISC */
/*
 * Streams of a carrier, for the tests of fan.h and fan_sink.h: their sockets are
 * here, sendmsg() takes what a test says.
 */
#ifndef FAN_SCENE_H
#define FAN_SCENE_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "carrier/fan.h"
#include "carrier/fan_reset.h"
#include "carrier/fan_sink.h"
#include "carrier/fan_write.h"
#include "carrier/offer.h"
#include "test/fcgi_reader.h"
#include "test/unit/unit.h"

#define FIRST_FD 1000000 /* nobody has that */
#define SOCKETS_MAX 4096
#define REQUEST_ID 5
#define NOW_MS 1000

/* The sockets, by their descriptors. */
static struct socket {
	struct buf sent;
	bool is_full, is_closed;
} sockets[SOCKETS_MAX];
static int nsockets;

/* instead of libc's */
ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct socket *s = &sockets[fd - FIRST_FD];
	size_t i, all = 0;

	assert_in_range(fd, FIRST_FD, FIRST_FD + nsockets - 1);
	assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (s->is_full || s->is_closed) {
		errno = s->is_closed ? EPIPE : EAGAIN;
		return -1;
	}
	for (i = 0; i < message->msg_iovlen; i++) {
		assert_int_equal(buf_put(&s->sent, message->msg_iov[i].iov_base,
				     message->msg_iov[i].iov_len),
		    0);
		all += message->msg_iov[i].iov_len;
	}
	return (ssize_t)all;
}

static inline int
new_socket(void)
{
	assert_true(nsockets < SOCKETS_MAX);
	sockets[nsockets] = (struct socket){ .is_full = false };
	buf_init(&sockets[nsockets].sent, 1 << 26);
	return FIRST_FD + nsockets++;
}

static inline void
scene_begin(struct fan *f)
{
	fan_init(f, -1);
	fan_sink_init(f);
}

static inline void
scene_end(struct fan *f)
{
	fan_free(f);
	while (nsockets > 0)
		buf_free(&sockets[--nsockets].sent);
}

struct known {
	const char *name;
	uint64_t position;
};

/* A guest that offers n channels.  key, grant: "" for no session. */
static inline struct carried *
add_guest(struct fan *f, const struct known *channels, size_t n,
    const char *key, const char *grant, uint64_t ping)
{
	struct offer o = { .request_id = REQUEST_ID,
		.key = key,
		.grant = grant,
		.grant_len = strlen(grant),
		.user = "",
		.end_due_ms = INT64_MAX,
		.nchannels = n };
	struct carried *c;
	struct buf b;
	size_t i;

	buf_init(&b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(&b, &o), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(
		    offer_add_channel(&b, channels[i].name,
			strlen(channels[i].name), channels[i].position),
		    0);
	assert_int_equal(offer_parse(&o, b.bytes, b.len), 0);
	c = carried_new(&o, new_socket());
	assert_non_null(c);
	assert_int_equal(fan_add(f, c, &o, ping), 0);
	buf_free(&b);
	return c;
}

/* As guests.c does it. */
static inline void
move_in(struct fan *f, struct carried *c, uint64_t floor, uint64_t cursor)
{
	const struct offer_move m = {
		.floor = floor, .heard = floor, .cursor = cursor
	};

	carried_move_in(c, new_socket(), &m);
	f->nguests--;
	fan_catch_up(f, c);
}

/* One of one channel, without a session, that lives. */
static inline struct carried *
add_live(struct fan *f, const char *channel, uint64_t floor, uint64_t cursor)
{
	const struct known one = { channel, 0 };
	struct carried *c = add_guest(f, &one, 1, "", "", 1);

	move_in(f, c, floor, cursor);
	return c;
}

static inline size_t
number_of(const struct fan *f, const char *channel)
{
	size_t i;

	assert_true(
	    channel_set_find(&f->channels, channel, strlen(channel), &i));
	return i;
}

static inline void
hear_record(struct fan *f, const char *channel, uint64_t id, uint64_t prev)
{
	char frame[100];
	const struct record rec = { .id = id,
		.prev = prev,
		.frame = frame,
		.frame_len = (size_t)snprintf(frame, sizeof(frame),
		    "id: %ju\ndata: x\n\n", (uintmax_t)id) };

	assert_int_equal(
	    f->sink.ops->record(&f->sink, number_of(f, channel), &rec),
	    CLIENT_OK);
}

/* What was sent to the socket, since the last call, and whether it ended. */
static inline void
check_socket(int fd, const char *want, bool has_ended)
{
	struct socket *s = &sockets[fd - FIRST_FD];
	struct fcgi_reader r;

	fcgi_reader_read(&r, s->sent.bytes, s->sent.len, REQUEST_ID);
	assert_false(r.is_bad);
	assert_int_equal(r.rest, 0);
	r.content[r.len] = '\0';
	assert_string_equal(r.content, want);
	assert_int_equal(r.has_ended, has_ended);
	fcgi_reader_free(&r);
	buf_reset(&s->sent);
}

/* The same of one that is there. */
static inline void
check_stream(struct fan *f, const struct carried *c, const char *want)
{
	fan_write(f, NOW_MS);
	assert_int_equal(c->state, CARRIED_LIVE);
	check_socket(c->fd, want, false);
}

#endif
