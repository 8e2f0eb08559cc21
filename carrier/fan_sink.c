/* SPDX-License-Identifier: ISC */
/* From one follower to many streams. */
#include "carrier/fan_sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "block.h"

/* More waits for clients: the next take had better come later. */
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

static void
put_position(struct fan *f, struct carried *c, uint64_t id)
{
	buf_reset(&f->scratch);
	block_put_position(&f->scratch, id);
	c->cursor = id;
	fan_put(f, c, f->scratch.bytes, f->scratch.len);
}

/* A record that stands in the batch.  The cursor never goes back: after a late
 * record comes the highest id as a position. */
static void
put_record(struct fan *f, struct carried *c, uint64_t id, size_t at, size_t len)
{
	fan_put_shared(f, c, at, len);
	if (c->state != CARRIED_LIVE)
		return;
	if (id < c->cursor)
		put_position(f, c, c->cursor);
	else
		c->cursor = id;
}

static bool
is_for(const struct carried *c, uint64_t id)
{
	return c->state == CARRIED_LIVE && id > c->floor;
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
	for (i = 0; i < a->n; i++)
		if (is_for(a->members[i].stream, rec->id))
			put_record(f, a->members[i].stream, rec->id, at,
			    rec->frame_len);
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
			put_position(f, a->members[i].stream, rec->id);
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
		if (add_to_batch(f, rec.frame, rec.frame_len, &in_batch) == 0)
			put_record(f, c, rec.id, in_batch, rec.frame_len);
		else
			fan_send_back(f, c, 5000);
	}
}

/* --- what cannot be kept ------------------------------------------------ */

/* Up to which id something of the channel is gone. */
static uint64_t
hole_end(const struct reset *r, size_t channel)
{
	return r->reason == RESET_TRIMMED && channel < r->take->nchannels
		   ? r->take->channels[channel].oldest_prev
		   : r->id;
}

static void
tell_reset(
    struct fan *f, struct carried *c, const struct reset *r, bool *is_affected)
{
	bool any = false;
	size_t i;

	for (i = 0; i < c->nchannels; i++) {
		const uint32_t channel = c->channels[i];

		is_affected[channel] = r->reason == RESET_FLUSHED ||
				       (r->is_affected[channel] &&
					   c->floor < hole_end(r, channel));
		any |= is_affected[channel];
	}
	buf_reset(&f->scratch);
	block_put_reset(
	    &f->scratch, r->channels, is_affected, r->reason, r->id);
	for (i = 0; i < c->nchannels; i++)
		is_affected[c->channels[i]] = false;
	if (any)
		fan_put(f, c, f->scratch.bytes, f->scratch.len);
}

/* Nobody who has not come as far can move in. */
static void
note_hole(struct fan *f, const struct reset *r)
{
	size_t i;

	for (i = 0; i < r->channels->n; i++) {
		struct audience *a = &f->audiences[i];
		const uint64_t end = hole_end(r, i);

		if (r->reason == RESET_FLUSHED)
			a->hole = 0;
		else if (r->is_affected[i] && a->hole < end)
			a->hole = end;
	}
	if (r->reason == RESET_FLUSHED)
		recent_reset(&f->recent, r->id);
}

static bool
is_ahead(const struct carried *c, uint64_t id)
{
	return c->seen > id || c->cursor > id;
}

/* Does it concern those alone who have seen it further than it is now?  Others
 * may have come since.  (If nobody has, it is another store.) */
static bool
is_ahead_only(const struct fan *f, const struct reset *r)
{
	size_t i;

	for (i = 0; r->reason == RESET_FLUSHED && i < f->n; i++)
		if (f->streams[i]->state == CARRIED_LIVE &&
		    is_ahead(f->streams[i], r->id))
			return true;
	return false;
}

static void
go_back(struct carried *c, uint64_t id)
{
	c->floor = 0;
	c->seen = id;
	c->owes_position = true;
	if (c->cursor > id)
		c->cursor = id;
}

static enum client_result
reset(struct sink *s, const struct reset *r)
{
	struct fan *f = fan_of(s);
	bool *is_affected = calloc(r->channels->n + 1, sizeof(*is_affected));
	const bool ahead_only = is_ahead_only(f, r);
	size_t i;

	note_hole(f, r);
	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		if (c->state == CARRIED_GUEST)
			c->is_spoiled |= r->reason == RESET_FLUSHED;
		if (c->state != CARRIED_LIVE ||
		    (ahead_only && !is_ahead(c, r->id)))
			continue;
		if (is_affected == NULL) {
			fan_send_back(f, c, 10000); /* it is told there */
			continue;
		}
		if (r->reason == RESET_FLUSHED)
			go_back(c, r->id);
		tell_reset(f, c, r, is_affected);
	}
	free(is_affected);
	return CLIENT_OK;
}

static enum client_result
position(struct sink *s, uint64_t id)
{
	struct fan *f = fan_of(s);
	size_t i;

	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		if (c->state != CARRIED_LIVE || !c->owes_position)
			continue;
		c->owes_position = false;
		put_position(f, c, id);
	}
	return CLIENT_OK;
}

static bool
is_congested(const struct sink *s)
{
	return ((const struct fan *)s)->waiting_len > CONGESTED_LEN;
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
