/* SPDX-License-Identifier: ISC */
/*
 * The loop of a carrier: Redis, the door, and its streams.  It never waits for
 * one of them.
 */
#include "carrier/carrier.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "block.h"
#include "carrier/fan.h"
#include "carrier/fan_sink.h"
#include "carrier/fan_write.h"
#include "carrier/guests.h"
#include "carrier/patience.h"
#include "follow_channels.h"
#include "redis_sub.h"
#include "reply.h"

#define EMPTY_MS 60000	    /* without a stream so long, it ends */
#define SCAN_MIN_MS 100	    /* deadlines are looked at no more often, */
#define SCAN_BLOCKED_MS 500 /* and so often while a client takes nothing */
#define EVENTS_MAX 256	    /* of streams in one turn */
#define OTHER_FDS 64	    /* beside those of streams */
#define OFFERS_MAX 16	    /* likewise */
#define GOODBYE_MIN_MS 1000
#define GOODBYE_MAX_MS 5000
#define TAKEN_LEN ((size_t)32 << 20)   /* what a take brings, for all */
#define RECENT_LEN ((size_t)256 << 10) /* kept without guests */

struct carriage {
	const struct config *cfg;
	const struct carrier_link *link;
	int door_fd, life_fd; /* -1: at its end */
	int epoll_fd;
	struct redis_sub *sub;
	struct follower follower;
	struct fan fan;
	struct guests guests;
	bool is_stopping;
	bool was_live;
	uint64_t streams_max; /* that it can hold */
	struct patience patience;
	int64_t scan_due_ms; /* of the streams' deadlines */
	int64_t empty_ms;    /* since when there is no stream */
};

/* --- deadlines ---------------------------------------------------------- */

static int64_t
min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The site shuts down, or the stream has lived long enough. */
static void
end(struct carriage *cr, struct carried *c)
{
	struct buf *b = &cr->fan.scratch;

	buf_reset(b);
	if (cr->is_stopping)
		reply_put_retry(
		    b, clock_random(GOODBYE_MIN_MS, GOODBYE_MAX_MS));
	fan_end(&cr->fan, c, b->bytes, b->len);
}

static void
put_heartbeat(struct carriage *cr, struct carried *c, int64_t now)
{
	struct buf *b = &cr->fan.scratch;

	c->last_sign_ms = now;
	buf_reset(b);
	block_put_heartbeat(b, c->heartbeat_s);
	fan_put_sign(&cr->fan, c, b->bytes, b->len);
}

static int64_t
write_patience_ms(const struct carriage *cr)
{
	return cr->is_stopping ? 2000
			       : (int64_t)cr->cfg->write_timeout_s * 1000;
}

/* What is due for one stream.  Returns when it is to be looked at again. */
static int64_t
mind_deadlines(struct carriage *cr, struct carried *c, int64_t now)
{
	const int64_t interval_ms = (int64_t)cr->cfg->heartbeat_s * 1000;
	int64_t due_ms = INT64_MAX;

	if (c->blocked_ms != 0) {
		due_ms = c->blocked_ms + write_patience_ms(cr);
		if (now >= due_ms) {
			log_debug("a client took nothing for too long");
			fan_gone(&cr->fan, c);
		}
	}
	if (c->state != CARRIED_LIVE)
		return due_ms;
	if (now >= c->end_due_ms) {
		end(cr, c);
		return due_ms;
	}
	if (now >= c->last_sign_ms + interval_ms)
		put_heartbeat(cr, c, now);
	return min_ms(
	    due_ms, min_ms(c->end_due_ms, c->last_sign_ms + interval_ms));
}

static void
mind_all_deadlines(struct carriage *cr, int64_t now)
{
	int64_t due_ms = INT64_MAX;
	size_t i;

	if (now < cr->scan_due_ms)
		return;
	for (i = 0; i < cr->fan.n; i++) {
		struct carried *c = cr->fan.streams[i];

		if (c->state == CARRIED_LIVE || c->state == CARRIED_ENDING)
			due_ms = min_ms(due_ms, mind_deadlines(cr, c, now));
		else if (c->state == CARRIED_GUEST)
			due_ms = min_ms(due_ms, c->patience_ms);
	}
	cr->scan_due_ms =
	    due_ms < now + SCAN_MIN_MS ? now + SCAN_MIN_MS : due_ms;
}

static void
begin_to_stop(struct carriage *cr, int64_t now)
{
	size_t i;

	cr->is_stopping = true;
	cr->scan_due_ms = now;
	for (i = 0; i < cr->fan.n; i++)
		cr->fan.streams[i]->end_due_ms =
		    now + clock_random(0, (int64_t)cr->cfg->drain_s * 1000);
}

/* --- streams ------------------------------------------------------------ */

static void
hear_stream(
    struct carriage *cr, struct carried *c, uint32_t events, int64_t now)
{
	if (c->state == CARRIED_GONE)
		return;
	if (c->state == CARRIED_GUEST) {
		if (guests_hear(&cr->guests, c))
			cr->scan_due_ms = now;
		if (c->state == CARRIED_LIVE && cr->is_stopping)
			c->end_due_ms = now;
		return;
	}
	if ((events & ~(uint32_t)EPOLLOUT) != 0 &&
	    carried_has_left(c, events)) {
		fan_gone(&cr->fan, c);
		return;
	}
	if (events & EPOLLOUT)
		fan_write_one(&cr->fan, c, now);
}

static void
hear_streams(struct carriage *cr)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(cr->epoll_fd, events, EVENTS_MAX, 0), i;
	const int64_t now = clock_now_ms();

	for (i = 0; i < n; i++)
		hear_stream(cr, events[i].data.ptr, events[i].events, now);
}

/* --- the loop ----------------------------------------------------------- */

static bool
has_room(const struct carriage *cr)
{
	return cr->door_fd != -1 && !cr->is_stopping &&
	       cr->fan.n < cr->streams_max && guests_are_welcome(&cr->guests);
}

static void
hear_door(struct carriage *cr)
{
	const int64_t now = clock_now_ms();
	int i, said = 0;

	for (i = 0; i < OFFERS_MAX && said == 0 && has_room(cr); i++)
		said = guests_take_in(&cr->guests, cr->door_fd, now);
	if (said == -1)
		cr->door_fd = -1;
}

static struct timespec
time_to_wait(const struct carriage *cr, int64_t now)
{
	int64_t due_ms = cr->scan_due_ms, wait_ms;

	if (patience_is_paused(&cr->patience))
		due_ms = min_ms(due_ms, patience_due_ms(&cr->patience));
	else if (cr->follower.state != FOLLOW_RESTING)
		due_ms = min_ms(due_ms, cr->follower.due_ms);
	if (cr->empty_ms != 0)
		due_ms = min_ms(due_ms, cr->empty_ms + EMPTY_MS);
	wait_ms = due_ms > now ? due_ms - now : 0;
	return (struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 };
}

/* Wait for all of them, and hear what they say. */
static void
hear_all(struct carriage *cr, bool *is_quiet)
{
	const bool is_paused = patience_is_paused(&cr->patience);
	struct pollfd fds[4] = { { .fd = is_paused ? -1 : redis_sub_fd(cr->sub),
				     .events = redis_sub_poll_events(cr->sub) },
		{ .fd = cr->epoll_fd, .events = POLLIN },
		{ .fd = cr->door_fd, .events = has_room(cr) ? POLLIN : 0 },
		{ .fd = cr->life_fd } };
	struct timespec ts = time_to_wait(cr, clock_now_ms());

	*is_quiet = true;
	if (ppoll(fds, 4, &ts, stop_wait_mask()) <= 0)
		return;
	*is_quiet = fds[0].revents == 0;
	if (fds[0].revents != 0)
		follow_hear(&cr->follower, fds[0].revents);
	if (fds[1].revents != 0)
		hear_streams(cr);
	if (fds[2].revents & POLLIN)
		hear_door(cr);
	else if (fds[2].revents != 0)
		cr->door_fd = -1; /* nobody can come any more */
	if (fds[3].revents != 0) {
		cr->life_fd = -1;
		follow_doubt(&cr->follower);
	}
}

/* What the follower is to do by itself. */
static void
work_follower(struct carriage *cr, bool is_quiet, int64_t now)
{
	struct follower *f = &cr->follower;
	bool *is_kept;

	if (f->state == FOLLOW_LIVE && cr->fan.needs_take) {
		cr->fan.needs_take = false;
		follow_work(f, false);
	} else if (f->state == FOLLOW_LIVE && now >= f->due_ms &&
		   fan_has_unused(&cr->fan) &&
		   (is_kept = fan_forget_unused(&cr->fan)) != NULL) {
		follow_keep(f, is_kept);
		free(is_kept);
	} else if (f->state == FOLLOW_RESTING) {
		if (!cr->fan.sink.ops->is_congested(&cr->fan.sink))
			follow_wake(f);
	} else if (!patience_is_paused(&cr->patience) && now >= f->due_ms) {
		follow_work(f, is_quiet);
	}
	if (f->state == FOLLOW_LIVE && !cr->was_live)
		guests_taken(&cr->guests);
	cr->was_live = f->state == FOLLOW_LIVE;
}

/* Is there nothing left to do? */
static bool
is_over(struct carriage *cr, int64_t now)
{
	if (cr->guests.is_broken)
		return true; /* what was open comes back to others */
	if (cr->fan.n > 0) {
		cr->empty_ms = 0;
		return false;
	}
	if (cr->empty_ms == 0)
		cr->empty_ms = now;
	return cr->is_stopping || cr->door_fd == -1 ||
	       now >= cr->empty_ms + EMPTY_MS;
}

static void
turn(struct carriage *cr)
{
	bool is_quiet;
	int64_t now;

	hear_all(cr, &is_quiet);
	now = clock_now_ms();
	if (stop_has_arrived() && !cr->is_stopping)
		begin_to_stop(cr, now);
	follow_limit_take(&cr->follower, TAKEN_LEN / (cr->fan.n + 1));
	work_follower(cr, is_quiet, now);
	if (guests_work(&cr->guests, now))
		cr->scan_due_ms = now;
	mind_all_deadlines(cr, now);
	fan_write(&cr->fan, now);
	patience_mind(&cr->patience, &cr->fan, now);
	fan_write(&cr->fan, now);
	if (cr->fan.nblocked > 0)
		cr->scan_due_ms =
		    min_ms(cr->scan_due_ms, now + SCAN_BLOCKED_MS);
	fan_sweep(&cr->fan);
	if (cr->fan.nguests == 0)
		recent_trim(&cr->fan.recent, RECENT_LEN);
	atomic_store(cr->link->nstreams, (uint32_t)cr->fan.n);
}

/* Each stream is a descriptor, and two while it moves in. */
static uint64_t
count_streams_max(const struct config *cfg)
{
	const uint64_t n = cfg->streams_per_process;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return n;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= n + OTHER_FDS)
		return n;
	log_warn("a process may open %llu files, which is too few for "
		 "--streams-per-process=%llu: raise its limit (nofile)",
	    (unsigned long long)limit.rlim_cur, (unsigned long long)n);
	return limit.rlim_cur > OTHER_FDS ? limit.rlim_cur - OTHER_FDS : 0;
}

static int
open_carrier(struct carriage *cr)
{
	const struct cursor none = { CURSOR_NONE, 0 };

	cr->streams_max = count_streams_max(cr->cfg);
	cr->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fan_init(&cr->fan, cr->epoll_fd);
	fan_sink_init(&cr->fan);
	guests_init(&cr->guests, &cr->fan, &cr->follower);
	if (cr->epoll_fd == -1 || (cr->sub = redis_sub_new(cr->cfg)) == NULL)
		return -1;
	if (follow_open(&cr->follower, cr->cfg, cr->sub, &cr->fan.channels,
		&cr->fan.keys, &cr->fan.sink, &none) == -1)
		return -1;
	cr->follower.summons_ms = 0; /* there are few carriers */
	return 0;
}

int
carrier_run(const struct config *cfg, const struct carrier_link *link)
{
	struct carriage cr = { .cfg = cfg,
		.link = link,
		.door_fd = link->door_fd,
		.life_fd = link->life_fd };
	int code = EX_OK;

	if (open_carrier(&cr) == -1) {
		log_error("out of memory for a carrier");
		code = EX_OSERR;
	} else {
		while (!is_over(&cr, clock_now_ms()))
			turn(&cr);
	}
	follow_close(&cr.follower);
	redis_sub_free(cr.sub);
	fan_free(&cr.fan);
	if (cr.epoll_fd != -1)
		close(cr.epoll_fd);
	return code;
}
