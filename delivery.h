/* SPDX-License-Identifier: ISC */
/*
 * What one stream is sent of takes, records and plain messages: where it
 * begins, what is gone, each record once and in order, and the position after
 * it.  When it takes is follow.h's.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include <stdbool.h>

#include "base/config.h"
#include "base/cursor.h"
#include "plain.h"
#include "progress.h"
#include "redis/channel.h"
#include "redis/record.h"
#include "redis/take.h"
#include "redis_sub.h"
#include "sink.h"

struct delivery {
	/* others read these */
	bool is_started;   /* the first take was sent: the stream has begun */
	struct take taken; /* the last one, as redis_sub_read_take fills it */
	struct progress progress;
	struct plain plain;
	/* the rest is delivery.c's */
	const struct config *cfg;	    /* borrowed, as are the next two */
	const struct channel_set *channels; /* of the stream */
	struct sink *out;
	struct cursor cursor; /* what the client asked for */
	bool *is_affected;    /* by a reset: one for each channel */
	bool owes_position;   /* once all is taken, the clock */
};

void delivery_init(struct delivery *d, const struct config *cfg,
    struct sink *out, const struct cursor *cursor);
void delivery_free(struct delivery *d);

/* The stream's channels are these now (borrowed): it goes on in them after the
 * id that the client remembers, or, if it has not begun, from its cursor.
 * Returns 0, or -1 without memory. */
int delivery_set(struct delivery *d, const struct channel_set *channels,
    uint64_t remembered);

/* The set has more members at its end; what was before does not matter.
 * Returns as delivery_set. */
int delivery_add(struct delivery *d);

/* Of its members only those remain whose is_kept[i] is true. */
void delivery_keep(struct delivery *d, const bool *is_kept);

/* Where to take from: the first take goes by the client's cursor. */
struct cursor delivery_start(const struct delivery *d);

/* A record of a channel, which is then its position.  As all that follows it
 * returns CLIENT_GONE when nobody reads any more. */
enum client_result delivery_put_record(
    struct delivery *d, size_t channel, const struct record *rec);

/* A plain message that no recorder records: live, without an id. */
enum client_result delivery_put_plain(
    struct delivery *d, const struct sub_message *m);

/* One from the recorder, which cannot record it yet.  *is_held: if that is
 * true, which a take is to show. */
enum client_result delivery_put_relay(
    struct delivery *d, const struct sub_message *m, bool *is_held);

/* d->taken shows who records, and how: what was held until that was known is
 * passed on, or will come as records. */
enum client_result delivery_put_held(struct delivery *d);

/*
 * What d->taken found: in the first one, where the stream begins; what is gone;
 * and the records.  Then the positions are exact, or, if d->taken.has_more,
 * where this batch ended.  is_oversized: its one record has no frame, since
 * Redis cannot send it; the client is told.
 */
enum client_result delivery_put_taken(
    struct delivery *d, struct redis_sub *sub, bool is_oversized);

/* All is taken: the position, if it is owed. */
enum client_result delivery_put_position(struct delivery *d);

#endif
