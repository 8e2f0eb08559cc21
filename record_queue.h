/* SPDX-License-Identifier: ISC */
/*
 * Plain messages on their way into the history.  Owns the publishing
 * connection, and asks on it for the lease.
 */
#ifndef RECORD_QUEUE_H
#define RECORD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "lease.h"

struct record_queue;

/* Borrows cfg and the lease.  NULL without memory. */
struct record_queue *record_queue_new(
    const struct config *cfg, struct lease *lease);
void record_queue_free(struct record_queue *q);

/*
 * Connect, write the limits that the command line gave, release the lease of
 * dead_token ("" for none), and ask for it.  Returns 0, or -1 with a sentence
 * in error.
 */
int record_queue_open(struct record_queue *q, const char *dead_token,
    char *error, size_t error_size);

/* Take a message (copied) that was heard while the lease was active.  One too
 * many is dropped, counted and logged. */
void record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len);

/* Drop all messages, counted and logged; why: a sentence part. */
void record_queue_drop(struct record_queue *q, const char *why);

/* To poll for POLLIN (-1: none), and until when at most (clock_now_ms). */
int record_queue_fd(const struct record_queue *q);
int64_t record_queue_due_ms(const struct record_queue *q);

/* Do what is due: read answers (if is_readable), renew, reconnect, send. */
void record_queue_work(struct record_queue *q, bool is_readable);

/* Nobody may put any more: send what is there, until deadline_ms at most, and
 * give the lease back. */
void record_queue_finish(struct record_queue *q, int64_t deadline_ms);

/* When Redis last answered on the publishing connection; 0: never. */
int64_t record_queue_answered_ms(const struct record_queue *q);

#endif
