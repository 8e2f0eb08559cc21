/* SPDX-License-Identifier: ISC */
/*
 * Does Redis record?  While it takes no writes messages are passed on to open
 * streams live, with their places in the queue (redis/record.h); and the streams
 * are told when some of those will not be recorded.  A part of record_pub, on
 * whose connection it speaks.  The caller says what time it is (clock_now_ms).
 */
#ifndef RECORD_RELAY_H
#define RECORD_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "recorder/expected.h"
#include "recorder/lease.h"
#include "recorder/record_queue.h"
#include "redis/redis_conn.h"

/* Others read it, record_relay.c writes. */
struct record_relay {
	const char *prefix; /* borrowed, as are the next two */
	const struct lease *lease;
	struct record_queue *queue;
	uint64_t base;		 /* what is recorded has ids up to this */
	bool is_on;		 /* Redis does not record */
	bool is_announced;	 /* to the streams: messages are passed on */
	bool is_due;		 /* the answer about the one on its way */
	bool owes_forget;	 /* the streams are to be told to */
	size_t nforgets_due;	 /* answers to that */
	int64_t due_ms;		 /* nothing is passed on before, */
	int64_t retry_ms;	 /* and nothing recorded before */
	struct trouble refusing; /* it does not record just now; */
	struct trouble dropping; /* messages that it never will, such as */
	char dropped[CHANNEL_LEN_MAX + 1]; /* this channel's */
};

void record_relay_init(struct record_relay *r, const char *prefix,
    const struct lease *lease, struct record_queue *queue);

/* Redis does not say whose the lease is: nothing can be recorded. */
void record_relay_begin(struct record_relay *r);

/* What is recorded so far has ids up to this one. */
void record_relay_note_id(struct record_relay *r, uint64_t id);

/* May the next message be sent, to be recorded?  While Redis does not record
 * the oldest one shows from time to time whether it does again. */
bool record_relay_may_record(const struct record_relay *r, int64_t now_ms);

/* What was passed on will not be recorded: the rest of it is dropped, too, if
 * none is in flight, which is logged; and the streams are not to wait for
 * it. */
void record_relay_forget(struct record_relay *r);

/*
 * The answer about the oldest message in flight: it was recorded; or not, which
 * is logged, and it is sent again if that will pass, else dropped.  Returns
 * false if Redis says that the lease is another's.
 */
bool record_relay_read_recorded(
    struct record_relay *r, const struct answer *a, int64_t now_ms);

/* Put into conn's buffer what the streams are to be told before anything is
 * recorded (where the queue is half full, what was passed on is dropped), and
 * note it in expected. */
void record_relay_append_forget(struct record_relay *r, struct redis_conn *conn,
    struct expected_answers *expected);

/* Likewise: the next message that is to be passed on, if one is due and streams
 * can see that it is from the recorder (lease.shows_relay); they are told to
 * look, and get a moment for it. */
void record_relay_append(struct record_relay *r, struct redis_conn *conn,
    struct expected_answers *expected, int64_t now_ms);

/* The answers to these two. */
void record_relay_read_forgotten(struct record_relay *r);
void record_relay_read_relayed(
    struct record_relay *r, const struct answer *a, int64_t now_ms);

/* The connection is gone, and with it the answers. */
void record_relay_disconnected(struct record_relay *r);

/* When there is something to pass on; INT64_MAX: nothing, or it waits for an
 * answer. */
int64_t record_relay_due_ms(const struct record_relay *r);

#endif
