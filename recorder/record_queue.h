/* SPDX-License-Identifier: ISC */
/*
 * Plain messages that are not recorded yet, oldest first, and their numbers:
 * publish.lua records number n only after n - 1, and n only once.  The oldest
 * of them are in flight, sent and not answered; Redis answers in their order.
 * Pure.
 */
#ifndef RECORD_QUEUE_H
#define RECORD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redis/channel.h"

#define QUEUE_BYTES_MAX (64 << 20)
#define INFLIGHT_MAX 512 /* messages in flight */
#define INFLIGHT_BYTES_MAX (1 << 20)

/* The messages of one channel, in the queue and before: counted. */
struct waiting {
	uint64_t nput, ngone;
	char name[CHANNEL_LEN_MAX + 1];
};

struct queued_message {
	struct queued_message *next;
	struct waiting *waiting; /* of its channel; the queue's */
	uint64_t number;	 /* among those */
	bool is_relayed;	 /* passed on live before it is recorded */
	struct channel channel;	 /* its name lies after the frame */
	size_t frame_len;
	char frame[];
};

/* All zero: none.  Others read it, record_queue.c writes. */
struct record_queue {
	struct queued_message *head, *tail; /* owned */
	struct queued_message *unsent;	    /* the oldest not in flight */
	struct queued_message *unrelayed;   /* the oldest not passed on live */
	struct queued_message *relaying;    /* that one, when it was sent to
					     * streams; or NULL */
	void *waiting;	   /* owned: a tree by name (tsearch(3)) */
	size_t bytes;	   /* of all messages */
	uint64_t recorded; /* number of the last one recorded */
	size_t ninflight, inflight_bytes;
	size_t nabandoned; /* of those, the oldest: they are no longer here */
	bool must_rewind;  /* send again from the head, once all is answered */
	uint64_t ndropped; /* will never be recorded: since the start */
};

void record_queue_free(struct record_queue *q);

/* Take a message (copied).  Returns 0, or -1 past QUEUE_BYTES_MAX or without
 * memory. */
int record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len);

/* The message to send next, and its number; NULL: none, or not before more of
 * those in flight are answered.  It stays the next until record_queue_sent. */
const struct queued_message *record_queue_next(const struct record_queue *q);
uint64_t record_queue_next_number(const struct record_queue *q);
void record_queue_sent(struct record_queue *q);

/*
 * The answer to the oldest message in flight has come.  Returns that message:
 * now one of the three that follow is to be called.  Or NULL: the answer does
 * not matter, since the message was dropped, or comes again after another
 * that was not recorded.
 */
const struct queued_message *record_queue_answered(struct record_queue *q);
void record_queue_recorded(struct record_queue *q); /* it is in the history */
void record_queue_refused(struct record_queue *q);  /* it is to be sent again */
void record_queue_drop(struct record_queue *q); /* it is not to be sent again */

/*
 * No more answers come: the connection was lost.  Of the messages in flight
 * those up to number recorded are in the history; the others are to be sent
 * again.  recorded becomes the number of the last one recorded.
 */
void record_queue_settle(struct record_queue *q, uint64_t recorded);

/*
 * While none can be recorded, and none is in flight: the oldest that is not
 * passed on live; NULL: there is none.  Once it is sent (record_queue_relaying)
 * streams may have it, until the answer says whether they do: then one of the
 * two that follow is to be called.  If it was dropped meanwhile they do nothing.
 * If no answer comes, it is the next again.
 */
const struct queued_message *record_queue_to_relay(
    const struct record_queue *q);
void record_queue_relaying(struct record_queue *q);
void record_queue_relayed(struct record_queue *q);
void record_queue_relay_refused(struct record_queue *q);

/* Which of those of its channel that are not recorded yet is it?  From 1. */
uint64_t record_queue_place(const struct queued_message *m);

/* Drop those that were passed on live, if none is in flight, and streams have
 * no other: there is no room.  Returns how many. */
size_t record_queue_drop_relayed(struct record_queue *q);

/* Drop those that streams cannot have, or all if some are in flight.  Returns
 * how many. */
size_t record_queue_drop_unrelayed(struct record_queue *q);

/* Instead: drop those in flight, since nobody knows which were recorded, or
 * drop all; answers to those in flight may still come then.  Return how many
 * were dropped. */
size_t record_queue_drop_inflight(struct record_queue *q);
size_t record_queue_drop_all(struct record_queue *q);

#endif
