/* SPDX-License-Identifier: ISC */
/*
 * Thousands of EventSource streams, and what they check: that each event of each
 * publisher comes once and in order, and that ids grow.
 *
 * A stream that the server ends comes back after its retry time with its last
 * id, as a browser does.
 */
#ifndef BENCH_STREAMS_H
#define BENCH_STREAMS_H

#include "bench/samples.h"

#include <stdbool.h>
#include <stdint.h>

/* What was counted since streams_begin_step. */
struct stream_counts {
	uint64_t deliveries; /* events of this step */
	uint64_t body_bytes;
	uint64_t lost;	     /* missing, and not come late */
	uint64_t doubled;    /* again, or of an earlier step */
	uint64_t swapped;    /* come after a later one */
	uint64_t short_data; /* data that is not as long as it was */
	uint64_t ids_back;   /* an id that is not above the one before it */
	uint64_t resets;     /* events named stream-reset */
	uint64_t comments;   /* heartbeats, mostly */
	uint64_t ended;	     /* streams that the server ended; they come back */
	uint64_t refused;    /* answers that are not a stream */
};

extern struct stream_counts stream_counts;

/* From publishing to receiving, of each delivery. */
extern struct samples delivery_times;
/* From connect to the first byte of an answer, of each stream opened. */
extern struct samples first_byte_times;
/* From streams_come_back to the last event, of each stream. */
extern struct samples catch_up_times;

/* Room for so many; all memory is touched here, so that none is later. */
void streams_init(const char *url, unsigned streams_max, unsigned npublishers);

/* How many are wanted open, from the first on, and how many of them at a time
 * may be on their way.  Those above are closed. */
void streams_want(unsigned n, unsigned opening_max);
unsigned streams_wanted(void);
/* How many have their answer's head. */
unsigned streams_open(void);

/* Open those that are due; call it before each turn().
 * Returns when it must be called again at the latest, in ns. */
int64_t streams_pump(int64_t now);

/*
 * A step begins: the counts are 0, each publisher's events count from 1, and at
 * most `room` of them are on their way.  With is_sync nothing is expected: see
 * streams_synced.
 */
void streams_begin_step(
    uint32_t step, uint64_t room, bool is_sync, uint64_t bytes);
/* May this publisher send one more?  (Fewer than room on their way.) */
bool streams_have_room(unsigned publisher);
/* The next event's number; it counts as on its way to all wanted streams. */
uint32_t streams_next_seq(unsigned publisher);
/* How many events some stream has not got. */
uint64_t streams_outstanding(void);
/* Has each stream all? */
bool streams_have_all(void);
/* How many streams have got the newest event of a step with is_sync? */
unsigned streams_synced(void);
/* At the end of a step: what has not come is lost. */
void streams_count_missing(void);

/* Cut all, as a server that dies would; they stay away. */
void streams_cut(void);
/* All at once come back, each with its last id. */
void streams_come_back(void);

#endif
