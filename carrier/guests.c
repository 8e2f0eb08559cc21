/* SPDX-License-Identifier: ISC */
/* Streams on their way in. */
#include "carrier/guests.h"
#include "follow_channels.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "carrier/fan_reset.h"
#include "carrier/fan_sink.h"
#include "carrier/fan_write.h"
#include "plain.h"

#define PATIENCE_MS 5000  /* then a guest is given up */
#define CHANNELS_MAX 8192 /* a take of more would hold up Redis for long */

void
guests_init(struct guests *g, struct fan *f, struct follower *follower)
{
	*g = (struct guests){ .fan = f, .follower = follower };
}

bool
guests_are_welcome(const struct guests *g)
{
	const struct delivery *d = &g->follower->delivery;

	return g->follower->state == FOLLOW_LIVE && !g->follower->is_summoned &&
	       !d->taken.is_not_atomic && plain_is_quiet(&d->plain);
}

/* --- the offer ---------------------------------------------------------- */

/* The channels that are new are subscribed to; PING tells when they are. */
static int
follow_new(struct guests *g, size_t first_channel, size_t first_key)
{
	struct fan *f = g->fan;

	if (f->channels.n == first_channel && f->keys.n == first_key)
		return 0;
	if (follow_add(g->follower, first_channel, first_key) == -1)
		return -1;
	follow_ping(g->follower, ++g->pings);
	return 0;
}

static int
take_in(struct guests *g, const struct offer *o, int fd, int64_t now_ms)
{
	struct fan *f = g->fan;
	const size_t nchannels = f->channels.n, nkeys = f->keys.n;
	struct carried *c = carried_new(o, fd);
	int failed;

	if (c == NULL)
		return -1;
	if ((failed = fan_add(f, c, o, g->pings + 1)) == -1) {
		carried_free(c);
	} else {
		c->patience_ms = now_ms + PATIENCE_MS;
		c->awaited_ping = fan_awaited_ping(f, c);
		fan_watch(f, c);
	}
	/* also if it failed: some channels may have come in */
	if (follow_new(g, nchannels, nkeys) == -1) {
		g->is_broken = true;
		return -1;
	}
	/* its session's key is heard with the last PING, at the latest */
	if (failed == 0 && c->key != CARRIED_NO_KEY)
		c->awaited_ping = g->pings;
	return failed;
}

int
guests_take_in(struct guests *g, int door_fd, int64_t now_ms)
{
	static char message[OFFER_LEN_MAX];
	struct offer o;
	ssize_t len;
	int fd;

	len = fdpass_receive(door_fd, message, sizeof(message), &fd);
	if (len == 0)
		return -1;
	if (len == -1)
		return errno == EAGAIN || errno == EINTR ? 1 : 0;
	if (fd == -1)
		return 0;
	if (offer_parse(&o, message, (size_t)len) == -1) {
		log_error("a responder offered a stream in a form that is "
			  "none; it keeps it");
		close(fd);
		return 0;
	}
	if (g->fan->channels.n + o.nchannels > CHANNELS_MAX) {
		close(fd);
		return 0;
	}
	if (take_in(g, &o, fd, now_ms) == -1)
		log_error("out of memory for another stream");
	return 0;
}

/* --- moving in ---------------------------------------------------------- */

/* Does it hear plain channels, or is it otherwise what was not expected? */
static bool
is_as_expected(const struct guests *g, const struct carried *c)
{
	const struct progress *p = &g->follower->delivery.progress;
	size_t i;

	for (i = 0; i < c->nchannels; i++)
		if (p->positions[c->channels[i]].hears_plain)
			return false;
	return plain_is_quiet(&g->follower->delivery.plain) && !c->is_spoiled &&
	       fan_can_catch_up(g->fan, c);
}

static void
move_in(struct guests *g, struct carried *c, int fd, const struct offer_move *m)
{
	fan_unwatch(g->fan, c);
	carried_move_in(c, fd, m);
	/* if the store is not as far, the next take shows it */
	progress_see(&g->follower->delivery.progress, m->floor);
	g->fan->nguests--;
	fan_watch(g->fan, c);
	if (is_as_expected(g, c))
		fan_catch_up(g->fan, c);
	else
		fan_send_back(g->fan, c, 500);
}

bool
guests_hear(struct guests *g, struct carried *c)
{
	struct offer_move m;
	char message[sizeof(m) + 1];
	ssize_t len;
	int fd;

	len = fdpass_receive(c->fd, message, sizeof(message), &fd);
	if (len == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (len > 0 && fd != -1 && c->is_ready &&
	    offer_read_move(&m, message, (size_t)len) == 0) {
		move_in(g, c, fd, &m);
		return true;
	}
	if (fd != -1)
		close(fd);
	fan_gone(g->fan, c); /* it stays where it is */
	return false;
}

static void
tell_ready(struct guests *g, struct carried *c)
{
	const struct progress *p = &g->follower->delivery.progress;
	const struct offer_ready ready = { fan_covered(g->fan, c),
		p->seen_clock, p->seen_epoch,
		g->follower->delivery.taken.now_us };

	c->is_ready = true;
	if (fdpass_send(c->fd, &ready, sizeof(ready), -1) == -1)
		fan_gone(g->fan, c);
}

/* It stays where it is, unless it is on its way already: from here on its
 * responder cannot send it any more, and what it has sent is heard. */
static bool
give_up(struct guests *g, struct carried *c)
{
	shutdown(c->fd, SHUT_RD);
	return guests_hear(g, c);
}

bool
guests_work(struct guests *g, int64_t now_ms)
{
	const uint64_t pong = g->follower->pong;
	struct fan *f = g->fan;
	bool has_moved = false;
	size_t i;

	if (f->nguests == 0)
		return false;
	fan_pinged(f, pong);
	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		if (c->state != CARRIED_GUEST)
			continue;
		if (!c->is_ready && c->awaited_ping <= pong &&
		    guests_are_welcome(g))
			tell_ready(g, c);
		else if (c->is_spoiled || now_ms >= c->patience_ms)
			has_moved |= give_up(g, c);
	}
	return has_moved;
}

void
guests_taken(struct guests *g)
{
	g->follower->pong = g->pings;
	fan_taken(g->fan, &g->follower->delivery.taken);
}
