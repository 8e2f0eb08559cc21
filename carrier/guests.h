/* SPDX-License-Identifier: ISC */
/* Streams on their way into a carrier: the carrier's half of offer.h. */
#ifndef GUESTS_H
#define GUESTS_H

#include <stdint.h>

#include "carrier/carried.h"
#include "carrier/fan.h"
#include "follow.h"

struct guests {
	struct fan *fan;	   /* borrowed, as is the next */
	struct follower *follower; /* into the fan */
	uint64_t pings;		   /* the last one that was sent */
	bool is_broken; /* there was no memory to follow what came in: nothing
			 * can go on */
};

/* Needs no end. */
void guests_init(struct guests *g, struct fan *f, struct follower *follower);

/* Can one be taken in just now?  All that is followed is heard, and nothing
 * waits for a take. */
bool guests_are_welcome(const struct guests *g);

/* Something is at the door, and they are welcome: take one in.  Returns 0; 1 if
 * there was none; or -1 if none will come any more. */
int guests_take_in(struct guests *g, int door_fd, int64_t now_ms);

/* The guest's responder has something to say.  Returns whether the stream has
 * moved in: its descriptor is to be registered. */
bool guests_hear(struct guests *g, struct carried *c);

/* After each turn: tell those who are ready, give up those who are late.  Returns
 * whether one of these has moved in after all. */
bool guests_work(struct guests *g, int64_t now_ms);

/* The follower has taken all, since the last call it had not. */
void guests_taken(struct guests *g);

#endif
