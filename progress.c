/* SPDX-License-Identifier: ISC */
/* Positions are compared with what takes and records say of the store. */
#include "progress.h"

#include <stdlib.h>
#include <string.h>

int
progress_init(struct progress *p, size_t n, int64_t lag_ms)
{
	memset(p, 0, sizeof(*p));
	p->n = n;
	p->lag_ms = lag_ms;
	p->positions = calloc(n + 1, sizeof(*p->positions));
	return p->positions == NULL ? -1 : 0;
}

void
progress_free(struct progress *p)
{
	free(p->positions);
	memset(p, 0, sizeof(*p));
}

int
progress_add(struct progress *p, size_t n)
{
	struct position *bigger =
	    reallocarray(p->positions, n + 1, sizeof(*bigger));

	if (bigger == NULL)
		return -1;
	p->positions = bigger;
	for (; p->n < n; p->n++)
		p->positions[p->n] =
		    (struct position){ .id = p->seen_clock, .is_loose = true };
	return 0;
}

void
progress_keep(struct progress *p, const bool *is_kept)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		if (is_kept[i])
			p->positions[n++] = p->positions[i];
	p->n = n;
}

void
progress_set(struct progress *p, uint64_t id)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->positions[i].id = id;
}

/* A replica may be behind for a moment. */
static bool
lags_behind(struct progress *p, const struct take *t, int64_t now_ms)
{
	if (!t->is_replica)
		return false;
	if (p->lag_until_ms == 0)
		p->lag_until_ms = now_ms + p->lag_ms;
	return now_ms < p->lag_until_ms;
}

void
progress_begin(struct progress *p, const struct resume *r, const struct take *t,
    int64_t now_ms)
{
	progress_set(p, r->floor);
	p->floor = r->floor;
	p->seen_epoch = t->epoch;
	if (r->is_lagging)
		lags_behind(p, t, now_ms);
	p->seen_clock = r->is_lagging ? r->floor : t->clock;
}

void
progress_see(struct progress *p, uint64_t id)
{
	if (id > p->seen_clock)
		p->seen_clock = id;
}

/* --- records ------------------------------------------------------------ */

bool
progress_is_next(
    const struct progress *p, size_t channel, const struct record *rec)
{
	const struct position *at = &p->positions[channel];

	if (at->is_loose)
		return rec->id > at->id;
	return at->is_exact && rec->prev == at->id && rec->id > at->id;
}

bool
progress_reach(struct progress *p, size_t channel, const struct record *rec)
{
	struct position *at = &p->positions[channel];

	at->id = rec->id;
	at->is_exact |= at->is_loose;
	at->is_loose = false;
	if (rec->id > p->seen_clock)
		p->seen_clock = rec->id;
	return rec->id > p->floor;
}

void
progress_note_live(struct progress *p, size_t channel, const struct record *rec)
{
	const uint64_t id = p->positions[channel].id;

	/* newer: one was missed.  older: the store went back */
	p->went_back = rec->prev < id || rec->id <= id;
}

void
progress_note_taken(
    struct progress *p, size_t channel, const struct record *rec)
{
	const struct position *at = &p->positions[channel];

	/* newer events came before this stream could look */
	p->went_back |= at->is_exact && rec->id > at->id && rec->prev < at->id;
}

/* --- takes -------------------------------------------------------------- */

bool
progress_is_trimmed(
    const struct progress *p, const struct take *t, size_t channel)
{
	return channel < t->nchannels &&
	       t->channels[channel].oldest_prev > p->positions[channel].id;
}

bool
progress_any_trimmed(const struct progress *p, const struct take *t)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (progress_is_trimmed(p, t, i))
			return true;
	return false;
}

bool
progress_went_back(struct progress *p, const struct take *t, int64_t now_ms)
{
	bool back = p->went_back, new_epoch = t->epoch != p->seen_epoch;
	size_t i;

	p->went_back = false;
	p->seen_epoch = t->epoch;
	if (t->clock < p->seen_clock)
		return !lags_behind(p, t, now_ms);
	p->lag_until_ms = 0;
	if (p->seen_clock > 0 && new_epoch &&
	    (t->epoch == 0 || t->epoch > p->seen_clock))
		return true;
	/* 0: forgotten after 30 quiet days, and nothing to go back to */
	for (i = 0; i < t->nchannels; i++)
		back |= p->positions[i].is_exact && t->channels[i].last > 0 &&
			t->channels[i].last < p->positions[i].id;
	return back;
}

void
progress_forget(struct progress *p, const struct take *t)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->positions[i].is_exact = false;
	p->seen_clock = t->clock;
	p->floor = 0;
}

void
progress_reach_take(struct progress *p, const struct take *t, uint64_t reached)
{
	size_t i;

	for (i = 0; i < t->nchannels; i++) {
		struct position *at = &p->positions[i];
		/* what is gone before a channel's oldest is said once */
		const uint64_t end = t->channels[i].oldest_prev > reached
					 ? t->channels[i].oldest_prev
					 : reached;

		at->is_loose = false;
		if (!t->has_more) {
			at->id = t->channels[i].last;
			at->is_exact = true;
		} else if (at->id < end) {
			at->id = end;
			at->is_exact = false;
		}
	}
	if (t->clock > p->seen_clock)
		p->seen_clock = t->clock;
}
