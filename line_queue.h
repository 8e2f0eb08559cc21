/* SPDX-License-Identifier: ISC */
/*
 * Events of --lines that are not known to be published, oldest first, and
 * their numbers (publish.h).  The oldest of them are in flight, sent and not
 * answered; Redis answers in their order.  Pure.
 */
#ifndef LINE_QUEUE_H
#define LINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_QUEUE_MAX 512 /* as many as publish.lua knows of a key */
#define LINE_QUEUE_BYTES_MAX (1 << 20) /* passed by one event at most */

struct queued_line {
	char *frame; /* owned */
	size_t len;
};

/* All zero: none.  Others read it, line_queue.c writes. */
struct line_queue {
	/* number n in place n % LINE_QUEUE_MAX */
	struct queued_line lines[LINE_QUEUE_MAX];
	size_t bytes; /* of all frames */
	/* the last number that was put, is in flight or before, and is done */
	uint64_t put, sent, done;
	uint64_t maybe;	  /* up to here they were sent on a lost connection, and
			 * may be published */
	uint64_t npassed; /* answers that still come, and do not matter */
};

void line_queue_free(struct line_queue *q);

/* Is there no room for another event? */
bool line_queue_is_full(const struct line_queue *q);

/* Take an event (copied).  Returns 0, or -1 without memory. */
int line_queue_put(struct line_queue *q, const char *frame, size_t len);

/* How many are in flight, counted by the answers that are to come. */
uint64_t line_queue_ninflight(const struct line_queue *q);

/* The event to send next, its number q->sent + 1; NULL: none, or not before
 * more is answered.  It stays the next until line_queue_sent. */
const struct queued_line *line_queue_next(const struct line_queue *q);
void line_queue_sent(struct line_queue *q);

/* An answer has come: does it matter?  Then it is the oldest event's, and one
 * of the two that follow is to be called. */
bool line_queue_answered(struct line_queue *q);
void line_queue_published(struct line_queue *q);
void line_queue_refused(struct line_queue *q); /* so were those after it; they
						* are all to be sent again */

/* No more answers come: the connection is gone. */
void line_queue_lost(struct line_queue *q);

/* How many may be published, or not; and forget them, they are the oldest. */
uint64_t line_queue_nmaybe(const struct line_queue *q);
void line_queue_drop_maybe(struct line_queue *q);

#endif
