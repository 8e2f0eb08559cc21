/* SPDX-License-Identifier: ISC */
/*
 * The loop of one client.  It waits on Redis and on the client at once, so
 * that a leaver is noticed when the web server tells.  Whatever goes wrong
 * with Redis ends in one remedy, a take: it reads behind the positions, so
 * that nothing is lost and nothing comes twice.
 */
#include "stream.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "clock.h"
#include "event.h"
#include "log.h"
#include "parse.h"
#include "recent.h"
#include "redis_sub.h"
#include "reply.h"
#include "resume.h"
#include "sse.h"

#define COME_BACK_LEAST_MS 5000
#define COME_BACK_MOST_MS 15000
#define AGAIN_LEAST_MS 100 /* between two tries to reach Redis: doubled */
#define AGAIN_MOST_MS 5000 /* up to this, with jitter */
#define COVERAGE_TRIES 3   /* takes until it is known who records */
#define FLUSH_LEN 32768	   /* read on until so much is waiting to leave */

static volatile sig_atomic_t stop_requested;
static sigset_t while_waiting; /* SIGTERM may arrive */

struct stream {
	struct client *cl;
	const struct config *cfg;
	const struct request *req;
	const struct session *session;
	struct redis_sub *sub;
	struct position *positions;  /* one for each channel */
	struct taken_channel *found; /* likewise, of the last take */
	struct take taken;
	struct recent recent;
	struct buf out;	     /* small things before they are written */
	uint64_t cursor;     /* the id that the client remembers */
	uint64_t floor;	     /* records at or below are not its */
	uint64_t seen_clock; /* the newest id that this store has shown */
	bool is_lagging;     /* a replica was behind at the last take */
	bool went_back;	     /* a record showed that the store did */
	bool checks_torn;    /* the coming take follows a torn one */
	size_t unflushed_len;
	int64_t last_write_ms, take_due_ms, end_due_ms, again_ms;
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

/* --- writing ------------------------------------------------------------ */

static enum client_result
put(struct stream *st, const void *p, size_t len)
{
	st->unflushed_len += len;
	return client_write(st->cl, p, len);
}

static enum client_result
flush(struct stream *st)
{
	if (st->unflushed_len == 0)
		return CLIENT_OK;
	st->unflushed_len = 0;
	st->last_write_ms = clock_now_ms();
	return client_flush(st->cl);
}

/* What was built in st->out. */
static enum client_result
put_out(struct stream *st)
{
	enum client_result result = put(st, st->out.bytes, st->out.len);

	buf_reset(&st->out);
	return result;
}

/* A block of only an id: it dispatches nothing, and the browser remembers it. */
static enum client_result
put_id(struct stream *st, uint64_t id)
{
	buf_printf(&st->out, "id: %llu\n\n", (unsigned long long)id);
	st->cursor = id;
	return put_out(st);
}

static enum client_result
put_heartbeat(struct stream *st)
{
	if (st->req->wants_heartbeat_event)
		buf_printf(&st->out, "event: stream-heartbeat\ndata: %llu\n\n",
		    (unsigned long long)st->cfg->heartbeat_s);
	else
		buf_puts(&st->out, ":\n\n");
	return put_out(st);
}

/* A channel name in JSON: of what must be escaped it can hold only quotes. */
static void
put_json_name(struct buf *b, const struct channel *c)
{
	size_t i;

	buf_putc(b, '"');
	for (i = 0; i < c->len; i++) {
		if (c->name[i] == '"')
			buf_putc(b, '\\');
		buf_putc(b, c->name[i]);
	}
	buf_putc(b, '"');
}

static bool
is_trimmed(const struct stream *st, size_t channel)
{
	return st->found[channel].oldest_prev > st->positions[channel].id;
}

/* all: name every channel, not only those that were found trimmed */
static enum client_result
put_reset(struct stream *st, enum reset_reason reason, bool all)
{
	const struct channel_set *channels = &st->session->channels;
	const char *comma = "";
	size_t i;

	buf_puts(&st->out, "event: stream-reset\ndata: {\"channels\":[");
	for (i = 0; i < channels->n; i++) {
		if (!all && !is_trimmed(st, i))
			continue;
		buf_puts(&st->out, comma);
		put_json_name(&st->out, &channels->items[i]);
		comma = ",";
	}
	buf_printf(&st->out, "],\"reason\":\"%s\",\"id\":\"%llu\"}\n\n",
	    reset_reason_name(reason), (unsigned long long)st->taken.clock);
	return put_out(st);
}

/* --- records ------------------------------------------------------------ */

/* Send a record of a channel, whose position it becomes. */
static enum client_result
put_record(struct stream *st, size_t channel, const struct record *rec)
{
	uint64_t cursor = st->cursor;
	enum client_result result;

	st->positions[channel].id = rec->id;
	if (rec->id > st->seen_clock)
		st->seen_clock = rec->id;
	if (rec->id <= st->floor)
		return CLIENT_OK;
	st->cursor = rec->id;
	if (rec->origin == ORIGIN_RECORDED &&
	    recent_take(
		&st->recent, channel, rec->body, rec->body_len, clock_now_ms()))
		result = put_id(st, rec->id); /* it was sent live, without */
	else
		result = put(st, rec->frame, rec->frame_len);
	/* a late one has set the browser's cursor back */
	if (result == CLIENT_OK && rec->id < cursor)
		result = put_id(st, cursor);
	return result;
}

static bool
is_covered(const char *patterns, const struct channel *c)
{
	size_t len;

	for (; patterns != NULL && *patterns != '\0'; patterns += len) {
		patterns += *patterns == ',';
		len = strcspn(patterns, ",");
		if (glob_matches(patterns, len, c->name, c->len))
			return true;
	}
	return false;
}

/* Note who hears plain messages by himself.  Returns whether that is other
 * than what the last take subscribed to. */
static bool
coverage_changed(struct stream *st)
{
	bool changed = false, plain;
	size_t i;

	for (i = 0; i < st->session->channels.n; i++) {
		plain = !is_covered(
		    st->taken.patterns, &st->session->channels.items[i]);
		changed |= plain != st->positions[i].hears_plain;
		st->positions[i].hears_plain = plain;
	}
	return changed;
}

static bool
any_trimmed(const struct stream *st)
{
	size_t i;

	for (i = 0; i < st->session->channels.n; i++)
		if (is_trimmed(st, i))
			return true;
	return false;
}

/* --- taking ------------------------------------------------------------- */

/* A plain message that no recorder records: live, without an id. */
static enum client_result
pass_plain(struct stream *st, const struct sub_message *m)
{
	enum client_result result = CLIENT_OK;
	struct event ev;
	struct buf frame;

	if (m->payload_len > st->cfg->event_bytes ||
	    record_has_header(m->payload, m->payload_len))
		return CLIENT_OK;
	event_from_payload(&ev, m->payload, m->payload_len);
	buf_init(&frame, SSE_FRAME_LEN_MAX(m->payload_len));
	if (sse_put_event(&frame, &ev) == 0) {
		recent_add(&st->recent, m->channel, frame.bytes, frame.len,
		    clock_now_ms());
		result = put(st, frame.bytes, frame.len);
	}
	buf_free(&frame);
	event_free(&ev);
	return result;
}

/* What was on its way when a take was asked for.  Only what follows on the
 * position counts: the rest comes with the take. */
static enum client_result
pass_before_take(
    struct stream *st, enum sub_kind kind, const struct sub_message *m)
{
	if (kind == SUB_PLAIN)
		return pass_plain(st, m);
	if (kind == SUB_RECORD && st->positions[m->channel].is_exact &&
	    m->rec.prev == st->positions[m->channel].id &&
	    m->rec.id > m->rec.prev)
		return put_record(st, m->channel, &m->rec);
	return CLIENT_OK;
}

enum take_result { TAKE_OK, TAKE_FAILED, TAKE_CLIENT_GONE };

static enum take_result
take_once(struct stream *st, uint64_t highest, const struct cursor *start)
{
	struct sub_message m;
	enum sub_kind kind;

	if (redis_sub_ask(st->sub, st->positions, highest, start) == -1)
		return TAKE_FAILED;
	while ((kind = redis_sub_next(st->sub, &m)) != SUB_TAKEN) {
		if (kind == SUB_CLOSED)
			return TAKE_FAILED;
		if (kind == SUB_NONE)
			redis_sub_fill(st->sub);
		else if (pass_before_take(st, kind, &m) == CLIENT_GONE)
			return TAKE_CLIENT_GONE;
	}
	redis_sub_read_take(st->sub, &st->taken, st->found);
	return TAKE_OK;
}

static enum take_result
take(struct stream *st, uint64_t highest, const struct cursor *start)
{
	enum take_result result = TAKE_OK;
	int i;

	for (i = 0; i < COVERAGE_TRIES; i++) {
		result = take_once(st, highest, start);
		if (result != TAKE_OK || !coverage_changed(st))
			break;
	}
	return result;
}

/* Send what the take found; then the positions are exact, or, if more is to
 * come, where this batch ended. */
static enum client_result
replay(struct stream *st)
{
	const size_t n = st->session->channels.n;
	uint64_t reached = 0;
	struct record rec;
	size_t i, channel;

	for (i = 0; i < st->taken.nrecords; i++) {
		if (redis_sub_taken(st->sub, i, &channel, &rec) == -1)
			continue;
		reached = rec.id;
		if (rec.id <= st->positions[channel].id)
			continue; /* it came while the take was on its way */
		if (put_record(st, channel, &rec) == CLIENT_GONE)
			return CLIENT_GONE;
	}
	for (i = 0; i < n; i++) {
		if (!st->taken.has_more) {
			st->positions[i].id = st->found[i].last;
			st->positions[i].is_exact = true;
		} else if (st->positions[i].id < reached) {
			st->positions[i].id = reached;
			st->positions[i].is_exact = false;
		}
	}
	if (st->taken.clock > st->seen_clock)
		st->seen_clock = st->taken.clock;
	redis_sub_drop_taken(st->sub);
	malloc_trim(0); /* a stream lives long and small */
	return flush(st);
}

/* When to take next: a check once per heartbeat interval, jittered. */
static void
schedule_check(struct stream *st)
{
	int64_t interval_ms = (int64_t)st->cfg->heartbeat_s * 1000;

	/* what came into a torn take shows in one that follows at once */
	st->checks_torn = redis_sub_was_torn(st->sub) && !st->checks_torn;
	st->again_ms = 0;
	st->take_due_ms = clock_now_ms();
	if (!st->checks_torn)
		st->take_due_ms +=
		    clock_random(interval_ms * 3 / 4, interval_ms * 5 / 4);
}

static void
schedule_another_try(struct stream *st)
{
	st->again_ms = st->again_ms == 0 ? AGAIN_LEAST_MS : 2 * st->again_ms;
	if (st->again_ms > AGAIN_MOST_MS)
		st->again_ms = AGAIN_MOST_MS;
	st->take_due_ms =
	    clock_now_ms() + clock_random(st->again_ms / 2, st->again_ms);
}

/* Did the store go back behind what this stream has seen of it? */
static bool
store_went_back(struct stream *st)
{
	const struct take *t = &st->taken;
	bool was_lagging = st->is_lagging, back = st->went_back;
	size_t i;

	st->went_back = false;
	st->is_lagging = false;
	if (t->clock < st->seen_clock) {
		st->is_lagging = t->is_replica && !was_lagging;
		return !st->is_lagging;
	}
	if (st->seen_clock > 0 && (t->epoch == 0 || t->epoch > st->seen_clock))
		return true;
	for (i = 0; i < st->session->channels.n; i++)
		back |= st->positions[i].is_exact &&
			st->found[i].last < st->positions[i].id;
	return back;
}

/* The store went back: nothing that was seen of it counts any more. */
static enum client_result
forget_store(struct stream *st)
{
	size_t i;

	for (i = 0; i < st->session->channels.n; i++)
		st->positions[i].is_exact = false;
	st->seen_clock = st->taken.clock;
	st->floor = 0;
	return put_reset(st, RESET_FLUSHED, true);
}

/* Take in an open stream: catch up with what was missed, or say that it is
 * gone.  Whether Redis can be reached or not, the stream goes on. */
static enum client_result
take_again(struct stream *st)
{
	static const struct cursor from_positions = { CURSOR_NONE, 0 };
	enum client_result result = CLIENT_OK;
	enum take_result taken;
	bool went_back = false;

	do {
		taken = take(st, st->seen_clock, &from_positions);
		if (taken == TAKE_CLIENT_GONE)
			return CLIENT_GONE;
		if (taken == TAKE_FAILED) {
			log_debug(
			    "%s; the stream waits", redis_sub_error(st->sub));
			schedule_another_try(st);
			return CLIENT_OK;
		}
		if (store_went_back(st)) {
			went_back = true;
			result = forget_store(st);
		} else if (any_trimmed(st)) {
			result = put_reset(st, RESET_TRIMMED, false);
		}
		if (result == CLIENT_OK)
			result = replay(st);
	} while (result == CLIENT_OK && st->taken.has_more);
	schedule_check(st);
	if (result == CLIENT_OK && went_back)
		result = put_id(st, st->taken.clock);
	return result == CLIENT_OK ? flush(st) : result;
}

/* --- the start ---------------------------------------------------------- */

static enum client_result
put_start(struct stream *st, const struct resume *r)
{
	enum client_result result;

	reply_put_stream_header(&st->out, st->req, st->session);
	buf_printf(
	    &st->out, "retry: %llu\n\n", (unsigned long long)st->cfg->retry_ms);
	result = put_out(st);
	if (result == CLIENT_OK && st->req->wants_heartbeat_event)
		result = put_heartbeat(st);
	if (result == CLIENT_OK)
		result = put_id(st, r->floor);
	if (result == CLIENT_OK && r->reason != RESET_NONE)
		result = put_reset(st, r->reason,
		    r->concerns_all || r->reason != RESET_TRIMMED);
	return result;
}

/* The first take and what follows from it, up to the live stream. */
static enum client_result
start(struct stream *st)
{
	const struct cursor *c = &st->req->cursor;
	uint64_t first_id = 0;
	enum client_result result;
	struct resume r;
	struct record rec;
	size_t i, channel;

	if (st->taken.nrecords > 0 &&
	    redis_sub_taken(st->sub, 0, &channel, &rec) == 0)
		first_id = rec.id;
	r = resume_decide(c, &st->taken, first_id, any_trimmed(st));
	for (i = 0; i < st->session->channels.n; i++)
		st->positions[i].id = r.floor;
	st->floor = r.floor;
	st->is_lagging = r.is_lagging;
	st->seen_clock = r.is_lagging ? r.floor : st->taken.clock;
	if ((result = put_start(st, &r)) != CLIENT_OK ||
	    (result = replay(st)) != CLIENT_OK)
		return result;
	schedule_check(st);
	if (st->taken.has_more && (result = take_again(st)) != CLIENT_OK)
		return result;
	/* not while Redis is away and records are still to come: the browser
	 * would step over them */
	if (st->again_ms == 0 &&
	    (result = put_id(st, st->seen_clock)) != CLIENT_OK)
		return result;
	return flush(st);
}

/* Redis is away before anything was said. */
static enum client_result
come_back(struct stream *st)
{
	reply_put_come_back(&st->out, st->req, st->session,
	    clock_random(COME_BACK_LEAST_MS, COME_BACK_MOST_MS),
	    "the event store cannot be reached just now");
	if (put_out(st) == CLIENT_GONE)
		return CLIENT_GONE;
	return flush(st);
}

/* --- live --------------------------------------------------------------- */

static enum client_result
pass_record(struct stream *st, size_t channel, const struct record *rec)
{
	const struct position *p = &st->positions[channel];

	if (rec->id <= p->id)
		return CLIENT_OK; /* the take had it already */
	if (rec->prev != p->id) {
		/* newer: one was missed.  older: the store went back */
		st->went_back = rec->prev < p->id;
		return take_again(st);
	}
	return put_record(st, channel, rec);
}

/* Pass on all that was read from Redis. */
static enum client_result
pass_messages(struct stream *st)
{
	enum client_result result = CLIENT_OK;
	struct sub_message m;

	while (result == CLIENT_OK) {
		switch (redis_sub_next(st->sub, &m)) {
		case SUB_RECORD:
			result = pass_record(st, m.channel, &m.rec);
			break;
		case SUB_PLAIN:
			result = pass_plain(st, &m);
			break;
		case SUB_NOTICE:
			result = take_again(st);
			break;
		case SUB_CLOSED:
			if (redis_sub_fd(st->sub) == -1 && st->again_ms == 0) {
				log_debug("%s; the stream reconnects",
				    redis_sub_error(st->sub));
				schedule_another_try(st);
			}
			return CLIENT_OK;
		case SUB_TAKEN: /* only while one is asked for */
		case SUB_NONE:
			return CLIENT_OK;
		}
	}
	return result;
}

/* Wait for Redis, the client, SIGTERM or the next deadline. */
static enum client_result
wait_and_pass(struct stream *st)
{
	struct pollfd fds[2] = { { .fd = redis_sub_fd(st->sub),
				     .events = POLLIN },
		{ .fd = client_fd(st->cl),
		    .events = client_poll_events(st->cl) } };
	int64_t now = clock_now_ms(), due_ms;
	enum client_result result;
	struct timespec ts = { 0 };

	due_ms = st->last_write_ms + (int64_t)st->cfg->heartbeat_s * 1000;
	if (st->take_due_ms < due_ms)
		due_ms = st->take_due_ms;
	if (st->end_due_ms < due_ms)
		due_ms = st->end_due_ms;
	if (due_ms > now && st->unflushed_len == 0) {
		ts.tv_sec = (due_ms - now) / 1000;
		ts.tv_nsec = (due_ms - now) % 1000 * 1000000;
	}
	if (ppoll(fds, 2, &ts, &while_waiting) == -1)
		return errno == EINTR ? CLIENT_OK : CLIENT_GONE;
	if (fds[1].revents != 0 && client_has_left(st->cl, fds[1].revents))
		return CLIENT_GONE;
	if (fds[0].revents != 0) {
		redis_sub_fill(st->sub);
		if ((result = pass_messages(st)) != CLIENT_OK)
			return result;
	}
	/* in a flood, many frames leave in one write */
	return fds[0].revents == 0 || st->unflushed_len >= FLUSH_LEN
		   ? flush(st)
		   : CLIENT_OK;
}

/* The site shuts down: who is told to come back does so at a random time. */
static enum client_result
say_goodbye(struct stream *st)
{
	buf_printf(
	    &st->out, "retry: %lld\n\n", (long long)clock_random(1000, 5000));
	if (put_out(st) == CLIENT_GONE)
		return CLIENT_GONE;
	return flush(st);
}

static enum client_result
live(struct stream *st)
{
	enum client_result result = CLIENT_OK;
	int64_t lifetime_ms = (int64_t)st->cfg->max_lifetime_s * 1000, now;
	bool is_stopping = false;

	now = clock_now_ms();
	st->end_due_ms =
	    now + clock_random(lifetime_ms * 9 / 10, lifetime_ms * 11 / 10);
	while (result == CLIENT_OK) {
		now = clock_now_ms();
		if (stop_requested && client_is_cgi(st->cl))
			return CLIENT_GONE; /* the server says so */
		if (stop_requested && !is_stopping) {
			is_stopping = true;
			st->end_due_ms =
			    now +
			    clock_random(0, (int64_t)st->cfg->drain_s * 1000);
		}
		if (now >= st->end_due_ms)
			return is_stopping ? say_goodbye(st) : flush(st);
		if (now >= st->take_due_ms)
			result = take_again(st);
		else if (now - st->last_write_ms >=
			 (int64_t)st->cfg->heartbeat_s * 1000)
			result = put_heartbeat(st) == CLIENT_OK ? flush(st)
								: CLIENT_GONE;
		else
			result = wait_and_pass(st);
	}
	return result;
}

static int
stream_init(struct stream *st)
{
	const size_t n = st->session->channels.n;
	size_t i;

	buf_init(&st->out, 1 << 20);
	st->sub = redis_sub_new(st->cfg, &st->session->channels);
	st->positions = calloc(n, sizeof(*st->positions));
	st->found = calloc(n, sizeof(*st->found));
	if (st->sub == NULL || st->positions == NULL || st->found == NULL)
		return -1;
	for (i = 0; i < n; i++)
		st->positions[i].id = resume_position(&st->req->cursor);
	return 0;
}

static void
stream_free(struct stream *st)
{
	redis_sub_free(st->sub);
	free(st->positions);
	free(st->found);
	recent_free(&st->recent);
	buf_free(&st->out);
}

bool
stream_is_stopping(void)
{
	return stop_requested != 0;
}

enum client_result
stream_run(struct client *cl, const struct config *cfg,
    const struct request *req, const struct session *s)
{
	struct stream st = { .cl = cl, .cfg = cfg, .req = req, .session = s };
	uint64_t highest =
	    req->cursor.kind == CURSOR_ID ? req->cursor.number : 0;
	enum client_result result;

	if (stream_init(&st) == -1 ||
	    take(&st, highest, &req->cursor) != TAKE_OK) {
		log_error("%s; the client is told to come back",
		    st.sub != NULL ? redis_sub_error(st.sub) : "out of memory");
		result = come_back(&st);
	} else {
		result = start(&st);
		if (result == CLIENT_OK)
			result = live(&st);
	}
	stream_free(&st);
	return result;
}
