/* SPDX-License-Identifier: ISC */
/*
 * The loop of one client.  It waits on Redis and on the client at once, so
 * that a client that left is noticed when the web server tells.
 */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "follow_channels.h"
#include "redis_sub.h"
#include "reply.h"
#include "respond_links.h"
#include "stream_grant.h"

#define GOODBYE_MIN_MS 1000 /* a restarted server is soon there again */
#define GOODBYE_MAX_MS 5000
#define FLUSH_LEN 32768	   /* in a flood, read on until so much is to leave */
#define REST_LEN (4 << 20) /* a client for which more waits is slow */
#define LAST_WRITE_MS 2000 /* for what waits when the site shuts down */
#define OWN_FRAME_LEN 1024 /* of drop_deep_stack, and more */
#define STACK_LEN 65536	   /* below it, more than was ever in use */

/* --- the end ------------------------------------------------------------ */

/* The site shuts down: streams end spread over the drain time. */
static enum client_result
begin_to_stop(struct stream *st)
{
	if (client_is_cgi(st->cl))
		return CLIENT_GONE; /* the web server says so */
	st->is_stopping = true;
	if (st->is_over)
		return CLIENT_OK;
	if (!st->out.is_open)
		return stream_come_back(st, "the server is being restarted");
	st->end_due_ms =
	    clock_now_ms() + clock_random(0, (int64_t)st->cfg->drain_s * 1000);
	return CLIENT_OK;
}

static enum client_result
end(struct stream *st)
{
	st->is_over = true;
	if (!st->is_stopping)
		return CLIENT_OK;
	reply_put_retry(
	    &st->out.scratch, clock_random(GOODBYE_MIN_MS, GOODBYE_MAX_MS));
	return outlet_put_scratch(&st->out);
}

/* --- the loop ----------------------------------------------------------- */

/* When a sign of life is due: not before the stream has begun. */
static int64_t
heartbeat_due_ms(const struct stream *st)
{
	return st->out.is_open && !st->is_over
		   ? st->out.last_sign_ms + (int64_t)st->cfg->heartbeat_s * 1000
		   : INT64_MAX;
}

/* Until when a client that takes nothing is waited for. */
static int64_t
blocked_due_ms(const struct stream *st)
{
	const int64_t since = st->out.waiting_ms;

	if (since == 0)
		return INT64_MAX;
	return since + (st->is_stopping
			       ? LAST_WRITE_MS
			       : (int64_t)st->cfg->write_timeout_s * 1000);
}

/* How long nothing is to do: until the next deadline. */
static struct timespec
time_to_wait(const struct stream *st)
{
	const int64_t dues[] = { heartbeat_due_ms(st), blocked_due_ms(st),
		st->is_over ? INT64_MAX : st->end_due_ms,
		st->is_over || st->follower.state == FOLLOW_RESTING
		    ? INT64_MAX
		    : st->follower.due_ms,
		st->is_over || st->is_stopping ? INT64_MAX
					       : move_due_ms(&st->move) };
	int64_t due_ms = INT64_MAX, wait_ms;
	size_t i;

	for (i = 0; i < sizeof(dues) / sizeof(dues[0]); i++)
		if (dues[i] < due_ms)
			due_ms = dues[i];
	if (due_ms == INT64_MAX)
		return (struct timespec){ 3600, 0 };
	wait_ms = due_ms - clock_now_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	return (struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 };
}

struct events {
	short redis;	  /* what poll() said of it */
	bool is_writable; /* the client takes something */
	bool carrier;	  /* it has answered */
};

/* Wait for Redis, the client, SIGTERM or the next deadline: the one place where
 * a stream does. */
static enum client_result
wait_for_events(struct stream *st, struct events *ev)
{
	const struct redis_sub *sub = st->follower.sub;
	const bool is_pending = outlet_pending_len(&st->out) > 0;
	struct pollfd fds[4] = {
		{ .fd = st->is_over ? -1 : redis_sub_fd(sub),
		    .events = st->is_over ? 0 : redis_sub_poll_events(sub) },
		{ .fd = client_fd(st->cl),
		    .events = (short)(client_poll_events(st->cl) |
				      (is_pending ? POLLOUT : 0)) },
		{ .fd = st->life_fd }, { .fd = st->move.fd, .events = POLLIN }
	};
	struct timespec ts = time_to_wait(st);
	short said;

	*ev = (struct events){ .redis = 0 };
	if (ppoll(fds, 4, &ts, stop_wait_mask()) == -1 && errno != EINTR)
		return CLIENT_GONE;
	clock_hold();
	said = fds[1].revents & (short)~POLLOUT;
	if (said != 0 && client_has_left(st->cl, said))
		return CLIENT_GONE;
	ev->redis = fds[0].revents;
	ev->is_writable = (fds[1].revents & POLLOUT) != 0;
	if (ev->is_writable)
		client_note_writable(st->cl);
	ev->carrier = fds[3].revents != 0;
	if (fds[2].revents != 0) {
		st->life_fd = -1;
		follow_doubt(&st->follower);
	}
	return CLIENT_OK;
}

/* What a slow client costs is its own: it leaves the channels until it has taken
 * what waits, and ends when it takes nothing at all. */
static enum client_result
mind_slow_client(struct stream *st, const struct events *ev)
{
	if (!ev->is_writable && clock_now_ms() >= blocked_due_ms(st)) {
		log_debug("a client took nothing for too long");
		return CLIENT_GONE;
	}
	if (st->is_over)
		return CLIENT_OK;
	if (outlet_pending_len(&st->out) > REST_LEN)
		follow_rest(&st->follower);
	else if (outlet_pending_len(&st->out) == 0)
		follow_wake(&st->follower);
	return CLIENT_OK;
}

static enum client_result
do_what_is_due(struct stream *st, const struct events *ev)
{
	struct follower *f = &st->follower;
	const int64_t now = clock_now_ms();

	if (stop_has_arrived() && !st->is_stopping)
		return begin_to_stop(st);
	if (st->is_over)
		return CLIENT_OK;
	if (now >= st->end_due_ms)
		return end(st);
	if (f->state == FOLLOW_CHANGED)
		return stream_apply_grant(st);
	if (now >= f->due_ms)
		follow_work(f, ev->redis == 0);
	if (f->is_hopeless)
		return stream_come_back_from(st, redis_sub_error(f->sub));
	return now >= heartbeat_due_ms(st) ? outlet_put_heartbeat(&st->out)
					   : CLIENT_OK;
}

/* It may go on in a process that holds others, too. */
static enum client_result
move_out(struct stream *st, const struct events *ev)
{
	const struct move_stream s = { st->cl, &st->out, &st->follower,
		st->session, st->end_due_ms };

	if (st->is_over || st->is_stopping) {
		move_cancel(&st->move);
		return CLIENT_OK;
	}
	return move_work(&st->move, &s, ev->carrier, clock_now_ms())
		   ? CLIENT_MOVED
		   : CLIENT_OK;
}

/* Many frames leave in one write: when no more is to read, or enough is waiting.
 * As long as it is known that the client takes it, nobody is asked. */
static enum client_result
write_what_goes(struct stream *st, const struct events *ev)
{
	const bool has_more =
	    ev->redis != 0 && redis_sub_may_have_more(st->follower.sub);

	if (has_more && outlet_pending_len(&st->out) < FLUSH_LEN)
		return CLIENT_OK;
	return ev->is_writable || outlet_has_room(&st->out)
		   ? outlet_write(&st->out)
		   : CLIENT_OK;
}

/* A stream lives long and small: give back what only its take needed of the stack,
 * below what is in use (8 to 12 of 76 kB).  Not inlined, since there the caller's
 * frame would be below. */
static void __attribute__((noinline)) drop_deep_stack(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t end = (frame - OWN_FRAME_LEN) / page * page;

	madvise((void *)(end - STACK_LEN), STACK_LEN, MADV_DONTNEED);
}

/* Once round: wait, hear Redis, do what is due, write.  Whether the client has
 * taken all shows after that. */
static enum client_result
turn(struct stream *st)
{
	const bool was_taking = st->follower.state == FOLLOW_TAKING;
	enum client_result result;
	struct events ev;

	result = wait_for_events(st, &ev);
	if (result == CLIENT_OK && ev.redis != 0)
		result = follow_hear(&st->follower, ev.redis);
	if (was_taking && st->follower.state == FOLLOW_LIVE)
		drop_deep_stack();
	if (result == CLIENT_OK)
		result = do_what_is_due(st, &ev);
	if (result == CLIENT_OK)
		result = write_what_goes(st, &ev);
	if (result == CLIENT_OK)
		result = mind_slow_client(st, &ev);
	if (result == CLIENT_OK && st->move.door_fd != -1)
		result = move_out(st, &ev);
	return result;
}

static int
begin_to_follow(struct stream *st)
{
	if (st->links->sub == NULL)
		st->links->sub = redis_sub_new(st->cfg);
	if (st->links->sub == NULL || stream_set_keys(st) == -1)
		return -1;
	return follow_open(&st->follower, st->cfg, st->links->sub,
	    &st->session->channels, &st->keys, &st->sink.sink,
	    &st->req->cursor);
}

enum client_result
stream_run(struct client *cl, const struct config *cfg,
    const struct request *req, struct session *s, struct respond_links *links)
{
	struct stream st = { .cl = cl,
		.cfg = cfg,
		.req = req,
		.session = s,
		.links = links,
		.life_fd = links->life_fd };
	int64_t lifetime_ms = (int64_t)cfg->max_lifetime_s * 1000;
	enum client_result result = CLIENT_OK;

	st.end_due_ms = clock_now_ms() + clock_random(lifetime_ms * 9 / 10,
					     lifetime_ms * 11 / 10);
	outlet_init(
	    &st.out, cl, req->wants_heartbeat_event ? cfg->heartbeat_s : 0);
	move_init(&st.move, client_is_cgi(cl) ? -1 : links->door_fd);
	stream_sink_init(&st.sink, &st.out, s, cfg->retry_ms);
	if (reply_put_stream_header(&st.out.header, req, s) == -1 ||
	    begin_to_follow(&st) == -1)
		result = stream_come_back_from(&st, "out of memory");
	if (!s->needs_grant)
		stream_log_channels(s);
	while (result == CLIENT_OK &&
	       (!st.is_over || outlet_pending_len(&st.out) > 0))
		result = turn(&st);
	clock_release();
	follow_close(&st.follower);
	move_cancel(&st.move);
	if (links->sub != NULL)
		redis_sub_reuse(links->sub);
	channel_set_free(&st.keys);
	outlet_free(&st.out);
	return result;
}
