/* SPDX-License-Identifier: ISC */
#include "bench/window.h"

#include "bench/load.h"

#include <stdlib.h>

static struct {
	uint32_t published; /* the number of the last one */
	uint32_t oldest;    /* the first that not all have got */
	uint32_t *lacking;  /* by number modulo room: how many lack it */
} sent[PUBLISHERS_MAX];

static unsigned npublishers, nstreams;
static uint32_t room;
static uint64_t *lost;

void
window_begin(unsigned publishers, unsigned streams, uint64_t all_room,
    uint64_t *lost_count)
{
	npublishers = publishers;
	nstreams = streams;
	lost = lost_count;
	room = (uint32_t)(all_room / publishers);
	if (room == 0)
		room = 1;
	for (unsigned p = 0; p < publishers; p++) {
		free(sent[p].lacking);
		sent[p].lacking = calloc(room, sizeof(*sent[p].lacking));
		if (!sent[p].lacking)
			die("out of memory");
		sent[p].published = 0;
		sent[p].oldest = 1;
	}
}

uint64_t
window_outstanding(unsigned p)
{
	return sent[p].published + 1 - sent[p].oldest;
}

bool
window_has_room(unsigned p)
{
	return window_outstanding(p) < room;
}

uint32_t
window_publish(unsigned p)
{
	if (!window_has_room(p))
		die("more events on their way than there is room for");
	sent[p].published++;
	sent[p].lacking[sent[p].published % room] = nstreams;
	if (nstreams == 0)
		sent[p].oldest++;
	return sent[p].published;
}

uint32_t
window_published(unsigned p)
{
	return sent[p].published;
}

bool
window_is_empty(void)
{
	for (unsigned p = 0; p < npublishers; p++)
		if (sent[p].oldest <= sent[p].published)
			return false;
	return true;
}

static void
settle(unsigned p, uint32_t seq)
{
	if (seq < sent[p].oldest || seq > sent[p].published)
		die("an event that nobody has published");
	sent[p].lacking[seq % room]--;
	while (sent[p].oldest <= sent[p].published &&
	       sent[p].lacking[sent[p].oldest % room] == 0)
		sent[p].oldest++;
}

enum arrival
window_arrived(struct seen *seen, unsigned p, uint32_t seq)
{
	uint32_t back;

	if (seq >= seen->next) {
		/* what is skipped does not hold the publisher up */
		for (; seen->next < seq; seen->next++) {
			seen->late = seen->late << 1 | 1;
			(*lost)++;
			settle(p, seen->next);
		}
		seen->late <<= 1;
		seen->next++;
		settle(p, seq);
		return ARRIVED_IN_ORDER;
	}
	back = seen->next - 1 - seq;
	if (back < 64 && (seen->late >> back & 1)) {
		seen->late &= ~(1ULL << back);
		return ARRIVED_LATE;
	}
	return ARRIVED_AGAIN;
}
