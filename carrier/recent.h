/* SPDX-License-Identifier: ISC */
/*
 * The records that a carrier has passed on just now: a stream that moves in gets
 * from here what came after its position.  Pure.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "redis/record.h"

/* So many bytes are kept at most; a record that is larger is not. */
#define RECENT_LEN_MAX ((size_t)4 << 20)

/* Others do not look into it. */
struct recent {
	struct buf bytes;
	size_t begin;	/* of the oldest one in bytes */
	uint64_t floor; /* all with greater ids are here */
};

/* floor: the newest id so far. */
void recent_init(struct recent *r, uint64_t floor);
void recent_free(struct recent *r);

/* Forget all, and begin anew. */
void recent_reset(struct recent *r, uint64_t floor);

/* One more record, of the channel with that number. */
void recent_put(struct recent *r, size_t channel, const struct record *rec);

/* Forget the oldest ones until at most len bytes are kept. */
void recent_trim(struct recent *r, size_t len);

/* Channel i is numbers[i] from now on. */
void recent_renumber(struct recent *r, const uint32_t *numbers);

/* All that were put and have greater ids than this are here. */
uint64_t recent_floor(const struct recent *r);

struct recent_record {
	size_t channel;
	uint64_t id, prev;
	const char *frame; /* borrowed until something is put or forgotten */
	size_t frame_len;
};

/* In the order in which they were put; *at is 0 at first; false: no more. */
bool recent_next(const struct recent *r, size_t *at, struct recent_record *rec);

#endif
