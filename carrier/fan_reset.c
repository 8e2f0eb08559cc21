/* SPDX-License-Identifier: ISC */
/* What cannot be kept, to each stream that it concerns. */
#include "carrier/fan_reset.h"

#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "carrier/fan_write.h"

void
fan_put_position(struct fan *f, struct carried *c, uint64_t id)
{
	buf_reset(&f->scratch);
	block_put_position(&f->scratch, id);
	c->cursor = id;
	fan_put(f, c, f->scratch.bytes, f->scratch.len);
}

static void
put_owed_position(struct fan *f, struct carried *c, uint64_t id)
{
	if (c->state != CARRIED_LIVE || !c->owes_position)
		return;
	c->owes_position = false;
	fan_put_position(f, c, id);
}

void
fan_put_owed_positions(struct fan *f, uint64_t id)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		put_owed_position(f, f->streams[i], id);
}

/* Up to which id something of the channel is gone. */
static uint64_t
hole_end(const struct reset *r, size_t channel)
{
	return r->reason == RESET_TRIMMED && channel < r->take->nchannels
		   ? r->take->channels[channel].oldest_prev
		   : r->id;
}

static void
put_reset(
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
	memset(c->positions, 0, c->nchannels * sizeof(*c->positions));
	c->owes_position = true;
	if (c->cursor > id)
		c->cursor = id;
}

static void
tell(struct fan *f, struct carried *c, const struct reset *r, bool *is_affected)
{
	if (is_affected == NULL) {
		fan_send_back(f, c, 10000); /* it is told there */
		return;
	}
	if (r->reason == RESET_FLUSHED)
		go_back(c, r->id);
	put_reset(f, c, r, is_affected);
}

void
fan_reset_stream(struct fan *f, struct carried *c, const struct reset *r)
{
	bool *is_affected = calloc(r->channels->n + 1, sizeof(*is_affected));

	tell(f, c, r, is_affected);
	free(is_affected);
}

/* Does the store end before what its responder knew? */
static bool
lacks_known(const struct carried *c, const struct take *t)
{
	size_t i;

	for (i = 0; i < c->nchannels; i++) {
		const uint32_t channel = c->channels[i];

		if (channel < t->nchannels && t->channels[channel].last > 0 &&
		    t->channels[channel].last < c->positions[i])
			return true;
	}
	return false;
}

void
fan_taken(struct fan *f, const struct take *t)
{
	const struct reset r = { .reason = RESET_FLUSHED,
		.id = t->clock,
		.channels = &f->channels };
	size_t i;

	for (i = 0; i < f->channels.n; i++)
		if (f->audiences[i].covered == UINT64_MAX)
			f->audiences[i].covered = t->clock;
	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		/* a replica may lag, and catch up: the follower knows when it
		 * has gone back */
		if (t->clock > c->seen)
			c->seen = t->clock;
		if (c->state == CARRIED_LIVE && !t->is_replica &&
		    lacks_known(c, t)) {
			fan_reset_stream(f, c, &r);
			put_owed_position(f, c, t->clock);
		}
	}
}

void
fan_reset(struct fan *f, const struct reset *r)
{
	bool *is_affected = calloc(r->channels->n + 1, sizeof(*is_affected));
	const bool ahead_only = is_ahead_only(f, r);
	size_t i;

	note_hole(f, r);
	for (i = 0; i < f->n; i++) {
		struct carried *c = f->streams[i];

		if (c->state == CARRIED_GUEST)
			c->is_spoiled |= r->reason == RESET_FLUSHED;
		if (c->state == CARRIED_LIVE &&
		    (!ahead_only || is_ahead(c, r->id)))
			tell(f, c, r, is_affected);
	}
	free(is_affected);
}
