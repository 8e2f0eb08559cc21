/* SPDX-License-Identifier: ISC */
/*
 * How far a stream has come: in each of its channels, and in the store; and
 * whether the store went back to before that.  Pure; the caller says what time
 * it is.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redis/record.h"
#include "redis/take.h"
#include "resume.h"

struct progress {
	struct position *positions; /* owned: one for each of n channels */
	size_t n;
	uint64_t floor;	     /* records at or below are not the client's */
	uint64_t seen_clock; /* the newest id that this store has shown */
	uint64_t seen_epoch; /* its first id, at the last take */
	/* the rest is progress.c's */
	bool went_back; /* a record showed that the store did */
	int64_t lag_ms;
	int64_t lag_until_ms; /* a replica may be behind until then; 0: not */
};

/* For n channels; lag_ms: how long a replica may be behind what the stream has
 * seen.  Returns 0, or -1 without memory; progress_free either way. */
int progress_init(struct progress *p, size_t n, int64_t lag_ms);
void progress_free(struct progress *p);

/* There are n channels now: more at the end, of which nothing matters that was
 * before (0, or -1 without memory); or only those that are kept, in their
 * order. */
int progress_add(struct progress *p, size_t n);
void progress_keep(struct progress *p, const bool *is_kept);

/* All positions are this id, whatever the channel's last one is. */
void progress_set(struct progress *p, uint64_t id);

/* Begin as resume_decide says, with the take that it decided from. */
void progress_begin(struct progress *p, const struct resume *r,
    const struct take *t, int64_t now_ms);

/* The store has shown this id, somebody says who is to be believed. */
void progress_see(struct progress *p, uint64_t id);

/* --- records ------------------------------------------------------------ */

/* Does this record follow on its channel's position, which is exact? */
bool progress_is_next(
    const struct progress *p, size_t channel, const struct record *rec);

/* This record is the channel's position now.  Returns whether it is for the
 * client: after the floor. */
bool progress_reach(
    struct progress *p, size_t channel, const struct record *rec);

/* A live record that is not the next one, or one that a take found: what it
 * shows counts in progress_went_back. */
void progress_note_live(
    struct progress *p, size_t channel, const struct record *rec);
void progress_note_taken(
    struct progress *p, size_t channel, const struct record *rec);

/* --- takes -------------------------------------------------------------- */

/* Is something gone after the position in this channel; in any? */
bool progress_is_trimmed(
    const struct progress *p, const struct take *t, size_t channel);
bool progress_any_trimmed(const struct progress *p, const struct take *t);

/* Did the store go back to before what this stream has seen of it?  A replica
 * may lag for a while.  To be asked once of each take, its records noted. */
bool progress_went_back(
    struct progress *p, const struct take *t, int64_t now_ms);

/* It did: nothing that was seen of it counts any more. */
void progress_forget(struct progress *p, const struct take *t);

/* The records of the take are sent, up to the id reached (0: there were none):
 * the positions are exact, or, if more is to come, where this batch ended. */
void progress_reach_take(
    struct progress *p, const struct take *t, uint64_t reached);

#endif
