/* SPDX-License-Identifier: ISC */
/* When a stream takes.  Runs in the responder. */
#include "follow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/log.h"
#include "redis/connect.h"
#include "redis/record.h"

#define ANSWER_MS 5000	 /* Redis is away if it says nothing for so long */
#define COVERAGE_TRIES 3 /* takes until it is known who records */
#define MINUTE_US 60000000

static void
enter(struct follower *f, enum follow_state to, int64_t due_in_ms)
{
	static const bool may[5][5] = {
		[FOLLOW_AWAY] = { [FOLLOW_AWAY] = true,
		    [FOLLOW_TAKING] = true },
		[FOLLOW_TAKING] = { true, true, true, true, true },
		[FOLLOW_LIVE] = { [FOLLOW_AWAY] = true,
		    [FOLLOW_TAKING] = true,
		    [FOLLOW_RESTING] = true },
		[FOLLOW_RESTING] = { [FOLLOW_AWAY] = true,
		    [FOLLOW_TAKING] = true },
		[FOLLOW_CHANGED] = { [FOLLOW_AWAY] = true,
		    [FOLLOW_TAKING] = true },
	};

	assert(may[f->state][to]);
	f->state = to;
	f->due_ms = clock_now_ms() + due_in_ms;
}

/* --- asking ------------------------------------------------------------- */

/* Redis is there, but its accept queue is full: soon again, and for a moment that
 * is no reason to send a client away. */
static bool
tries_again_soon(struct follower *f)
{
	const int64_t now = clock_now_ms();

	if (!redis_sub_end(f->sub)->queue_is_full)
		return false;
	if (f->queue_full_ms == 0) {
		log_debug("%s; soon again", redis_sub_error(f->sub));
		f->queue_full_ms = now;
	}
	return now < f->queue_full_ms + REDIS_CONNECT_TIMEOUT_MS;
}

/* The connection is gone, or the take was refused. */
static void
lose(struct follower *f)
{
	bool other_size = f->state == FOLLOW_TAKING &&
			  redis_sub_end(f->sub)->was_cut &&
			  take_size_cut(&f->size, clock_now_ms());

	if (tries_again_soon(f)) {
		enter(f, FOLLOW_AWAY, connect_pause_ms());
		return;
	}
	if (f->delivery.is_started && redis_sub_end(f->sub)->was_refused)
		trouble_tell(&f->refused, "%s; an open stream waits",
		    redis_sub_error(f->sub));
	else
		log_debug("%s; the stream waits", redis_sub_error(f->sub));
	if (other_size && f->size.bytes != TAKE_PROBE)
		backoff_reset(&f->backoff);
	plain_cut(&f->delivery.plain);
	f->coverage_tries = 0;
	f->is_hopeless = !f->delivery.is_started && !other_size &&
			 !redis_sub_end(f->sub)->was_reused;
	enter(f, FOLLOW_AWAY, backoff_next(&f->backoff));
}

void
follow_ask(struct follower *f)
{
	const struct progress *p = &f->delivery.progress;
	const struct cursor start = delivery_start(&f->delivery);

	if (redis_sub_ask(f->sub, p->positions, p->seen_clock, &start,
		f->size.bytes) == -1) {
		lose(f);
		return;
	}
	f->queue_full_ms = 0;
	enter(f, FOLLOW_TAKING, ANSWER_MS);
}

/* Something shows that a take is needed.  One that is asked for already comes
 * after it. */
static void
take_again(struct follower *f)
{
	if (f->state == FOLLOW_LIVE)
		follow_ask(f);
}

/* Redis has no memory, so that a take is not atomic, and a message that the
 * recorder passes on in its midst would come out of order.  Those messages show
 * that all is well; nobody can revoke anything here. */
static bool
can_do_without_check(const struct follower *f)
{
	return f->delivery.taken.is_not_atomic && f->has_heard_relay &&
	       !f->is_summoned && f->keys->n == 0;
}

void
follow_work(struct follower *f, bool is_quiet)
{
	switch (f->state) {
	case FOLLOW_LIVE:
		if (can_do_without_check(f)) {
			f->has_heard_relay = false;
			f->due_ms += (int64_t)f->cfg->heartbeat_s * 1000;
			break;
		}
		follow_ask(f);
		break;
	case FOLLOW_AWAY:
		follow_ask(f);
		break;
	case FOLLOW_TAKING:
		if (!is_quiet) {
			f->due_ms = clock_now_ms() + ANSWER_MS;
			break;
		}
		redis_sub_give_up(f->sub);
		lose(f);
		break;
	case FOLLOW_RESTING:
	case FOLLOW_CHANGED:
		break;
	}
}

/* Without channels, on the connection that there is. */
static void
leave_channels(struct follower *f)
{
	redis_sub_rest(f->sub);
	plain_cut(&f->delivery.plain);
	enter(f, FOLLOW_RESTING, 0);
}

void
follow_rest(struct follower *f)
{
	if (f->state != FOLLOW_LIVE)
		return;
	take_size_rest(&f->size);
	leave_channels(f);
}

void
follow_wake(struct follower *f)
{
	if (f->state == FOLLOW_RESTING)
		follow_ask(f);
}

void
follow_limit_take(struct follower *f, size_t bytes)
{
	take_size_limit(&f->size, bytes);
}

/* Check at a random moment, if that is sooner than the next check. */
static void
check_within(struct follower *f, int64_t min_ms, int64_t max_ms)
{
	const int64_t then_ms = clock_now_ms() + clock_random(min_ms, max_ms);

	if (f->state == FOLLOW_LIVE && then_ms < f->due_ms)
		f->due_ms = then_ms;
}

void
follow_doubt(struct follower *f)
{
	f->has_doubt = f->state != FOLLOW_LIVE;
	/* not at once: Redis is to hear of it first, and there may be many */
	check_within(f, 50, 150);
}

/* --- what a take found -------------------------------------------------- */

/* All is taken.  The next take is a check, once per heartbeat interval,
 * jittered. */
static void
go_live(struct follower *f)
{
	int64_t interval_ms = (int64_t)f->cfg->heartbeat_s * 1000;

	f->is_summoned = false;
	/* what came into one that was not atomic shows in one that follows at
	 * once */
	f->checks_not_atomic =
	    f->delivery.taken.is_not_atomic && !f->checks_not_atomic;
	enter(f, FOLLOW_LIVE,
	    f->checks_not_atomic
		? 0
		: clock_random(interval_ms * 3 / 4, interval_ms * 5 / 4));
	if (f->has_doubt)
		follow_doubt(f);
}

/* Does another recorder than before cover the channels?  Then they are to be
 * subscribed to otherwise. */
static bool
coverage_changed(struct follower *f, const struct take *t)
{
	return plain_update_coverage(
		   f->delivery.progress.positions, f->channels, t->patterns) &&
	       ++f->coverage_tries < COVERAGE_TRIES;
}

static enum client_result
hear_taken(struct follower *f)
{
	struct take *t = &f->delivery.taken;
	bool is_probe = f->size.bytes == TAKE_PROBE, is_oversized;

	redis_sub_read_take(f->sub, t);
	trouble_over(&f->refused, "Redis takes the password again");
	f->redis_ahead_us = (int64_t)t->now_us - clock_now_ms() * 1000;
	f->is_muted = f->out->ops->grants_changed(f->out, t);
	if (f->is_muted) {
		enter(f, FOLLOW_CHANGED, 0);
		return CLIENT_OK;
	}
	if (delivery_put_held(&f->delivery) == CLIENT_GONE)
		return CLIENT_GONE;
	if (coverage_changed(f, t)) {
		follow_ask(f);
		return CLIENT_OK;
	}
	f->coverage_tries = 0;
	if (!is_probe)
		backoff_reset(&f->backoff);
	is_oversized =
	    take_size_answered(&f->size, t->next_bytes, clock_now_ms());
	if ((!is_probe || is_oversized || !t->has_more) &&
	    delivery_put_taken(&f->delivery, f->sub, is_oversized) ==
		CLIENT_GONE)
		return CLIENT_GONE;
	if (t->has_more) {
		if (f->out->ops->is_congested(f->out))
			leave_channels(f); /* first things first */
		else
			follow_ask(f);
		return CLIENT_OK;
	}
	go_live(f);
	return delivery_put_position(&f->delivery);
}

/* --- what is heard ------------------------------------------------------ */

/* Is this an id that Redis has hardly given out?  Anybody can make up a record;
 * one that is far ahead would hide all that come. */
static bool
is_far_ahead(const struct follower *f, const struct record *rec)
{
	const uint64_t seen = f->delivery.progress.seen_clock;
	const uint64_t now_us =
	    (uint64_t)(clock_now_ms() * 1000 + f->redis_ahead_us);

	return rec->id > (seen > now_us ? seen : now_us) + MINUTE_US;
}

/* While a take is awaited only what follows on an exact position counts: the
 * rest comes with the take.  So does all that follows a summons, on whatever
 * channel: with its id the client, should it come back, would pass over the
 * large record. */
static enum client_result
hear_record(struct follower *f, size_t channel, const struct record *rec)
{
	struct progress *p = &f->delivery.progress;
	int64_t spread_ms;

	if (f->is_summoned)
		return CLIENT_OK;
	if (!progress_is_next(p, channel, rec) || is_far_ahead(f, rec)) {
		if (f->state == FOLLOW_LIVE)
			progress_note_live(p, channel, rec);
		take_again(f);
		return CLIENT_OK;
	}
	if (!record_is_summons(rec, &spread_ms))
		return delivery_put_record(&f->delivery, channel, rec);
	f->is_summoned = true;
	check_within(
	    f, 0, spread_ms < f->summons_ms ? spread_ms : f->summons_ms);
	return CLIENT_OK;
}

static enum client_result
hear_relay(struct follower *f, const struct sub_message *m)
{
	enum client_result result;
	bool is_held;

	result = delivery_put_relay(&f->delivery, m, &is_held);
	f->has_heard_relay = true;
	if (is_held)
		take_again(f);
	return result;
}

static enum client_result
hear(struct follower *f, enum sub_kind kind, const struct sub_message *m)
{
	switch (kind) {
	case SUB_RECORD:
		return f->is_muted ? CLIENT_OK
				   : hear_record(f, m->channel, &m->rec);
	case SUB_PLAIN:
		return f->is_muted || !f->delivery.is_started
			   ? CLIENT_OK
			   : delivery_put_plain(&f->delivery, m);
	case SUB_RELAY:
		return f->is_muted || !f->delivery.is_started
			   ? CLIENT_OK
			   : hear_relay(f, m);
	case SUB_NOTICE:
		if (plain_hear_notice(
			&f->delivery.plain, m->payload, m->payload_len))
			take_again(f);
		else /* anybody may say anything: not each time at once */
			check_within(f, 0, 50);
		return CLIENT_OK;
	case SUB_SESSION:
		f->is_muted |= f->out->ops->session_spoke(f->out, m->channel);
		take_again(f);
		return CLIENT_OK;
	case SUB_PONG:
		f->pong = strtoull(m->payload, NULL, 10);
		return CLIENT_OK;
	case SUB_TAKEN:
		return hear_taken(f);
	case SUB_CLOSED:
		lose(f);
		return CLIENT_OK;
	case SUB_NONE:
		break;
	}
	return CLIENT_OK;
}

enum client_result
follow_hear(struct follower *f, short revents)
{
	enum client_result result = CLIENT_OK;
	enum sub_kind kind = SUB_RECORD;
	struct sub_message m;

	redis_sub_work(f->sub, revents);
	if (f->state == FOLLOW_TAKING) /* a large answer comes by and by */
		f->due_ms = clock_now_ms() + ANSWER_MS;
	while (result == CLIENT_OK && kind != SUB_NONE && kind != SUB_CLOSED &&
	       f->state != FOLLOW_CHANGED) {
		kind = redis_sub_next(f->sub, &m);
		if (f->state != FOLLOW_RESTING)
			result = hear(f, kind, &m);
	}
	return result;
}
