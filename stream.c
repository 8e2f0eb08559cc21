/* SPDX-License-Identifier: ISC */
/*
 * The loop of one client.  It waits on Redis and on the client at once, so
 * that a leaver is noticed when the web server tells.
 */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "follow.h"
#include "log.h"
#include "outlet.h"
#include "parse.h"
#include "redis_sub.h"
#include "reply.h"
#include "resume.h"

#define COME_BACK_LEAST_MS 5000
#define COME_BACK_MOST_MS 15000
#define GOODBYE_LEAST_MS 1000 /* a restarted server is soon there again */
#define GOODBYE_MOST_MS 5000
#define FLUSH_LEN 32768 /* in a flood, read on until so much is to leave */

static volatile sig_atomic_t stop_requested;
static sigset_t while_waiting; /* SIGTERM may arrive */

struct stream {
	struct client *cl;
	const struct config *cfg;
	const struct request *req;
	struct session *session;
	struct redis_conn **conn; /* until a follower takes it */
	struct verdict verdict;	  /* if the session is over */
	struct outlet out;
	struct follower follower;
	bool is_stopping;
	bool is_over; /* the session is */
	int64_t end_due_ms;
};

static void
on_stop(int sig)
{
	(void)sig;
	stop_requested = 1;
}

void
stream_catch_stop(void)
{
	struct sigaction sa = { .sa_handler = on_stop };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, NULL, &while_waiting);
	sigdelset(&while_waiting, SIGTERM);
}

bool
stream_is_stopping(void)
{
	sigset_t pending;

	/* it is blocked but while the stream waits */
	return stop_requested != 0 || (sigpending(&pending) == 0 &&
					  sigismember(&pending, SIGTERM) == 1);
}

/* --- the start ---------------------------------------------------------- */

/* The header, how to come back, where replay begins, and what is gone. */
static enum client_result
put_start(struct stream *st, const struct resume *r)
{
	enum client_result result;

	reply_put_stream_header(&st->out.small, st->req, st->session);
	result = outlet_put_retry(&st->out, (int64_t)st->cfg->retry_ms);
	if (result == CLIENT_OK)
		result = outlet_put_id(&st->out, r->floor);
	if (result == CLIENT_OK && r->reason != RESET_NONE)
		result = follow_put_reset(&st->follower, r->reason,
		    r->concerns_all || r->reason != RESET_TRIMMED);
	return result;
}

/* From the first take to the live stream. */
static enum client_result
start(struct stream *st)
{
	struct resume r = follow_resume(&st->follower, &st->req->cursor);
	enum client_result result = put_start(st, &r);

	if (result == CLIENT_OK)
		result = follow_catch_up(&st->follower, &r);
	return result == CLIENT_OK ? outlet_flush(&st->out) : result;
}

/* Redis is away before anything was said. */
static enum client_result
come_back(struct stream *st, const char *why)
{
	log_error("%s; the client is told to come back", why);
	reply_put_come_back(&st->out.small, st->req, st->session,
	    clock_random(COME_BACK_LEAST_MS, COME_BACK_MOST_MS),
	    "the event store cannot be reached just now");
	if (outlet_put_small(&st->out) == CLIENT_GONE)
		return CLIENT_GONE;
	return outlet_flush(&st->out);
}

/* --- the session -------------------------------------------------------- */

static int
open_follower(struct stream *st)
{
	return follow_open(
	    &st->follower, st->cfg, st->session, st->conn, &st->out);
}

/* The grant in Redis is another one now: apply it, and follow the channels
 * that it names.  Returns 0, or -1 if the session is over (is_over). */
static int
follow_session(struct stream *st)
{
	int failed =
	    session_apply(st->session, st->req, st->follower.taken.session,
		st->follower.taken.session_len, &st->verdict);

	if (failed && st->verdict.is_misconfigured)
		log_error("%s", st->verdict.sentence);
	follow_close(&st->follower);
	if (open_follower(st) == -1 && !failed)
		failed = verdict_refuse(
		    &st->verdict, HTTP_FORBIDDEN, "out of memory");
	if (failed)
		st->is_over = true;
	return failed;
}

/* The first take; again from the start if the grant changed between its
 * first reading and the take.  Returns what the answer was if there is no
 * stream (is_over is set then, too). */
static enum client_result
begin(struct stream *st)
{
	enum client_result result;

	for (;;) {
		if (follow_begin(&st->follower, &st->req->cursor) == 0)
			return CLIENT_OK;
		if (!st->follower.session_changed) {
			st->is_over = true;
			return come_back(st, redis_sub_error(st->follower.sub));
		}
		if (follow_session(st) == -1)
			break;
	}
	reply_put_refusal(&st->out.small, st->req, st->session, &st->verdict);
	result = outlet_put_small(&st->out);
	return result == CLIENT_OK ? outlet_flush(&st->out) : result;
}

/* The session changed in an open stream: its new channels, from the cursor. */
static enum client_result
renew(struct stream *st)
{
	char user[CHANNEL_LEN_MAX + 1];

	snprintf(user, sizeof(user), "%s",
	    st->session->user != NULL ? st->session->user : "nobody named");
	if (follow_session(st) == -1) {
		log_debug("a session is over: the stream of %s ends", user);
		return outlet_put_end(&st->out, "session");
	}
	follow_from(&st->follower, st->out.cursor);
	return follow_take(&st->follower);
}

/* --- live --------------------------------------------------------------- */

static int64_t
heartbeat_due_ms(const struct stream *st)
{
	return st->out.last_write_ms + (int64_t)st->cfg->heartbeat_s * 1000;
}

/* How long nothing is to do: until the next deadline. */
static struct timespec
time_to_wait(const struct stream *st)
{
	int64_t due_ms = heartbeat_due_ms(st), wait_ms;

	if (st->out.unflushed_len > 0)
		return (struct timespec){ 0 };
	if (st->follower.take_due_ms < due_ms)
		due_ms = st->follower.take_due_ms;
	if (st->end_due_ms < due_ms)
		due_ms = st->end_due_ms;
	wait_ms = due_ms - clock_now_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	return (struct timespec){ wait_ms / 1000, wait_ms % 1000 * 1000000 };
}

/* Wait for Redis, the client, SIGTERM or the next deadline. */
static enum client_result
wait_and_pass(struct stream *st)
{
	struct pollfd fds[2] = { { .fd = redis_sub_fd(st->follower.sub),
				     .events = POLLIN },
		{ .fd = client_fd(st->cl),
		    .events = client_poll_events(st->cl) } };
	struct timespec ts = time_to_wait(st);
	enum client_result result;

	if (ppoll(fds, 2, &ts, &while_waiting) == -1)
		return errno == EINTR ? CLIENT_OK : CLIENT_GONE;
	if (fds[1].revents != 0 && client_has_left(st->cl, fds[1].revents))
		return CLIENT_GONE;
	if (fds[0].revents == 0)
		return outlet_flush(&st->out);
	redis_sub_fill(st->follower.sub);
	if ((result = follow_pass(&st->follower)) != CLIENT_OK)
		return result;
	/* many frames leave in one write: when no more is to read, or enough
	 * is waiting */
	return st->out.unflushed_len >= FLUSH_LEN ? outlet_flush(&st->out)
						  : CLIENT_OK;
}

/* The site shuts down: streams end spread over the drain time. */
static void
begin_to_stop(struct stream *st)
{
	st->is_stopping = true;
	st->end_due_ms =
	    clock_now_ms() + clock_random(0, (int64_t)st->cfg->drain_s * 1000);
}

static enum client_result
end(struct stream *st)
{
	if (st->is_stopping && !st->is_over &&
	    outlet_put_retry(&st->out,
		clock_random(GOODBYE_LEAST_MS, GOODBYE_MOST_MS)) == CLIENT_GONE)
		return CLIENT_GONE;
	return outlet_flush(&st->out);
}

static enum client_result
live(struct stream *st)
{
	int64_t lifetime_ms = (int64_t)st->cfg->max_lifetime_s * 1000, now;
	enum client_result result = CLIENT_OK;

	st->end_due_ms = clock_now_ms() + clock_random(lifetime_ms * 9 / 10,
					      lifetime_ms * 11 / 10);
	while (result == CLIENT_OK) {
		if (stop_requested && client_is_cgi(st->cl))
			return CLIENT_GONE; /* the web server says so */
		if (stop_requested && !st->is_stopping)
			begin_to_stop(st);
		now = clock_now_ms();
		if (now >= st->end_due_ms || st->is_over)
			return end(st);
		if (st->follower.session_changed) {
			result = renew(st);
		} else if (now >= st->follower.take_due_ms) {
			result = follow_take(&st->follower);
		} else if (now >= heartbeat_due_ms(st)) {
			result = outlet_put_heartbeat(&st->out);
			if (result == CLIENT_OK)
				result = outlet_flush(&st->out);
		} else {
			result = wait_and_pass(st);
		}
	}
	return result;
}

enum client_result
stream_run(struct client *cl, const struct config *cfg,
    const struct request *req, struct session *s, struct redis_conn **conn)
{
	struct stream st = {
		.cl = cl, .cfg = cfg, .req = req, .session = s, .conn = conn
	};
	enum client_result result;

	outlet_init(
	    &st.out, cl, req->wants_heartbeat_event ? cfg->heartbeat_s : 0);
	if (open_follower(&st) == -1) {
		st.is_over = true;
		result = come_back(&st, "out of memory");
	} else {
		result = begin(&st);
	}
	if (result == CLIENT_OK && !st.is_over) {
		log_debug("stream of %zu channels%s%s", s->channels.n,
		    s->user != NULL ? " for " : "",
		    s->user != NULL ? s->user : "");
		result = start(&st);
	}
	if (result == CLIENT_OK && !st.is_over)
		result = live(&st);
	follow_close(&st.follower);
	outlet_free(&st.out);
	return result;
}
