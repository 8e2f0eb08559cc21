/* SPDX-License-Identifier: ISC */
/* A list of which the first part is in flight. */
#include "pending.h"

#include <stdlib.h>
#include <string.h>

static void
pop_head(struct pending *p)
{
	struct pending_message *m = p->head;

	p->bytes -= sizeof(*m) + m->frame_len + m->channel.len;
	p->head = m->next;
	if (p->unsent == m)
		p->unsent = m->next;
	if (p->head == NULL)
		p->tail = NULL;
	free(m);
}

void
pending_free(struct pending *p)
{
	while (p->head != NULL)
		pop_head(p);
}

int
pending_put(struct pending *p, const char *channel, size_t channel_len,
    const char *frame, size_t frame_len)
{
	struct pending_message *m = NULL;

	if (p->bytes + frame_len <= PENDING_BYTES_MAX)
		m = malloc(sizeof(*m) + frame_len + channel_len + 1);
	if (m == NULL) {
		p->ndropped++;
		return -1;
	}
	m->next = NULL;
	m->frame_len = frame_len;
	m->channel = (struct channel){ m->frame + frame_len, channel_len };
	memcpy(m->frame, frame, frame_len);
	memcpy(m->channel.name, channel, channel_len);
	m->channel.name[channel_len] = '\0';
	p->bytes += sizeof(*m) + frame_len + channel_len;
	if (p->tail != NULL)
		p->tail->next = m;
	else
		p->head = m;
	p->tail = m;
	if (p->unsent == NULL)
		p->unsent = m;
	return 0;
}

const struct pending_message *
pending_next(const struct pending *p)
{
	if (p->must_rewind || p->nabandoned > 0 ||
	    p->ninflight == INFLIGHT_MAX ||
	    p->inflight_bytes >= INFLIGHT_BYTES_MAX)
		return NULL;
	return p->unsent;
}

uint64_t
pending_next_number(const struct pending *p)
{
	return p->recorded + p->ninflight + 1;
}

void
pending_sent(struct pending *p)
{
	p->ninflight++;
	p->inflight_bytes += p->unsent->frame_len;
	p->unsent = p->unsent->next;
}

static void
rewind_if_answered(struct pending *p)
{
	if (!p->must_rewind || p->ninflight > 0)
		return;
	p->must_rewind = false;
	p->inflight_bytes = 0;
	p->unsent = p->head;
}

const struct pending_message *
pending_answered(struct pending *p)
{
	p->ninflight--;
	if (p->nabandoned > 0)
		p->nabandoned--;
	else if (!p->must_rewind)
		return p->head;
	rewind_if_answered(p);
	return NULL;
}

void
pending_recorded(struct pending *p)
{
	p->recorded++;
	p->inflight_bytes -= p->head->frame_len;
	pop_head(p);
}

void
pending_refused(struct pending *p)
{
	p->must_rewind = true;
	rewind_if_answered(p);
}

void
pending_drop(struct pending *p)
{
	p->ndropped++;
	pop_head(p);
	pending_refused(p); /* those behind it were refused likewise */
}

void
pending_settle(struct pending *p, uint64_t recorded)
{
	size_t n = p->ninflight - p->nabandoned;

	for (; n > 0 && p->recorded < recorded; n--, p->recorded++)
		pop_head(p);
	p->recorded = recorded;
	p->ninflight = p->nabandoned = p->inflight_bytes = 0;
	p->must_rewind = false;
	p->unsent = p->head;
}

size_t
pending_drop_inflight(struct pending *p)
{
	size_t i, n = p->ninflight - p->nabandoned;

	for (i = 0; i < n; i++)
		pop_head(p);
	pending_settle(p, p->recorded);
	p->ndropped += n;
	return n;
}

size_t
pending_drop_all(struct pending *p)
{
	size_t n;

	for (n = 0; p->head != NULL; n++)
		pop_head(p);
	p->nabandoned = p->ninflight;
	p->inflight_bytes = 0;
	p->ndropped += n;
	return n;
}
