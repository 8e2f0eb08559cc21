/* SPDX-License-Identifier: ISC */
/*
 * What lua/snapshot.lua returns, as a take and its records.  Pure: it reads
 * hiredis' replies and sees no connection.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/record.h"
#include "redis/take.h"

struct redisReply;

/* Has r the form of what the script returns?  The others need that. */
bool snapshot_is_valid(const struct redisReply *r);

/* Fill *t, found[] with what there is of each of n channels, and grants[]
 * likewise of ngrants; t borrows from r, found and grants.  is_not_atomic is
 * the caller's to set. */
void snapshot_read(const struct redisReply *r, struct taken_channel *found,
    size_t n, struct taken_grant *grants, size_t ngrants, struct take *t);

/* Record i of it, which is one of channel *channel of n; rec borrows from r.
 * Returns 0, or -1 if it is none (somebody wrote to the list by hand). */
int snapshot_record(const struct redisReply *r, size_t i, size_t n,
    size_t *channel, struct record *rec);

#endif
