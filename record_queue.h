/* SPDX-License-Identifier: ISC */
/*
 * Plain messages on their way into the history, under the one lease that
 * makes a recorder the active one.  Owns the publishing connection; what the
 * subscription hears is told to it in the order in which it was heard.  That
 * order decides: a message is this recorder's if it was heard behind this
 * recorder's own announcement and before another's.
 */
#ifndef RECORD_QUEUE_H
#define RECORD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define LEASE_MS 2000	   /* how long the lease lasts in Redis */
#define LEASE_RENEW_MS 500 /* how often it is renewed, or asked for */
#define LEASE_SILENCE_MS                                                       \
	3000 /* without a sound of its holder: taken by force */
#define QUEUE_BYTES_MAX (64 << 20)

struct record_queue;

/* Borrows cfg and token.  NULL without memory. */
struct record_queue *record_queue_new(
    const struct config *cfg, const char *token);
void record_queue_free(struct record_queue *q);

/*
 * Connect, write the limits that the command line gave, release the lease of
 * dead_token ("" for none), and ask for it.  Returns 0, or -1 with
 * record_queue_error.
 */
int record_queue_open(struct record_queue *q, const char *dead_token);

/* What the subscription heard: a recorder's announcement ("up" with the number
 * of its attempt, or "down"), a sign of life of the holder. */
void record_queue_heard_up(struct record_queue *q, uint64_t attempt,
    const char *token, size_t token_len);
void record_queue_heard_down(struct record_queue *q);
void record_queue_heard_alive(struct record_queue *q);

/* Are messages that are heard now this recorder's? */
bool record_queue_is_active(const struct record_queue *q);

/* Take a message (copied).  One too many is dropped, counted and logged. */
void record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len);

/* To poll for POLLIN (-1: none), and until when at most (clock_now_ms). */
int record_queue_fd(const struct record_queue *q);
int64_t record_queue_due_ms(const struct record_queue *q);

/* Do what is due: read answers (if is_readable), renew, reconnect, send. */
void record_queue_work(struct record_queue *q, bool is_readable);

/* Nobody may put any more: send what is there, until deadline_ms at most, and
 * give the lease back. */
void record_queue_finish(struct record_queue *q, int64_t deadline_ms);

/* Has Redis said who holds the lease? */
bool record_queue_is_ready(const struct record_queue *q);

/* When Redis last answered on the publishing connection; 0: never. */
int64_t record_queue_answered_ms(const struct record_queue *q);

const char *record_queue_error(const struct record_queue *q);

#endif
