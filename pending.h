/* SPDX-License-Identifier: ISC */
/*
 * Plain messages that are not recorded yet, oldest first, and their numbers:
 * publish.lua records number n only behind n - 1, and n only once.  The oldest
 * of them are in flight, sent and not answered; Redis answers in their order.
 * Pure.
 */
#ifndef PENDING_H
#define PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

#define PENDING_BYTES_MAX (64 << 20)
#define INFLIGHT_MAX 512 /* messages in flight */
#define INFLIGHT_BYTES_MAX (1 << 20)

struct pending_message {
	struct pending_message *next;
	struct channel channel; /* its name lies behind the frame */
	size_t frame_len;
	char frame[];
};

/* All zero: none.  Others read it, pending.c writes. */
struct pending {
	struct pending_message *head, *tail; /* owned */
	struct pending_message *unsent;	     /* the oldest not in flight */
	size_t bytes;			     /* of all messages */
	uint64_t recorded; /* number of the last one recorded */
	size_t ninflight, inflight_bytes;
	size_t nabandoned; /* of those, the oldest: they are no longer here */
	bool must_rewind;  /* send again from the head, once all is answered */
	uint64_t ndropped; /* will never be recorded: since the start */
};

void pending_free(struct pending *p);

/* Take a message (copied).  Returns 0, or -1 past PENDING_BYTES_MAX or without
 * memory. */
int pending_put(struct pending *p, const char *channel, size_t channel_len,
    const char *frame, size_t frame_len);

/* The message to send next, and its number; NULL: none, or not before more of
 * those in flight are answered.  It stays the next until pending_sent. */
const struct pending_message *pending_next(const struct pending *p);
uint64_t pending_next_number(const struct pending *p);
void pending_sent(struct pending *p);

/*
 * The answer to the oldest message in flight has come.  Returns that message:
 * now one of the three that follow is to be called.  Or NULL: the answer does
 * not matter, since the message was dropped, or comes again behind another
 * that was not recorded.
 */
const struct pending_message *pending_answered(struct pending *p);
void pending_recorded(struct pending *p); /* it is in the history */
void pending_refused(struct pending *p);  /* it is to be sent again */
void pending_drop(struct pending *p);	  /* it is not to be sent again */

/*
 * No more answers come: the connection was lost.  Of the messages in flight
 * those up to number recorded are in the history; the others are to be sent
 * again.  recorded becomes the number of the last one recorded.
 */
void pending_settle(struct pending *p, uint64_t recorded);

/* Instead: drop those in flight, since nobody knows which were recorded, or
 * drop all; answers to those in flight may still come then.  Return how many
 * were dropped. */
size_t pending_drop_inflight(struct pending *p);
size_t pending_drop_all(struct pending *p);

#endif
