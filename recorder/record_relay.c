/* SPDX-License-Identifier: ISC */
/*
 * One at a time: what a stream has got is in order, and whole, only if none of
 * those before was refused.
 */
#include "recorder/record_relay.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "redis/publish.h"

#define RETRY_MS 250 /* after an error that passes */
#define LOOK_MS 300  /* for streams to see that messages will be passed on */
/* a queue of so many bytes has no room for what streams have */
#define BYTES_MAX (QUEUE_BYTES_MAX / 2)

void
record_relay_init(struct record_relay *r, const char *prefix,
    const struct lease *lease, struct record_queue *queue)
{
	*r = (struct record_relay){
		.prefix = prefix, .lease = lease, .queue = queue
	};
}

void
record_relay_begin(struct record_relay *r)
{
	r->is_on = true;
}

void
record_relay_note_id(struct record_relay *r, uint64_t id)
{
	if (id <= r->base)
		return;
	r->base = id;
	/* if streams have one under the old base, not again under this */
	record_queue_relayed(r->queue);
}

bool
record_relay_may_record(const struct record_relay *r, int64_t now_ms)
{
	return !r->is_due && now_ms >= r->retry_ms &&
	       (!r->is_on || r->queue->ninflight == 0);
}

/* --- what will not be recorded ------------------------------------------ */

void
record_relay_forget(struct record_relay *r)
{
	const size_t n = record_queue_drop_relayed(r->queue);

	if (n > 0)
		log_warn("%zu plain messages were not recorded: they went to "
			 "open streams alone",
		    n);
	r->owes_forget = true;
}

/* --- is it recorded? ---------------------------------------------------- */

static void
begin_after_refusal(struct record_relay *r, const char *why, int64_t now_ms)
{
	trouble_tell(&r->refusing,
	    "Redis does not record just now (%s); plain messages go to open "
	    "streams alone; still trying",
	    why);
	r->is_on = true;
	r->retry_ms = now_ms + RETRY_MS;
	record_queue_refused(r->queue);
}

static void
drop_oldest(struct record_relay *r, const char *why)
{
	const struct queued_message *m = r->queue->head;
	const bool was_relayed = m->is_relayed;

	if (r->dropping.told[0] == '\0')
		snprintf(r->dropped, sizeof(r->dropped), "%s", m->channel.name);
	trouble_tell_cause(&r->dropping, why,
	    "a message on '%s' could not be recorded: %s", m->channel.name,
	    why);
	record_queue_drop(r->queue);
	if (was_relayed)
		record_relay_forget(r);
}

/* The answer is its id.  Ids grow: all that is recorded has this one at the
 * most. */
static void
end_with_record(struct record_relay *r, const struct answer *a)
{
	struct answer id;
	uint64_t n;

	if (redis_answer_item(a, 0, &id) == ANSWER_TEXT &&
	    parse_u64(id.text, id.len, UINT64_MAX, &n) == 0)
		record_relay_note_id(r, n);
	trouble_over(&r->refusing, "Redis records again");
	if (strcmp(r->queue->head->channel.name, r->dropped) == 0)
		trouble_over(&r->dropping,
		    "messages on '%s' are recorded again", r->dropped);
	r->is_on = false;
	record_queue_recorded(r->queue);
}

bool
record_relay_read_recorded(
    struct record_relay *r, const struct answer *a, int64_t now_ms)
{
	const bool is_text = a->kind == ANSWER_TEXT;

	if (record_queue_answered(r->queue) == NULL)
		return true;
	if (a->kind == ANSWER_LIST ||
	    (is_text && strcmp(a->text, "SEEN") == 0)) {
		end_with_record(r, a);
	} else if (is_text) { /* LOST, GAP */
		record_queue_refused(r->queue);
		return false;
	} else if (a->kind == ANSWER_ERROR && publish_error_passes(a->text)) {
		begin_after_refusal(r, a->text, now_ms);
	} else {
		drop_oldest(
		    r, a->kind == ANSWER_ERROR ? a->text : "unexpected reply");
	}
	return true;
}

/* Not while one is on its way, which streams would forget, too. */
static void
make_room(struct record_relay *r)
{
	const struct record_queue *q = r->queue;

	if (r->is_on && q->relaying == NULL && q->ninflight == 0 &&
	    q->head != NULL && q->head->is_relayed && q->bytes >= BYTES_MAX)
		record_relay_forget(r);
}

void
record_relay_append_forget(struct record_relay *r, struct redis_conn *conn,
    struct expected_answers *expected)
{
	make_room(r);
	if (!r->owes_forget || expected->n > INFLIGHT_MAX ||
	    lease_append_notice(r->lease, conn, "forget") == -1)
		return;
	expected_add(expected, EXPECT_FORGOTTEN);
	r->owes_forget = false;
	r->nforgets_due++;
}

void
record_relay_read_forgotten(struct record_relay *r)
{
	r->nforgets_due--;
}

/* --- passing on --------------------------------------------------------- */

/* The streams are told first: who takes just when the first messages are passed
 * on could miss one.  Returns whether they know. */
static bool
announce(struct record_relay *r, struct redis_conn *conn,
    struct expected_answers *expected, int64_t now_ms)
{
	if (!r->is_announced &&
	    lease_append_notice(r->lease, conn, "relay") == 0) {
		expected_add(expected, EXPECT_NOTHING);
		r->is_announced = true;
		r->due_ms = now_ms + LOOK_MS;
	}
	return r->is_announced && now_ms >= r->due_ms;
}

void
record_relay_append(struct record_relay *r, struct redis_conn *conn,
    struct expected_answers *expected, int64_t now_ms)
{
	const struct queued_message *m;

	r->is_announced &= r->lease->shows_relay;
	if (expected->n > INFLIGHT_MAX || now_ms < record_relay_due_ms(r) ||
	    !announce(r, conn, expected, now_ms) ||
	    (m = record_queue_to_relay(r->queue)) == NULL ||
	    publish_append_relay(conn, r->prefix, &m->channel, m->frame,
		m->frame_len, r->base, record_queue_place(m)) == -1)
		return;
	expected_add(expected, EXPECT_RELAYED);
	record_queue_relaying(r->queue);
	r->is_due = true;
}

void
record_relay_read_relayed(
    struct record_relay *r, const struct answer *a, int64_t now_ms)
{
	r->is_due = false;
	if (a->kind == ANSWER_NUMBER) {
		record_queue_relayed(r->queue);
	} else {
		record_queue_relay_refused(r->queue);
		r->due_ms = now_ms + RETRY_MS;
	}
}

void
record_relay_disconnected(struct record_relay *r)
{
	r->is_due = false;
	r->owes_forget |= r->nforgets_due > 0;
	r->nforgets_due = 0;
}

int64_t
record_relay_due_ms(const struct record_relay *r)
{
	return r->is_on && !r->is_due && lease_may_relay(r->lease) &&
		       r->lease->shows_relay &&
		       record_queue_to_relay(r->queue) != NULL
		   ? r->due_ms
		   : INT64_MAX;
}
