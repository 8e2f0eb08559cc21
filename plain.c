/* SPDX-License-Identifier: ISC */
/* Plain messages: what a stream passes on itself, and what it waits for. */
#include "plain.h"

#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "redis/event.h"
#include "redis/sse.h"

#define HELD_BYTES_MAX (1 << 20)

void
plain_init(struct plain *p, size_t n, bool is_newcomer)
{
	*p = (struct plain){ .nchannels = n, .is_newcomer = is_newcomer };
	buf_init(&p->held, HELD_BYTES_MAX);
}

void
plain_free(struct plain *p)
{
	free(p->relayed);
	buf_free(&p->held);
	memset(p, 0, sizeof(*p));
}

bool
plain_update_coverage(struct position *positions,
    const struct channel_set *channels, const char *patterns)
{
	bool changed = false, hears;
	size_t i;

	for (i = 0; i < channels->n; i++) {
		hears = patterns == NULL ||
			!glob_any_matches(patterns, channels->items[i].name,
			    channels->items[i].len);
		changed |= hears != positions[i].hears_plain;
		positions[i].hears_plain = hears;
	}
	return changed;
}

int
plain_put_frame(struct buf *out, const char *payload, size_t len)
{
	struct event ev;
	int failed;

	if (record_has_header(payload, len))
		return -1;
	event_from_payload(&ev, payload, len);
	failed = sse_put_event(out, &ev);
	event_free(&ev);
	return failed;
}

/* --- an announcement ---------------------------------------------------- */

static void
forget_relays(struct plain *p)
{
	free(p->relayed);
	p->relayed = NULL;
}

void
plain_hear_notice(struct plain *p, const char *notice, size_t len)
{
	struct notice n;

	switch (notice_parse(&n, notice, len)) {
	case NOTICE_FORGET:
		forget_relays(p);
		break;
	case NOTICE_UP:
		if (n.token_len >= PLAIN_TOKEN_SIZE)
			break;
		/* of several the last counts: the one before has lost it */
		memcpy(p->held_token, n.token, n.token_len);
		p->held_token[n.token_len] = '\0';
		p->is_holding = true;
		forget_relays(p);
		break;
	case NOTICE_DOWN:
	case NOTICE_OTHER:
		break;
	}
}

bool
plain_keep(struct plain *p, const char *payload, size_t len)
{
	if (!p->is_holding)
		return false;
	if (p->held.len + sizeof(len) + len <= HELD_BYTES_MAX &&
	    buf_put(&p->held, &len, sizeof(len)) == 0 &&
	    buf_put(&p->held, payload, len) == -1)
		p->held.len -= sizeof(len);
	return true;
}

bool
plain_are_recorded(const struct plain *p, const char *token)
{
	return token != NULL && strcmp(token, p->held_token) == 0;
}

bool
plain_next_held(
    const struct plain *p, size_t *at, const char **payload, size_t *len)
{
	if (*at >= p->held.len)
		return false;
	memcpy(len, p->held.bytes + *at, sizeof(*len));
	*payload = p->held.bytes + *at + sizeof(*len);
	*at += sizeof(*len) + *len;
	return true;
}

void
plain_drop_held(struct plain *p)
{
	p->is_holding = false;
	buf_free(&p->held);
}

/* --- from the recorder -------------------------------------------------- */

static void
begin_range(struct plain_relayed *r)
{
	r->is_cut = false;
	if (r->n == PLAIN_RANGES_MAX) { /* rather once too few than twice */
		r->ranges[0].last = r->ranges[1].last;
		memmove(&r->ranges[1], &r->ranges[2],
		    (PLAIN_RANGES_MAX - 2) * sizeof(r->ranges[0]));
		r->n--;
	}
	r->ranges[r->n++] = (struct plain_range){ 0, 0 };
}

bool
plain_hear_relay(struct plain *p, size_t channel, uint64_t place)
{
	struct plain_relayed *r;
	struct plain_range *last;

	if (p->relayed == NULL)
		p->relayed = calloc(p->nchannels, sizeof(*p->relayed));
	if (p->relayed == NULL)
		return true;
	r = &p->relayed[channel];
	if (r->n > 0 && place <= r->ranges[r->n - 1].last)
		return false;
	if (r->n == 0 || r->is_cut || place != r->ranges[r->n - 1].last + 1)
		begin_range(r);
	last = &r->ranges[r->n - 1];
	if (last->first == 0)
		last->first = place;
	last->last = place;
	return true;
}

void
plain_cut(struct plain *p)
{
	size_t i;

	for (i = 0; p->relayed != NULL && i < p->nchannels; i++)
		p->relayed[i].is_cut = true;
}

/* The first in the line is recorded: all others step forward. */
static void
step_forward(struct plain_relayed *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		r->ranges[i].last--;
		if (r->ranges[i].first > 1)
			r->ranges[i].first--;
	}
	if (r->ranges[0].last == 0) {
		r->n--;
		memmove(
		    &r->ranges[0], &r->ranges[1], r->n * sizeof(r->ranges[0]));
	}
}

bool
plain_was_passed(struct plain *p, size_t channel, const struct record *rec)
{
	struct plain_relayed *r;
	bool was_passed;

	if (rec->origin != ORIGIN_RECORDED || p->relayed == NULL)
		return false;
	r = &p->relayed[channel];
	if (r->n == 0)
		return false;
	/* what came before the first that a newcomer got is not its */
	was_passed = r->ranges[0].first == 1 || p->is_newcomer;
	step_forward(r);
	return was_passed;
}
