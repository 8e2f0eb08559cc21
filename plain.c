/* SPDX-License-Identifier: ISC */
/* Plain messages: what a stream passes on itself, and what it waits for. */
#include "plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "redis/event.h"
#include "redis/sse.h"

#define RECORDER_LEN                                                           \
	16 /* of a token: it says which recorder, the rest which
			 * subscription of its */
#define HELD_BYTES_MAX (1 << 20)

void
plain_init(struct plain *p, size_t n, bool is_newcomer)
{
	*p = (struct plain){ .nchannels = n, .is_newcomer = is_newcomer };
	buf_init(&p->held, HELD_BYTES_MAX);
	buf_init(&p->relays, HELD_BYTES_MAX);
}

void
plain_free(struct plain *p)
{
	free(p->relayed);
	buf_free(&p->held);
	buf_free(&p->relays);
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

bool
plain_is_quiet(const struct plain *p)
{
	return !p->is_holding && !p->has_relays && p->nranges == 0 &&
	       p->relays.len == 0;
}

/* Room for the channels' ranges, if there are any.  0, or -1 without memory. */
static int
resize_relayed(struct plain *p, size_t n)
{
	struct plain_relayed *bigger;

	if (p->relayed == NULL)
		return 0;
	bigger = reallocarray(p->relayed, n + 1, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	p->relayed = bigger;
	memset(
	    p->relayed + p->nchannels, 0, (n - p->nchannels) * sizeof(*bigger));
	return 0;
}

int
plain_add_channels(struct plain *p, size_t n)
{
	if (resize_relayed(p, n) == -1)
		return -1;
	p->nchannels = n;
	return 0;
}

void
plain_keep_channels(struct plain *p, const bool *is_kept)
{
	size_t i, n = 0;

	for (i = 0; i < p->nchannels; i++) {
		if (p->relayed != NULL && is_kept[i])
			p->relayed[n] = p->relayed[i];
		else if (p->relayed != NULL)
			p->nranges -= p->relayed[i].n;
		n += is_kept[i];
	}
	p->nchannels = n;
}

/* --- an announcement ---------------------------------------------------- */

static void
forget_relays(struct plain *p)
{
	free(p->relayed);
	p->relayed = NULL;
	p->nranges = 0;
	p->is_newcomer = false; /* it is here when the next ones begin */
}

static bool
is_same_recorder(const struct plain *p, const char *token)
{
	return strncmp(p->recorder, token, RECORDER_LEN) == 0;
}

/* Places go on as long as it is the same recorder. */
static void
set_recorder(struct plain *p, const char *token)
{
	if (is_same_recorder(p, token))
		return;
	snprintf(p->recorder, sizeof(p->recorder), "%s", token);
	forget_relays(p);
}

/* Of several any may have the lease: the last one takes it from those before,
 * but whoever has no right to it can announce himself, too. */
static void
hold(struct plain *p, const struct notice *n)
{
	char *token = p->announced[p->nannounced++ % PLAIN_TOKENS_MAX];

	memcpy(token, n->token, n->token_len);
	token[n->token_len] = '\0';
	p->is_holding = true;
	if (p->recorder[0] == '\0')
		set_recorder(p, token);
	else if (!is_same_recorder(p, token))
		p->has_relays = false; /* a take is to show whose they are */
}

bool
plain_hear_notice(struct plain *p, const char *notice, size_t len)
{
	struct notice n;

	switch (notice_parse(&n, notice, len)) {
	case NOTICE_UP:
		if (n.token_len < PLAIN_TOKEN_SIZE)
			hold(p, &n);
		return true;
	case NOTICE_DOWN:
		return true;
	case NOTICE_FORGET:
		forget_relays(p);
		break;
	case NOTICE_OTHER:
		break;
	}
	return false;
}

/* What stands in p->held in front of each message. */
struct held_message {
	size_t channel, len;
};

bool
plain_keep(struct plain *p, size_t channel, const char *payload, size_t len)
{
	const struct held_message head = { channel, len };

	if (!p->is_holding)
		return false;
	if (p->held.len + sizeof(head) + len <= HELD_BYTES_MAX &&
	    buf_put(&p->held, &head, sizeof(head)) == 0 &&
	    buf_put(&p->held, payload, len) == -1)
		p->held.len -= sizeof(head);
	return true;
}

bool
plain_are_recorded(const struct plain *p, const char *token)
{
	size_t i;

	for (i = 0; token != NULL && i < PLAIN_TOKENS_MAX; i++)
		if (i < p->nannounced && strcmp(token, p->announced[i]) == 0)
			return true;
	return false;
}

bool
plain_next_held(const struct plain *p, size_t *at, size_t *channel,
    const char **payload, size_t *len)
{
	struct held_message head;

	if (*at >= p->held.len)
		return false;
	memcpy(&head, p->held.bytes + *at, sizeof(head));
	*channel = head.channel;
	*payload = p->held.bytes + *at + sizeof(head);
	*len = head.len;
	*at += sizeof(head) + head.len;
	return true;
}

void
plain_drop_held(struct plain *p)
{
	p->is_holding = false;
	p->nannounced = 0;
	buf_free(&p->held);
}

/* --- from the recorder -------------------------------------------------- */

void
plain_note_recorder(struct plain *p, const char *token)
{
	if (token == NULL || strlen(token) >= PLAIN_TOKEN_SIZE)
		return;
	if (p->recorder[0] == '\0') /* the one that was there before */
		snprintf(p->recorder, sizeof(p->recorder), "%s", token);
	else
		set_recorder(p, token);
}

/* What stands in p->relays in front of each frame. */
struct held_relay {
	size_t channel;
	struct relay relay;
};

bool
plain_hold_relay(struct plain *p, size_t channel, const struct relay *r)
{
	const struct held_relay head = { channel, *r };

	if (p->has_relays)
		return false;
	if (p->relays.len + sizeof(head) + r->frame_len > HELD_BYTES_MAX ||
	    buf_put(&p->relays, &head, sizeof(head)) == -1)
		return true;
	if (buf_put(&p->relays, r->frame, r->frame_len) == -1)
		p->relays.len -= sizeof(head);
	return true;
}

void
plain_set_relays(struct plain *p, bool has_relays)
{
	p->has_relays = has_relays;
	if (!has_relays)
		plain_drop_relays(p);
}

bool
plain_next_relay(
    const struct plain *p, size_t *at, size_t *channel, struct relay *r)
{
	struct held_relay head;

	if (*at >= p->relays.len)
		return false;
	memcpy(&head, p->relays.bytes + *at, sizeof(head));
	*channel = head.channel;
	*r = head.relay;
	r->frame = p->relays.bytes + *at + sizeof(head);
	*at += sizeof(head) + r->frame_len;
	return true;
}

void
plain_drop_relays(struct plain *p)
{
	buf_free(&p->relays);
}

static void
begin_range(
    struct plain *p, struct plain_relayed *of, uint64_t base, uint64_t first)
{
	if (of->n == PLAIN_RANGES_MAX) {
		/* rather once too few than twice */
		of->ranges[0].last = of->ranges[1].last;
		memmove(&of->ranges[1], &of->ranges[2],
		    (PLAIN_RANGES_MAX - 2) * sizeof(of->ranges[0]));
		of->n--;
		p->nranges--;
	}
	p->nranges++;
	of->ranges[of->n++] = (struct plain_range){ base, first, first };
}

bool
plain_hear_relay(struct plain *p, size_t channel, const struct relay *r)
{
	struct plain_relayed *of;
	struct plain_range *last;

	if (p->relayed == NULL)
		p->relayed = calloc(p->nchannels, sizeof(*p->relayed));
	if (p->relayed == NULL)
		return true;
	of = &p->relayed[channel];
	last = of->n > 0 ? &of->ranges[of->n - 1] : NULL;
	if (last != NULL && last->base == r->base && r->place <= last->last)
		return false;
	/* what was before the first that a newcomer gets is not its */
	if (p->is_newcomer && !of->has_begun)
		begin_range(p, of, r->base, 1);
	/* those before, that were missed, come as records: so does this one */
	else if (r->place > (last != NULL ? last->last : 0) + 1)
		return false;
	else if (last == NULL || last->base != r->base)
		begin_range(p, of, r->base, r->place);
	of->ranges[of->n - 1].last = r->place;
	of->has_begun = true;
	return true;
}

void
plain_cut(struct plain *p)
{
	p->is_newcomer = false;
}

bool
plain_was_passed(struct plain *p, size_t channel, const struct record *rec)
{
	struct plain_relayed *of;
	bool was_passed = false;
	size_t i, n = 0;

	if (rec->origin != ORIGIN_RECORDED || p->relayed == NULL)
		return false;
	of = &p->relayed[channel];
	for (i = 0; i < of->n; i++) {
		struct plain_range range = of->ranges[i];

		if (rec->id > range.base) { /* one less is still to come */
			was_passed |= range.first == 1;
			range.first -= range.first > 1;
			range.last--;
		}
		if (range.last > 0)
			of->ranges[n++] = range;
	}
	p->nranges -= of->n - n;
	of->n = n;
	return was_passed;
}
