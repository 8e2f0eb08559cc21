/* SPDX-License-Identifier: ISC */
/* Where a stream stands, and what it is sent.  Runs in the responder. */
#include "follow.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "event.h"
#include "log.h"
#include "parse.h"
#include "resume.h"
#include "sse.h"

#define AGAIN_LEAST_MS 100 /* between two tries to reach Redis: doubled */
#define AGAIN_MOST_MS 5000 /* up to this, with jitter */
#define COVERAGE_TRIES 3   /* takes until it is known who records */

/* Send a record of a channel, whose position it becomes. */
static enum client_result
put_record(struct follower *f, size_t channel, const struct record *rec)
{
	f->positions[channel].id = rec->id;
	if (rec->id > f->seen_clock)
		f->seen_clock = rec->id;
	if (rec->id <= f->floor)
		return CLIENT_OK;
	if (rec->origin == ORIGIN_PUBLISHED ||
	    !recent_take(
		&f->recent, channel, rec->body, rec->body_len, clock_now_ms()))
		return outlet_put_record(f->out, rec);
	/* it was sent live, without its id */
	return rec->id > f->out->cursor ? outlet_put_id(f->out, rec->id)
					: CLIENT_OK;
}

static bool
is_covered(const char *patterns, const struct channel *c)
{
	const char *pattern, *end;
	size_t len;

	for (; patterns != NULL && *patterns != '\0'; patterns = end) {
		pattern = patterns + (*patterns == ',');
		len = strcspn(pattern, ",");
		end = pattern + len;
		strip_blanks(&pattern, &len);
		if (glob_matches(pattern, len, c->name, c->len))
			return true;
	}
	return false;
}

/* Note who hears plain messages by himself.  Returns whether that is other
 * than what the last take subscribed to. */
static bool
coverage_changed(struct follower *f)
{
	bool changed = false, plain;
	size_t i;

	for (i = 0; i < f->channels->n; i++) {
		plain = !is_covered(f->taken.patterns, &f->channels->items[i]);
		changed |= plain != f->positions[i].hears_plain;
		f->positions[i].hears_plain = plain;
	}
	return changed;
}

static bool
is_trimmed(const struct follower *f, size_t channel)
{
	return f->taken.channels[channel].oldest_prev >
	       f->positions[channel].id;
}

static bool
any_trimmed(const struct follower *f)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		if (is_trimmed(f, i))
			return true;
	return false;
}

enum client_result
follow_put_reset(
    struct follower *f, enum reset_reason reason, bool concerns_all)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->is_concerned[i] = concerns_all || is_trimmed(f, i);
	return outlet_put_reset(
	    f->out, f->channels, f->is_concerned, reason, f->taken.clock);
}

/* --- taking ------------------------------------------------------------- */

/* A plain message that no recorder records: live, without an id. */
static enum client_result
pass_plain(struct follower *f, const struct sub_message *m)
{
	enum client_result result = CLIENT_OK;
	struct event ev;
	struct buf frame;

	if (m->payload_len > f->cfg->event_bytes ||
	    record_has_header(m->payload, m->payload_len))
		return CLIENT_OK;
	event_from_payload(&ev, m->payload, m->payload_len);
	buf_init(&frame, SSE_FRAME_LEN_MAX(m->payload_len));
	if (sse_put_event(&frame, &ev) == 0) {
		recent_add(&f->recent, m->channel, frame.bytes, frame.len,
		    clock_now_ms());
		result = outlet_put(f->out, frame.bytes, frame.len);
	}
	buf_free(&frame);
	event_free(&ev);
	return result;
}

/* What was on its way when a take was asked for.  Only what follows on the
 * position counts: the rest comes with the take. */
static enum client_result
pass_before_take(
    struct follower *f, enum sub_kind kind, const struct sub_message *m)
{
	if (f->is_muted)
		return CLIENT_OK;
	if (kind == SUB_PLAIN) /* but nothing before the header */
		return f->is_open ? pass_plain(f, m) : CLIENT_OK;
	if (kind == SUB_RECORD && f->positions[m->channel].is_exact &&
	    m->rec.prev == f->positions[m->channel].id &&
	    m->rec.id > m->rec.prev)
		return put_record(f, m->channel, &m->rec);
	return CLIENT_OK;
}

/*
 * A recorder records only what came behind its own announcement.  So what was
 * passed on before a new one's cannot come again, and an equal message that
 * does is another one.  (The same recorder, regaining its lease, may have kept
 * a queue.)  payload: "0 0 r\nup ATTEMPT TOKEN", or another notice.
 */
static void
hear_notice(struct follower *f, const struct sub_message *m)
{
	static const char up[] = "0 0 r\nup ";
	const char *token;
	size_t len;

	if (m->payload_len < sizeof(up) ||
	    memcmp(m->payload, up, sizeof(up) - 1) != 0)
		return;
	token = (const char *)memrchr(m->payload, ' ', m->payload_len) + 1;
	len = m->payload_len - (size_t)(token - m->payload);
	if (len >= sizeof(f->recorder) ||
	    (strlen(f->recorder) == len &&
		memcmp(f->recorder, token, len) == 0))
		return;
	memcpy(f->recorder, token, len);
	f->recorder[len] = '\0';
	recent_free(&f->recent);
}

enum take_result {
	TAKE_OK,
	TAKE_FAILED,
	TAKE_SESSION_CHANGED,
	TAKE_CLIENT_GONE
};

static enum take_result
take_once(struct follower *f, uint64_t highest, const struct cursor *start)
{
	struct sub_message m;
	enum sub_kind kind;

	if (redis_sub_ask(f->sub, f->positions, highest, start) == -1)
		return TAKE_FAILED;
	while ((kind = redis_sub_next(f->sub, &m)) != SUB_TAKEN) {
		if (kind == SUB_CLOSED)
			return TAKE_FAILED;
		if (kind == SUB_NONE)
			redis_sub_fill(f->sub);
		else if (kind == SUB_NOTICE)
			hear_notice(f, &m);
		else if (kind == SUB_SESSION)
			f->is_muted = true;
		else if (pass_before_take(f, kind, &m) == CLIENT_GONE)
			return TAKE_CLIENT_GONE;
	}
	redis_sub_read_take(f->sub, &f->taken);
	f->session_changed = f->session->key[0] != '\0' &&
			     !session_is_current(f->session, f->taken.session,
				 f->taken.session_len);
	f->is_muted = f->session_changed;
	return f->session_changed ? TAKE_SESSION_CHANGED : TAKE_OK;
}

static enum take_result
take(struct follower *f, uint64_t highest, const struct cursor *start)
{
	enum take_result result = TAKE_OK;
	int i;

	for (i = 0; i < COVERAGE_TRIES; i++) {
		result = take_once(f, highest, start);
		if (result != TAKE_OK || !coverage_changed(f))
			break;
	}
	return result;
}

/* Send what the take found; then the positions are exact, or, if more is to
 * come, where this batch ended. */
static enum client_result
replay(struct follower *f)
{
	const size_t n = f->channels->n;
	uint64_t reached = 0;
	struct record rec;
	size_t i, channel;

	for (i = 0; i < f->taken.nrecords; i++) {
		if (redis_sub_taken(f->sub, i, &channel, &rec) == -1)
			continue;
		reached = rec.id;
		if (rec.id <= f->positions[channel].id)
			continue; /* it came while the take was on its way */
		if (put_record(f, channel, &rec) == CLIENT_GONE)
			return CLIENT_GONE;
	}
	if (reached == 0) /* nothing but junk: it would come again for ever */
		f->taken.has_more = false;
	for (i = 0; i < n; i++) {
		/* what is gone before a channel's oldest is said once */
		const uint64_t at = f->taken.channels[i].oldest_prev > reached
					? f->taken.channels[i].oldest_prev
					: reached;

		if (!f->taken.has_more) {
			f->positions[i].id = f->taken.channels[i].last;
			f->positions[i].is_exact = true;
		} else if (f->positions[i].id < at) {
			f->positions[i].id = at;
			f->positions[i].is_exact = false;
		}
	}
	if (f->taken.clock > f->seen_clock)
		f->seen_clock = f->taken.clock;
	redis_sub_drop_taken(f->sub);
	malloc_trim(0); /* a stream lives long and small */
	return outlet_flush(f->out);
}

/* When to take next: a check once per heartbeat interval, jittered. */
static void
schedule_check(struct follower *f)
{
	int64_t interval_ms = (int64_t)f->cfg->heartbeat_s * 1000;

	/* what came into a torn take shows in one that follows at once */
	f->checks_torn = f->taken.is_torn && !f->checks_torn;
	f->again_ms = 0;
	f->take_due_ms = clock_now_ms();
	if (!f->checks_torn)
		f->take_due_ms +=
		    clock_random(interval_ms * 3 / 4, interval_ms * 5 / 4);
}

static void
schedule_another_try(struct follower *f)
{
	f->again_ms = f->again_ms == 0 ? AGAIN_LEAST_MS : 2 * f->again_ms;
	if (f->again_ms > AGAIN_MOST_MS)
		f->again_ms = AGAIN_MOST_MS;
	f->take_due_ms =
	    clock_now_ms() + clock_random(f->again_ms / 2, f->again_ms);
}

/* A replica may be behind for a moment: until the next check. */
static bool
lags_behind(struct follower *f)
{
	int64_t now = clock_now_ms();

	if (!f->taken.is_replica)
		return false;
	if (f->lag_until_ms == 0)
		f->lag_until_ms = now + (int64_t)f->cfg->heartbeat_s * 700;
	return now < f->lag_until_ms;
}

/* Did the store go back behind what this stream has seen of it? */
static bool
store_went_back(struct follower *f)
{
	const struct take *t = &f->taken;
	bool back = f->went_back, new_epoch = t->epoch != f->seen_epoch;
	struct record rec;
	size_t i, channel;

	f->went_back = false;
	f->seen_epoch = t->epoch;
	if (t->clock < f->seen_clock)
		return !lags_behind(f);
	f->lag_until_ms = 0;
	if (f->seen_clock > 0 && new_epoch &&
	    (t->epoch == 0 || t->epoch > f->seen_clock))
		return true;
	/* 0: forgotten after 30 quiet days, and nothing to go back to */
	for (i = 0; i < f->channels->n; i++)
		back |= f->positions[i].is_exact &&
			f->taken.channels[i].last > 0 &&
			f->taken.channels[i].last < f->positions[i].id;
	/* or newer events came before this stream could look */
	for (i = 0; i < t->nrecords && !back; i++)
		if (redis_sub_taken(f->sub, i, &channel, &rec) == 0)
			back = f->positions[channel].is_exact &&
			       rec.id > f->positions[channel].id &&
			       rec.prev < f->positions[channel].id;
	return back;
}

/* The store went back: nothing that was seen of it counts any more. */
static enum client_result
forget_store(struct follower *f)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->positions[i].is_exact = false;
	f->seen_clock = f->taken.clock;
	f->floor = 0;
	if (f->out->cursor > f->taken.clock)
		f->out->cursor = f->taken.clock;
	return follow_put_reset(f, RESET_FLUSHED, true);
}

/* Take in an open stream: catch up with what was missed, or say that it is
 * gone.  Whether Redis can be reached or not, the stream goes on. */
enum client_result
follow_take(struct follower *f)
{
	static const struct cursor from_positions = { CURSOR_NONE, 0 };
	enum client_result result = CLIENT_OK;
	enum take_result taken;
	bool went_back = false;

	do {
		taken = take(f, f->seen_clock, &from_positions);
		if (taken == TAKE_CLIENT_GONE)
			return CLIENT_GONE;
		if (taken == TAKE_SESSION_CHANGED)
			return CLIENT_OK;
		if (taken == TAKE_FAILED) {
			log_debug(
			    "%s; the stream waits", redis_sub_error(f->sub));
			schedule_another_try(f);
			return CLIENT_OK;
		}
		if (store_went_back(f)) {
			went_back = true;
			result = forget_store(f);
		} else if (any_trimmed(f)) {
			result = follow_put_reset(f, RESET_TRIMMED, false);
		}
		if (result == CLIENT_OK)
			result = replay(f);
	} while (result == CLIENT_OK && f->taken.has_more);
	schedule_check(f);
	if (result == CLIENT_OK && went_back)
		result = outlet_put_id(f->out, f->taken.clock);
	return result == CLIENT_OK ? outlet_flush(f->out) : result;
}

/* --- the start ---------------------------------------------------------- */

int
follow_begin(struct follower *f, const struct cursor *c)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->positions[i].id = resume_position(c);
	return take(f, c->kind == CURSOR_ID ? c->number : 0, c) == TAKE_OK ? 0
									   : -1;
}

void
follow_from(struct follower *f, uint64_t id)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->positions[i].id = id;
	f->seen_clock = id;
	f->is_open = true;
}

struct resume
follow_resume(const struct follower *f, const struct cursor *c)
{
	uint64_t first_id = 0;
	struct record rec;
	size_t channel;

	if (f->taken.nrecords > 0 &&
	    redis_sub_taken(f->sub, 0, &channel, &rec) == 0)
		first_id = rec.id;
	return resume_decide(c, &f->taken, first_id, any_trimmed(f));
}

enum client_result
follow_catch_up(struct follower *f, const struct resume *r)
{
	enum client_result result;
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->positions[i].id = r->floor;
	f->is_open = true;
	f->floor = r->floor;
	f->seen_epoch = f->taken.epoch;
	if (r->is_lagging)
		lags_behind(f);
	f->seen_clock = r->is_lagging ? r->floor : f->taken.clock;
	if ((result = replay(f)) != CLIENT_OK)
		return result;
	schedule_check(f);
	if (f->taken.has_more && (result = follow_take(f)) != CLIENT_OK)
		return result;
	/* not while records are still to come because Redis is away or the
	 * session changed: the browser would step over them */
	if (f->again_ms != 0 || f->session_changed)
		return CLIENT_OK;
	return outlet_put_id(f->out, f->seen_clock);
}

/* --- live --------------------------------------------------------------- */

static enum client_result
pass_record(struct follower *f, size_t channel, const struct record *rec)
{
	const struct position *p = &f->positions[channel];

	if (rec->prev != p->id || rec->id <= p->id) {
		/* newer: one was missed.  older: the store went back */
		f->went_back = rec->prev < p->id || rec->id <= p->id;
		return follow_take(f);
	}
	return put_record(f, channel, rec);
}

/* Pass on all that was read from Redis. */
enum client_result
follow_pass(struct follower *f)
{
	enum client_result result = CLIENT_OK;
	struct sub_message m;

	while (result == CLIENT_OK && !f->session_changed) {
		switch (redis_sub_next(f->sub, &m)) {
		case SUB_RECORD:
			result = pass_record(f, m.channel, &m.rec);
			break;
		case SUB_PLAIN:
			result = pass_plain(f, &m);
			break;
		case SUB_NOTICE:
			hear_notice(f, &m);
			result = follow_take(f);
			break;
		case SUB_SESSION:
			f->is_muted = true;
			result = follow_take(f);
			break;
		case SUB_CLOSED:
			if (redis_sub_fd(f->sub) == -1 && f->again_ms == 0) {
				log_debug("%s; the stream reconnects",
				    redis_sub_error(f->sub));
				schedule_another_try(f);
			}
			return CLIENT_OK;
		case SUB_TAKEN: /* only while one is asked for */
		case SUB_NONE:
			return CLIENT_OK;
		}
	}
	return result;
}

int
follow_open(struct follower *f, const struct config *cfg,
    struct session *session, struct outlet *out)
{
	const struct channel_set *channels = &session->channels;

	memset(f, 0, sizeof(*f));
	f->cfg = cfg;
	f->session = session;
	f->channels = channels;
	f->out = out;
	f->sub = redis_sub_new(cfg, channels,
	    session->key[0] != '\0' ? session->key : NULL, session->conn);
	if (f->sub != NULL)
		session->conn = NULL;
	f->positions = calloc(channels->n, sizeof(*f->positions));
	f->is_concerned = calloc(channels->n, sizeof(*f->is_concerned));
	return f->sub == NULL || f->positions == NULL || f->is_concerned == NULL
		   ? -1
		   : 0;
}

void
follow_close(struct follower *f)
{
	redis_sub_free(f->sub);
	free(f->positions);
	free(f->is_concerned);
	recent_free(&f->recent);
}
