/* SPDX-License-Identifier: ISC */
/*
 * The recorder's publishing connection: plain messages go from the queue into
 * the history, and the lease is asked for.  While Redis takes no writes (a full
 * disk, a replica, no memory, a right taken away), PUBLISH mostly still works:
 * then messages are passed on to open streams live, with a number, and recorded
 * when that is possible again.  The pair of record_sub.
 */
#ifndef RECORD_PUB_H
#define RECORD_PUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "recorder/lease.h"

struct record_pub;

/* Borrows cfg and the lease.  NULL without memory. */
struct record_pub *record_pub_new(
    const struct config *cfg, struct lease *lease);
void record_pub_free(struct record_pub *p);

/* Connect, and ask for the lease.  Returns 0, or -1 with a sentence in
 * error. */
int record_pub_open(struct record_pub *p, char *error, size_t error_size);

/* Take a message (copied) that was heard while the lease was active.  One too
 * many is dropped, counted and logged. */
void record_pub_put(struct record_pub *p, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len);

/* The lease was gone for a moment (LEASE_BEGINS_ANEW): streams may have heard
 * for themselves what is not recorded yet, so it is dropped, counted and
 * logged, but for what they got from here. */
void record_pub_begin_anew(struct record_pub *p);

/* Nobody hears messages for us just now: others shall. */
void record_pub_release(struct record_pub *p);

/* To poll for POLLIN (-1: none), and until when at most (clock_now_ms). */
int record_pub_fd(const struct record_pub *p);
int64_t record_pub_due_ms(const struct record_pub *p);

/* Do what is due: read answers (if is_readable), renew, reconnect, send. */
void record_pub_work(struct record_pub *p, bool is_readable);

/* Nobody may put any more: send what is there, until deadline_ms at most, and
 * give the lease back. */
void record_pub_finish(struct record_pub *p, int64_t deadline_ms);

/* Does it pass messages on live, instead of recording them?  Only when streams
 * can see that (lease.shows_relay). */
bool record_pub_is_relaying(const struct record_pub *p);

/* When Redis last answered on the publishing connection; 0: never. */
int64_t record_pub_answered_ms(const struct record_pub *p);

#endif
