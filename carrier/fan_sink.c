/* SPDX-License-Identifier: ISC */
/* From one follower to many streams. */
#include "carrier/fan_sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "block.h"
#include "carrier/fan_reset.h"
#include "carrier/fan_write.h"

/* More waits for clients, and for most of them: the next take had better come
 * later.  Where a few are slow the others do not wait for them (patience.h). */
#define CONGESTED_LEN ((size_t)8 << 20)
#define BATCH_FULL_LEN ((size_t)256 << 10) /* it is written, then */

static struct fan *
fan_of(struct sink *s)
{
	return (struct fan *)s;
}

static enum client_result
start(struct sink *s, uint64_t floor)
{
	struct fan *f = fan_of(s);

	recent_reset(&f->recent, floor);
	return CLIENT_OK;
}

/* --- records ------------------------------------------------------------ */

/* A record that stands in the batch.  The cursor never goes back: after a late
 * record comes the highest id as a position. */
static void
put_record(struct fan *f, struct carried *c, uint64_t id, size_t at, size_t len)
{
	fan_put_shared(f, c, at, len);
	if (c->state != CARRIED_LIVE)
		return;
	if (id < c->cursor)
		fan_put_position(f, c, c->cursor);
	else
		c->cursor = id;
}

static bool
is_for(const struct carried *c, uint64_t id)
{
	return c->state == CARRIED_LIVE && id > c->floor;
}

/* Its channel's first record since it came: does it follow on what the
 * responder knew?  If not, that is gone from the store. */
static void
see_first(
    struct fan *f, struct carried *c, size_t which, uint64_t id, uint64_t prev)
{
	const struct reset r = {
		.reason = RESET_FLUSHED, .id = id, .channels = &f->channels
	};
	const uint64_t known = c->positions[which];

	if (known == 0 || id <= known)
		return;
	c->positions[which] = 0;
	if (prev < known)
		fan_reset_stream(f, c, &r);
}

/* Append to the batch.  Returns 0, or -1 without memory. */
static int
add_to_batch(struct fan *f, const char *p, size_t len, size_t *at)
{
	if (f->batch.len > BATCH_FULL_LEN)
		fan_write(f, clock_now_ms());
	*at = f->batch.len;
	return buf_put(&f->batch, p, len);
}

/* There is no memory for what they should get: they come back for it. */
static void
send_all_back(struct fan *f, const struct audience *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->members[i].stream->state == CARRIED_LIVE)
			fan_send_back(f, a->members[i].stream, 10000);
}

static enum client_result
record(struct sink *s, size_t channel, const struct record *rec)
{
	struct fan *f = fan_of(s);
	struct audience *a = &f->audiences[channel];
	size_t i, at;

	recent_put(&f->recent, channel, rec);
	if (a->covered == UINT64_MAX)
		a->covered = rec->id;
	if (a->n == 0)
		return CLIENT_OK;
	if (add_to_batch(f, rec->frame, rec->frame_len, &at) == -1) {
		send_all_back(f, a);
		return CLIENT_OK;
	}
	for (i = 0; i < a->n; i++) {
		struct carried *c = a->members[i].stream;

		if (!is_for(c, rec->id))
			continue;
		see_first(f, c, a->members[i].which, rec->id, rec->prev);
		put_record(f, c, rec->id, at, rec->frame_len);
	}
	return CLIENT_OK;
}

/* Who was here when it was passed on has it; a guest that moves in has not. */
static enum client_result
passed(struct sink *s, size_t channel, const struct record *rec)
{
	struct fan *f = fan_of(s);
	const struct audience *a = &f->audiences[channel];
	size_t i;

	recent_put(&f->recent, channel, rec);
	for (i = 0; i < a->n; i++)
		if (a->members[i].stream->state == CARRIED_LIVE &&
		    rec->id > a->members[i].stream->cursor)
			fan_put_position(f, a->members[i].stream, rec->id);
	return CLIENT_OK;
}

/* It has no id by which a guest could get it later. */
static enum client_result
message(struct sink *s, size_t channel, const char *frame, size_t len)
{
	struct fan *f = fan_of(s);
	const struct audience *a = &f->audiences[channel];
	size_t i, at;

	if (a->n == 0)
		return CLIENT_OK;
	if (add_to_batch(f, frame, len, &at) == -1) {
		send_all_back(f, a);
		return CLIENT_OK;
	}
	for (i = 0; i < a->n; i++) {
		struct carried *c = a->members[i].stream;

		if (c->state == CARRIED_GUEST)
			c->is_spoiled = true;
		else if (c->state == CARRIED_LIVE)
			fan_put_shared(f, c, at, len);
	}
	return CLIENT_OK;
}

void
fan_catch_up(struct fan *f, struct carried *c)
{
	struct recent_record rec;
	size_t at = 0, i, in_batch;

	while (recent_next(&f->recent, &at, &rec) && c->state == CARRIED_LIVE) {
		if (rec.id <= c->floor)
			continue;
		for (i = 0; i < c->nchannels; i++)
			if (c->channels[i] == rec.channel)
				break;
		if (i == c->nchannels)
			continue;
		see_first(f, c, i, rec.id, rec.prev);
		if (add_to_batch(f, rec.frame, rec.frame_len, &in_batch) == 0)
			put_record(f, c, rec.id, in_batch, rec.frame_len);
		else
			fan_send_back(f, c, 5000);
	}
}

/* --- what cannot be kept ------------------------------------------------ */

static enum client_result
reset(struct sink *s, const struct reset *r)
{
	fan_reset(fan_of(s), r);
	return CLIENT_OK;
}

static enum client_result
position(struct sink *s, uint64_t id)
{
	fan_put_owed_positions(fan_of(s), id);
	return CLIENT_OK;
}

static bool
is_congested(const struct sink *s)
{
	const struct fan *f = (const struct fan *)s;

	return f->waiting_len > CONGESTED_LEN && f->nblocked > f->n / 2;
}

/* --- sessions ----------------------------------------------------------- */

static bool
session_spoke(struct sink *s, size_t key)
{
	struct fan *f = fan_of(s);
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->streams[i]->key == key)
			f->streams[i]->is_muted = true;
	return false; /* the others hear on */
}

/* The session's grant as the last take has it. */
static void
see_grant(struct fan *f, struct carried *c, const struct taken_grant *g)
{
	const bool is_same = g->text != NULL && g->len == c->grant_len &&
			     memcmp(g->text, c->grant, g->len) == 0;

	if (c->state == CARRIED_GUEST) {
		c->is_spoiled |= !is_same;
		c->is_muted = false;
	} else if (c->state == CARRIED_LIVE && is_same) {
		fan_unmute(f, c);
	} else if (c->state == CARRIED_LIVE && g->text != NULL && g->len > 0) {
		/* the policy is its responder's */
		fan_send_back(f, c, 200);
	} else if (c->state == CARRIED_LIVE) {
		log_debug("a session is over: the stream of %s ends",
		    c->user[0] != '\0' ? c->user : "nobody named");
		buf_reset(&f->scratch);
		block_put_end(&f->scratch, "session");
		fan_end(f, c, f->scratch.bytes, f->scratch.len);
	}
}

static bool
grants_changed(struct sink *s, const struct take *t)
{
	struct fan *f = fan_of(s);
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		if (c->key == CARRIED_NO_KEY)
			continue;
		if (c->key < t->ngrants)
			see_grant(f, c, &t->grants[c->key]);
		else
			f->needs_take |= c->is_muted;
	}
	return false; /* each by itself */
}

void
fan_sink_init(struct fan *f)
{
	static const struct sink_ops ops = { .start = start,
		.record = record,
		.passed = passed,
		.message = message,
		.reset = reset,
		.position = position,
		.is_congested = is_congested,
		.session_spoke = session_spoke,
		.grants_changed = grants_changed };

	f->sink.ops = &ops;
}
