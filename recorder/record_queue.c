/* SPDX-License-Identifier: ISC */
/* A list of which the first part is in flight. */
#include "recorder/record_queue.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct waiting *)a)->name,
	    ((const struct waiting *)b)->name);
}

/* The channel's count, made if there is none; NULL without memory. */
static struct waiting *
count_channel(struct record_queue *q, const char *channel, size_t len)
{
	struct waiting key = { .nput = 0 }, *made, **found;

	if (len >= sizeof(key.name))
		return NULL;
	memcpy(key.name, channel, len);
	if ((found = tfind(&key, &q->waiting, compare_names)) != NULL)
		return *found;
	if ((made = malloc(sizeof(*made))) == NULL)
		return NULL;
	*made = key;
	if (tsearch(made, &q->waiting, compare_names) != NULL)
		return made;
	free(made);
	return NULL;
}

/* Nobody waits there any more. */
static void
forget_if_empty(struct record_queue *q, struct waiting *w)
{
	if (w->nput != w->ngone)
		return;
	tdelete(w, &q->waiting, compare_names);
	free(w);
}

static void
pop_head(struct record_queue *q)
{
	struct queued_message *m = q->head;

	q->bytes -= sizeof(*m) + m->frame_len + m->channel.len;
	q->head = m->next;
	if (q->unsent == m)
		q->unsent = m->next;
	if (q->unrelayed == m)
		q->unrelayed = m->next;
	if (q->relaying == m)
		q->relaying = NULL;
	if (q->head == NULL)
		q->tail = NULL;
	m->waiting->ngone++;
	forget_if_empty(q, m->waiting);
	free(m);
}

void
record_queue_free(struct record_queue *q)
{
	while (q->head != NULL)
		pop_head(q);
}

int
record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len)
{
	struct waiting *w = count_channel(q, channel, channel_len);
	struct queued_message *m = NULL;

	if (w != NULL && q->bytes + frame_len <= QUEUE_BYTES_MAX)
		m = malloc(sizeof(*m) + frame_len + channel_len + 1);
	if (m == NULL) {
		q->ndropped++;
		if (w != NULL)
			forget_if_empty(q, w);
		return -1;
	}
	m->next = NULL;
	m->waiting = w;
	m->number = ++w->nput;
	m->is_relayed = false;
	m->frame_len = frame_len;
	m->channel = (struct channel){ m->frame + frame_len, channel_len };
	memcpy(m->frame, frame, frame_len);
	memcpy(m->channel.name, channel, channel_len);
	m->channel.name[channel_len] = '\0';
	q->bytes += sizeof(*m) + frame_len + channel_len;
	if (q->tail != NULL)
		q->tail->next = m;
	else
		q->head = m;
	q->tail = m;
	if (q->unsent == NULL)
		q->unsent = m;
	if (q->unrelayed == NULL)
		q->unrelayed = m;
	return 0;
}

const struct queued_message *
record_queue_to_relay(const struct record_queue *q)
{
	return q->ninflight > 0 ? NULL : q->unrelayed;
}

void
record_queue_relaying(struct record_queue *q)
{
	q->relaying = q->unrelayed;
}

void
record_queue_relayed(struct record_queue *q)
{
	if (q->relaying == NULL)
		return;
	q->relaying->is_relayed = true;
	q->unrelayed = q->relaying->next;
	q->relaying = NULL;
}

void
record_queue_relay_refused(struct record_queue *q)
{
	q->relaying = NULL;
}

uint64_t
record_queue_place(const struct queued_message *m)
{
	return m->number - m->waiting->ngone;
}

size_t
record_queue_drop_relayed(struct record_queue *q)
{
	size_t n;

	if (q->ninflight > 0 || q->relaying != NULL)
		return 0;
	for (n = 0; q->head != NULL && q->head->is_relayed; n++)
		pop_head(q);
	q->ndropped += n;
	return n;
}

size_t
record_queue_drop_unrelayed(struct record_queue *q)
{
	struct queued_message *kept = NULL, *m, *next;
	size_t n = 0;

	if (q->ninflight > 0)
		return record_queue_drop_all(q);
	record_queue_relayed(q); /* streams may have it */
	for (m = q->head; m != NULL && m != q->unrelayed; m = m->next)
		kept = m;
	for (; m != NULL; m = next, n++) {
		next = m->next;
		q->bytes -= sizeof(*m) + m->frame_len + m->channel.len;
		m->waiting->nput--;
		forget_if_empty(q, m->waiting);
		free(m);
	}
	if (kept != NULL)
		kept->next = NULL;
	else
		q->head = NULL;
	q->tail = kept;
	q->unrelayed = NULL;
	q->unsent = q->head;
	q->ndropped += n;
	return n;
}

const struct queued_message *
record_queue_next(const struct record_queue *q)
{
	if (q->must_rewind || q->nabandoned > 0 ||
	    q->ninflight == INFLIGHT_MAX ||
	    q->inflight_bytes >= INFLIGHT_BYTES_MAX)
		return NULL;
	return q->unsent;
}

uint64_t
record_queue_next_number(const struct record_queue *q)
{
	return q->recorded + q->ninflight + 1;
}

void
record_queue_sent(struct record_queue *q)
{
	q->ninflight++;
	q->inflight_bytes += q->unsent->frame_len;
	q->unsent = q->unsent->next;
}

static void
rewind_if_answered(struct record_queue *q)
{
	if (!q->must_rewind || q->ninflight > 0)
		return;
	q->must_rewind = false;
	q->inflight_bytes = 0;
	q->unsent = q->head;
}

const struct queued_message *
record_queue_answered(struct record_queue *q)
{
	q->ninflight--;
	if (q->nabandoned > 0)
		q->nabandoned--;
	else if (!q->must_rewind)
		return q->head;
	rewind_if_answered(q);
	return NULL;
}

void
record_queue_recorded(struct record_queue *q)
{
	q->recorded++;
	q->inflight_bytes -= q->head->frame_len;
	pop_head(q);
}

void
record_queue_refused(struct record_queue *q)
{
	q->must_rewind = true;
	rewind_if_answered(q);
}

void
record_queue_drop(struct record_queue *q)
{
	q->ndropped++;
	pop_head(q);
	record_queue_refused(q); /* those after it were refused likewise */
}

void
record_queue_settle(struct record_queue *q, uint64_t recorded)
{
	size_t n = q->ninflight - q->nabandoned;

	for (; n > 0 && q->recorded < recorded; n--, q->recorded++)
		pop_head(q);
	q->recorded = recorded;
	q->ninflight = q->nabandoned = q->inflight_bytes = 0;
	q->must_rewind = false;
	q->unsent = q->head;
}

size_t
record_queue_drop_inflight(struct record_queue *q)
{
	size_t i, n = q->ninflight - q->nabandoned;

	for (i = 0; i < n; i++)
		pop_head(q);
	record_queue_settle(q, q->recorded);
	q->ndropped += n;
	return n;
}

size_t
record_queue_drop_all(struct record_queue *q)
{
	size_t n;

	for (n = 0; q->head != NULL; n++)
		pop_head(q);
	q->nabandoned = q->ninflight;
	q->inflight_bytes = 0;
	q->ndropped += n;
	return n;
}
