/* SPDX-License-Identifier: ISC */
/*
 * What the recorder hears: plain messages, which it puts into the queue as
 * frames, and what recorders say to each other, which it tells the lease.
 */
#ifndef RECORD_SUB_H
#define RECORD_SUB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "recorder/lease.h"
#include "recorder/record_pub.h"
#include "redis/redis_conn.h"

struct record_sub;

/* Borrows all three.  NULL without memory. */
struct record_sub *record_sub_new(
    const struct config *cfg, struct lease *lease, struct record_pub *pub);
void record_sub_free(struct record_sub *s);

/*
 * Subscribe on conn, which it then owns, as the recorder of that token.
 * Returns 0; or -1 with a sentence in error, and conn closed.
 */
int record_sub_open(struct record_sub *s, struct redis_conn *conn,
    const char *token, char *error, size_t error_size);

/* End the subscription, if there is one. */
void record_sub_close(struct record_sub *s);

/* To poll for POLLIN; -1: there is no subscription. */
int record_sub_fd(const struct record_sub *s);

/* Hear what has come, a bounded number of reads of it, without waiting.
 * Returns 0, or -1: the subscription is lost (record_sub_error). */
int record_sub_read(struct record_sub *s);

/* Have Redis answer on the subscription.  Returns as record_sub_read. */
int record_sub_ping(struct record_sub *s);

/* Let streams see whether this recorder passes messages on live; when they can,
 * lease.shows_relay is set.  Returns as record_sub_read. */
int record_sub_show_relay(struct record_sub *s, bool is_relaying);

const char *record_sub_error(const struct record_sub *s);

#endif
