/* SPDX-License-Identifier: ISC */
/* What one stream is sent.  Runs in the responder. */
#include "delivery.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/log.h"
#include "redis/sse.h"
#include "redis/record.h"
#include "resume.h"

void
delivery_init(struct delivery *d, const struct config *cfg, struct sink *out,
    const struct cursor *cursor)
{
	memset(d, 0, sizeof(*d));
	d->cfg = cfg;
	d->out = out;
	d->cursor = *cursor;
}

void
delivery_free(struct delivery *d)
{
	progress_free(&d->progress);
	plain_free(&d->plain);
	free(d->is_affected);
	d->is_affected = NULL;
}

int
delivery_set(
    struct delivery *d, const struct channel_set *channels, uint64_t remembered)
{
	struct cursor from = d->cursor;

	if (d->is_started)
		from = (struct cursor){ CURSOR_ID, remembered };
	delivery_free(d);
	plain_init(&d->plain, channels->n, from.kind == CURSOR_NONE);
	d->channels = channels;
	d->is_affected = calloc(channels->n + 1, sizeof(*d->is_affected));
	/* until the next check a replica may lag */
	if (progress_init(&d->progress, channels->n,
		(int64_t)d->cfg->heartbeat_s * 700) == -1 ||
	    d->is_affected == NULL)
		return -1;
	progress_set(&d->progress, resume_position(&from));
	if (from.kind == CURSOR_ID)
		d->progress.seen_clock = from.number;
	return 0;
}

int
delivery_add(struct delivery *d)
{
	const size_t n = d->channels->n;
	bool *bigger = reallocarray(d->is_affected, n + 1, sizeof(*bigger));

	if (bigger == NULL)
		return -1;
	d->is_affected = bigger;
	if (plain_add_channels(&d->plain, n) == -1)
		return -1;
	return progress_add(&d->progress, n);
}

void
delivery_keep(struct delivery *d, const bool *is_kept)
{
	plain_keep_channels(&d->plain, is_kept);
	progress_keep(&d->progress, is_kept);
}

struct cursor
delivery_start(const struct delivery *d)
{
	return d->is_started ? (struct cursor){ CURSOR_NONE, 0 } : d->cursor;
}

/* --- what passes -------------------------------------------------------- */

enum client_result
delivery_put_record(
    struct delivery *d, size_t channel, const struct record *rec)
{
	if (!progress_reach(&d->progress, channel, rec))
		return CLIENT_OK;
	if (plain_was_passed(&d->plain, channel, rec))
		return d->out->ops->passed(d->out, channel, rec);
	return d->out->ops->record(d->out, channel, rec);
}

static enum client_result
put_message(struct delivery *d, size_t channel, const char *payload, size_t len)
{
	enum client_result result = CLIENT_OK;
	struct buf frame;

	if (len > d->cfg->event_bytes)
		return CLIENT_OK;
	buf_init(&frame, SSE_FRAME_LEN_MAX(d->cfg->event_bytes));
	if (plain_put_frame(&frame, payload, len) == 0)
		result = d->out->ops->message(
		    d->out, channel, frame.bytes, frame.len);
	buf_free(&frame);
	return result;
}

enum client_result
delivery_put_plain(struct delivery *d, const struct sub_message *m)
{
	/* some that were on their way when the recorder came */
	if (!d->progress.positions[m->channel].hears_plain)
		return CLIENT_OK;
	if (plain_keep(&d->plain, m->channel, m->payload, m->payload_len))
		return CLIENT_OK;
	return put_message(d, m->channel, m->payload, m->payload_len);
}

static enum client_result
put_relay(struct delivery *d, size_t channel, const struct relay *r)
{
	const bool is_new = plain_hear_relay(&d->plain, channel, r);

	/* who hears for himself has passed it on */
	if (!is_new || d->progress.positions[channel].hears_plain)
		return CLIENT_OK;
	return d->out->ops->message(d->out, channel, r->frame, r->frame_len);
}

enum client_result
delivery_put_relay(
    struct delivery *d, const struct sub_message *m, bool *is_held)
{
	*is_held = plain_hold_relay(&d->plain, m->channel, &m->relay);
	return *is_held ? CLIENT_OK : put_relay(d, m->channel, &m->relay);
}

enum client_result
delivery_put_held(struct delivery *d)
{
	enum client_result result = CLIENT_OK;
	const char *payload;
	size_t at = 0, len, channel;
	struct relay relay;

	if (!plain_are_recorded(&d->plain, d->taken.token))
		while (result == CLIENT_OK && plain_next_held(&d->plain, &at,
						  &channel, &payload, &len))
			result = put_message(d, channel, payload, len);
	plain_drop_held(&d->plain);
	plain_note_recorder(&d->plain, d->taken.token);
	plain_set_relays(&d->plain, d->taken.has_relays);
	at = 0;
	while (result == CLIENT_OK &&
	       plain_next_relay(&d->plain, &at, &channel, &relay))
		result = put_relay(d, channel, &relay);
	plain_drop_relays(&d->plain);
	return result;
}

/* --- what is gone ------------------------------------------------------- */

static enum client_result
tell_reset(struct delivery *d, enum reset_reason reason, uint64_t id)
{
	const struct reset r = { .reason = reason,
		.id = id,
		.channels = d->channels,
		.is_affected = d->is_affected,
		.take = &d->taken };

	return d->out->ops->reset(d->out, &r);
}

/* "stream-reset" for the channels that the last take found trimmed, or for
 * all. */
static enum client_result
put_reset(struct delivery *d, enum reset_reason reason, bool affects_all)
{
	size_t i;

	for (i = 0; i < d->channels->n; i++)
		d->is_affected[i] =
		    affects_all ||
		    progress_is_trimmed(&d->progress, &d->taken, i);
	return tell_reset(d, reason, d->taken.clock);
}

/* A record that is larger than what Redis sends to a subscriber. */
static enum client_result
put_oversized(struct delivery *d, size_t channel, const struct record *rec)
{
	log_error("an event of %llu bytes on '%s' was skipped in a stream: "
		  "Redis cuts the connection instead of sending it; raise its "
		  "client-output-buffer-limit pubsub, or lower --event-bytes "
		  "of those who publish",
	    (unsigned long long)d->taken.next_bytes,
	    d->channels->items[channel].name);
	memset(d->is_affected, 0, d->channels->n * sizeof(*d->is_affected));
	d->is_affected[channel] = true;
	if (tell_reset(d, RESET_OVERSIZED, rec->id) == CLIENT_GONE)
		return CLIENT_GONE;
	/* who comes back does not stumble over it again */
	return d->out->ops->passed(d->out, channel, rec);
}

/* Did the store go back, by what the take and its records say? */
static bool
store_went_back(struct delivery *d, const struct redis_sub *sub)
{
	struct record rec;
	size_t i, channel;

	for (i = 0; i < d->taken.nrecords; i++)
		if (redis_sub_taken(sub, i, &channel, &rec) == 0)
			progress_note_taken(&d->progress, channel, &rec);
	return progress_went_back(&d->progress, &d->taken, clock_now_ms());
}

static enum client_result
put_what_is_gone(struct delivery *d, const struct redis_sub *sub)
{
	if (store_went_back(d, sub)) {
		/* nothing that was seen of it counts any more */
		progress_forget(&d->progress, &d->taken);
		d->owes_position = true;
		return put_reset(d, RESET_FLUSHED, true);
	}
	if (progress_any_trimmed(&d->progress, &d->taken))
		return put_reset(d, RESET_TRIMMED, false);
	return CLIENT_OK;
}

/* --- takes -------------------------------------------------------------- */

/* Where the stream begins, and what is gone. */
static enum client_result
begin(struct delivery *d, const struct redis_sub *sub)
{
	enum client_result result;
	uint64_t first_id = 0;
	struct record rec;
	struct resume r;
	size_t channel;

	if (d->taken.nrecords > 0 &&
	    redis_sub_taken(sub, 0, &channel, &rec) == 0)
		first_id = rec.id;
	r = resume_decide(&d->cursor, &d->taken, first_id,
	    progress_any_trimmed(&d->progress, &d->taken));
	d->is_started = d->owes_position = true;
	result = d->out->ops->start(d->out, r.floor);
	if (result == CLIENT_OK && r.reason != RESET_NONE)
		result = put_reset(
		    d, r.reason, r.affects_all || r.reason != RESET_TRIMMED);
	progress_begin(&d->progress, &r, &d->taken, clock_now_ms());
	return result;
}

enum client_result
delivery_put_taken(struct delivery *d, struct redis_sub *sub, bool is_oversized)
{
	enum client_result result =
	    d->is_started ? put_what_is_gone(d, sub) : begin(d, sub);
	uint64_t reached = 0;
	struct record rec;
	size_t i, channel;

	for (i = 0; i < d->taken.nrecords && result == CLIENT_OK; i++) {
		if (redis_sub_taken(sub, i, &channel, &rec) == -1)
			continue;
		reached = rec.id;
		if (rec.id <= d->progress.positions[channel].id)
			continue; /* it came while the take was on its way */
		if (!is_oversized)
			result = delivery_put_record(d, channel, &rec);
		else if (progress_reach(&d->progress, channel, &rec))
			result = put_oversized(d, channel, &rec);
	}
	if (reached == 0) /* nothing but junk: it would come again for ever */
		d->taken.has_more = false;
	progress_reach_take(&d->progress, &d->taken, reached);
	redis_sub_drop_taken(sub);
	malloc_trim(0); /* a stream lives long and small */
	return result;
}

enum client_result
delivery_put_position(struct delivery *d)
{
	if (!d->owes_position)
		return CLIENT_OK;
	d->owes_position = false;
	return d->out->ops->position(d->out, d->progress.seen_clock);
}
