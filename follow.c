/* SPDX-License-Identifier: ISC */
/* When a stream takes, and what it is sent.  Runs in the responder. */
#include "follow.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "log.h"
#include "resume.h"
#include "sse.h"

#define AGAIN_LEAST_MS 100 /* between two tries to reach Redis: doubled */
#define AGAIN_MOST_MS 5000 /* up to this, with jitter */
#define COVERAGE_TRIES 3   /* takes until it is known who records */

/* Send a record of a channel, whose position it becomes. */
static enum client_result
put_record(struct follower *f, size_t channel, const struct record *rec)
{
	if (!progress_reach(&f->progress, channel, rec))
		return CLIENT_OK;
	if (!plain_was_passed(&f->plain, channel, rec, clock_now_ms()))
		return outlet_put_record(f->out, rec);
	/* it was sent live, without its id */
	return rec->id > f->out->cursor ? outlet_put_id(f->out, rec->id)
					: CLIENT_OK;
}

/* A plain message that no recorder records: live, without an id. */
static enum client_result
pass_plain(struct follower *f, const struct sub_message *m)
{
	enum client_result result = CLIENT_OK;
	struct buf frame;

	if (m->payload_len > f->cfg->event_bytes)
		return CLIENT_OK;
	buf_init(&frame, SSE_FRAME_LEN_MAX(m->payload_len));
	if (plain_put_frame(&f->plain, &frame, m->channel, m->payload,
		m->payload_len, clock_now_ms()) == 0)
		result = outlet_put(f->out, frame.bytes, frame.len);
	buf_free(&frame);
	return result;
}

enum client_result
follow_put_reset(
    struct follower *f, enum reset_reason reason, bool concerns_all)
{
	size_t i;

	for (i = 0; i < f->channels->n; i++)
		f->is_concerned[i] =
		    concerns_all ||
		    progress_is_trimmed(&f->progress, &f->taken, i);
	return outlet_put_reset(
	    f->out, f->channels, f->is_concerned, reason, f->taken.clock);
}

/* --- taking ------------------------------------------------------------- */

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
	if (kind == SUB_RECORD && f->progress.positions[m->channel].is_exact &&
	    progress_is_next(&f->progress, m->channel, &m->rec))
		return put_record(f, m->channel, &m->rec);
	return CLIENT_OK;
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

	if (redis_sub_ask(f->sub, f->progress.positions, highest, start) == -1)
		return TAKE_FAILED;
	while ((kind = redis_sub_next(f->sub, &m)) != SUB_TAKEN) {
		if (kind == SUB_CLOSED)
			return TAKE_FAILED;
		if (kind == SUB_NONE)
			redis_sub_fill(f->sub);
		else if (kind == SUB_NOTICE)
			plain_hear_notice(&f->plain, m.payload, m.payload_len);
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
		if (result != TAKE_OK ||
		    !plain_update_coverage(
			f->progress.positions, f->channels, f->taken.patterns))
			break;
	}
	return result;
}

/* Send what the take found; then the positions are exact, or, if more is to
 * come, where this batch ended. */
static enum client_result
replay(struct follower *f)
{
	uint64_t reached = 0;
	struct record rec;
	size_t i, channel;

	for (i = 0; i < f->taken.nrecords; i++) {
		if (redis_sub_taken(f->sub, i, &channel, &rec) == -1)
			continue;
		reached = rec.id;
		if (rec.id <= f->progress.positions[channel].id)
			continue; /* it came while the take was on its way */
		if (put_record(f, channel, &rec) == CLIENT_GONE)
			return CLIENT_GONE;
	}
	if (reached == 0) /* nothing but junk: it would come again for ever */
		f->taken.has_more = false;
	progress_reach_take(&f->progress, &f->taken, reached);
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

/* Did the store go back, by what the take and its records say? */
static bool
store_went_back(struct follower *f)
{
	struct record rec;
	size_t i, channel;

	for (i = 0; i < f->taken.nrecords; i++)
		if (redis_sub_taken(f->sub, i, &channel, &rec) == 0)
			progress_note_taken(&f->progress, channel, &rec);
	return progress_went_back(&f->progress, &f->taken, clock_now_ms());
}

/* The store went back: nothing that was seen of it counts any more. */
static enum client_result
forget_store(struct follower *f)
{
	progress_forget(&f->progress, &f->taken);
	if (f->out->cursor > f->taken.clock)
		f->out->cursor = f->taken.clock;
	return follow_put_reset(f, RESET_FLUSHED, true);
}

enum client_result
follow_take(struct follower *f)
{
	static const struct cursor from_positions = { CURSOR_NONE, 0 };
	enum client_result result = CLIENT_OK;
	enum take_result taken;
	bool went_back = false;

	do {
		taken = take(f, f->progress.seen_clock, &from_positions);
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
		} else if (progress_any_trimmed(&f->progress, &f->taken)) {
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
	progress_set(&f->progress, resume_position(c));
	return take(f, c->kind == CURSOR_ID ? c->number : 0, c) == TAKE_OK ? 0
									   : -1;
}

void
follow_from(struct follower *f, uint64_t id)
{
	progress_set(&f->progress, id);
	f->progress.seen_clock = id;
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
	return resume_decide(c, &f->taken, first_id,
	    progress_any_trimmed(&f->progress, &f->taken));
}

enum client_result
follow_catch_up(struct follower *f, const struct resume *r)
{
	enum client_result result;

	progress_begin(&f->progress, r, &f->taken, clock_now_ms());
	f->is_open = true;
	if ((result = replay(f)) != CLIENT_OK)
		return result;
	schedule_check(f);
	if (f->taken.has_more && (result = follow_take(f)) != CLIENT_OK)
		return result;
	/* not while records are still to come because Redis is away or the
	 * session changed: the browser would step over them */
	if (f->again_ms != 0 || f->session_changed)
		return CLIENT_OK;
	return outlet_put_id(f->out, f->progress.seen_clock);
}

/* --- live --------------------------------------------------------------- */

static enum client_result
pass_record(struct follower *f, size_t channel, const struct record *rec)
{
	if (progress_is_next(&f->progress, channel, rec))
		return put_record(f, channel, rec);
	progress_note_live(&f->progress, channel, rec);
	return follow_take(f);
}

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
			plain_hear_notice(&f->plain, m.payload, m.payload_len);
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
    const struct session *session, struct redis_conn **conn, struct outlet *out)
{
	const struct channel_set *channels = &session->channels;

	memset(f, 0, sizeof(*f));
	f->cfg = cfg;
	f->session = session;
	f->channels = channels;
	f->out = out;
	f->sub = redis_sub_new(cfg, channels,
	    session->key[0] != '\0' ? session->key : NULL, *conn);
	if (f->sub != NULL)
		*conn = NULL;
	f->is_concerned = calloc(channels->n, sizeof(*f->is_concerned));
	/* until the next check a replica may lag */
	if (progress_init(&f->progress, channels->n,
		(int64_t)cfg->heartbeat_s * 700) == -1 ||
	    f->sub == NULL || f->is_concerned == NULL)
		return -1;
	return 0;
}

void
follow_close(struct follower *f)
{
	redis_sub_free(f->sub);
	progress_free(&f->progress);
	plain_free(&f->plain);
	free(f->is_concerned);
}
