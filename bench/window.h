/* SPDX-License-Identifier: ISC */
/*
 * Events on their way: which each stream has got, and which not all have.
 */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* What one stream has got of one publisher. */
struct seen {
	uint32_t next; /* above the highest number that came */
	uint64_t late; /* bit N: next - 1 - N has not come */
};

enum arrival { ARRIVED_IN_ORDER, ARRIVED_LATE, ARRIVED_AGAIN };

/*
 * All is 0: so many publishers and streams; at most `room` events of all
 * publishers together may be on their way.  What is skipped is added to *lost.
 */
void window_begin(
    unsigned npublishers, unsigned nstreams, uint64_t room, uint64_t *lost);

bool window_has_room(unsigned publisher);
/* -> the number of the event that is now on its way */
uint32_t window_publish(unsigned publisher);
/* the number of the last one */
uint32_t window_published(unsigned publisher);
uint64_t window_outstanding(unsigned publisher);
bool window_is_empty(void);

/* A stream got number seq of a publisher. */
enum arrival window_arrived(
    struct seen *seen, unsigned publisher, uint32_t seq);

#endif
