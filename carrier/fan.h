/* SPDX-License-Identifier: ISC */
/*
 * All the streams of a carrier, and what they hear: the sink of its one
 * follower, which follows the channels of all.  A record is for a stream if it
 * is of one of its channels and newer than its floor; once in each channel's
 * order is the follower's business.
 */
#ifndef FAN_H
#define FAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "carrier/carried.h"
#include "carrier/recent.h"
#include "redis/channel.h"
#include "sink.h"

/* Who hears a channel. */
struct audience {
	struct {
		struct carried *stream;
		uint32_t which; /* of its channels this is */
	} * members;		/* owned */
	size_t n, size;
	uint64_t covered; /* all its records after this id were heard, or will
			   * be; UINT64_MAX: those that are published from when
			   * it is heard on */
	uint64_t hole;	  /* some at or below this id cannot be had */
	uint64_t ping;	  /* it is heard once that one is answered; 0: it is */
};

struct fan {
	struct sink sink; /* first: the follower's (fan_sink.h) */
	struct channel_set channels, keys;
	struct audience *audiences; /* owned: one for each of channels */
	size_t audiences_size;
	struct carried **streams; /* owned: n, guests among them */
	size_t n, size;
	struct buf batch; /* what is the same for several, in this turn */
	struct recent recent;
	struct carried *unwritten; /* those who have something to be written */
	size_t nguests;
	bool needs_take;    /* a session spoke that the last one did not ask */
	struct buf scratch; /* blocks are built here */
	size_t waiting_len; /* of what waits for clients, all together, */
	size_t nblocked;    /* and for how many */
	bool has_gone;	    /* some are CARRIED_GONE: fan_sweep */
	int epoll_fd;	    /* borrowed: theirs are looked at there */
};

/* epoll_fd: where the streams' descriptors are registered, with the stream as
 * data; may be -1. */
void fan_init(struct fan *f, int epoll_fd);
void fan_free(struct fan *f);

/* Take a guest in.  Its channels and its session's key are added to the sets, if
 * they are new; the answer to ping says that those are heard.  Returns 0, or -1
 * without memory: then some may have been added. */
int fan_add(
    struct fan *f, struct carried *c, const struct offer *o, uint64_t ping);

/* Look at its descriptor, and at it no more.  (To close it is not enough: its
 * responder may have it open, too.) */
void fan_watch(struct fan *f, struct carried *c);
void fan_unwatch(struct fan *f, struct carried *c);

/* The PING that is answered when all its channels are heard; 0: they are. */
uint64_t fan_awaited_ping(const struct fan *f, const struct carried *c);

/* All pings up to this one are answered. */
void fan_pinged(struct fan *f, uint64_t ping);

/* Of its channels all records after this id were, or will be, heard here, and
 * those that were are in recent.  UINT64_MAX: only if they were published from
 * now on. */
uint64_t fan_covered(const struct fan *f, const struct carried *c);

/* Its responder has heard all records at or below c->heard: have we all others? */
bool fan_can_catch_up(const struct fan *f, const struct carried *c);

/* Nobody reads it any more, or its end was written. */
void fan_gone(struct fan *f, struct carried *c);

/* Free those who are gone.  Their channels stay until fan_forget_unused. */
void fan_sweep(struct fan *f);

/* Are more than a few of the channels and keys nobody's any more? */
bool fan_has_unused(const struct fan *f);

/* Those are forgotten.  Returns which of the channels are kept, for follow_keep
 * and then free(): one for each that there was; or NULL without memory, and
 * nothing is. */
bool *fan_forget_unused(struct fan *f);

#endif
