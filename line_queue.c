/* SPDX-License-Identifier: ISC */
/* A ring by number: done <= sent <= put. */
#include "line_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct queued_line *
at(struct line_queue *q, uint64_t number)
{
	return &q->lines[number % LINE_QUEUE_MAX];
}

static void
drop_oldest(struct line_queue *q)
{
	struct queued_line *line = at(q, ++q->done);

	q->bytes -= line->len;
	free(line->frame);
	*line = (struct queued_line){ NULL, 0 };
	if (q->sent < q->done)
		q->sent = q->done;
}

void
line_queue_free(struct line_queue *q)
{
	while (q->done < q->put)
		drop_oldest(q);
}

bool
line_queue_is_full(const struct line_queue *q)
{
	return q->put - q->done == LINE_QUEUE_MAX ||
	       q->bytes >= LINE_QUEUE_BYTES_MAX;
}

int
line_queue_put(struct line_queue *q, const char *frame, size_t len)
{
	struct queued_line *line = at(q, q->put + 1);

	assert(!line_queue_is_full(q));
	if ((line->frame = malloc(len)) == NULL)
		return -1;
	memcpy(line->frame, frame, len);
	line->len = len;
	q->bytes += len;
	q->put++;
	return 0;
}

uint64_t
line_queue_ninflight(const struct line_queue *q)
{
	return q->npassed + (q->sent - q->done);
}

const struct queued_line *
line_queue_next(const struct line_queue *q)
{
	return q->npassed > 0 || q->sent == q->put
		   ? NULL
		   : &q->lines[(q->sent + 1) % LINE_QUEUE_MAX];
}

void
line_queue_sent(struct line_queue *q)
{
	q->sent++;
}

bool
line_queue_answered(struct line_queue *q)
{
	if (q->npassed == 0)
		return true;
	q->npassed--;
	return false;
}

void
line_queue_published(struct line_queue *q)
{
	drop_oldest(q);
}

void
line_queue_refused(struct line_queue *q)
{
	q->npassed = q->sent - q->done - 1;
	q->sent = q->done;
}

void
line_queue_lost(struct line_queue *q)
{
	if (q->maybe < q->sent)
		q->maybe = q->sent;
	q->sent = q->done;
	q->npassed = 0;
}

uint64_t
line_queue_nmaybe(const struct line_queue *q)
{
	return q->maybe > q->done ? q->maybe - q->done : 0;
}

void
line_queue_drop_maybe(struct line_queue *q)
{
	while (q->done < q->maybe)
		drop_oldest(q);
}
