/* SPDX-License-Identifier: ISC */
/*
 * Responders that serve one connection after another: one that has answered, or
 * has given its stream to a carrier, waits in its place, and the parent sends
 * it what it accepts.  That saves a process for each stream that is opened.
 * Runs in the parent.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "parent/accepted.h"
#include "parent/children.h"
#include "parent/place.h"

#define POOL_PLACES 64
#define POOL_RUSH 8	 /* so many that serve ... */
#define POOL_SOON_MS 100 /* ... for less than this will soon wait again */

struct pool_member {
	pid_t pid;		  /* 0: the place is free */
	int fd;			  /* connections are sent there */
	enum admission admission; /* of the last one, */
	int64_t since_ms;	  /* which it has since then */
};

/* All zero is a pool without places. */
struct pool {
	_Atomic uint32_t *states; /* enum place_state of each; shared */
	struct pool_member members[POOL_PLACES];
	int64_t forked_ms; /* the last one */
};

/* Make the places; without memory for them there are none. */
void pool_open(struct pool *p);

/* Send a connection to a responder that waits; the caller still closes a->fd.
 * Returns false if none waits. */
bool pool_send(struct pool *p, const struct accepted *a, int64_t now_ms);

/*
 * Many come at once: nobody waits, but several will in a moment.  Until then one
 * is forked each millisecond: with as many processes as there are connections,
 * 1,000 at once were served half as fast, and Redis refused some of them.
 */
bool pool_is_rushed(const struct pool *p, int64_t now_ms);

/* Fork a responder, as children_fork: a CHILD_POOLED if a place is free.  In the
 * child *place is its own, if only one where nothing comes. */
pid_t pool_fork(struct pool *p, struct children *ch, enum admission admission,
    struct place *place, int64_t now_ms);

/* A CHILD_POOLED was reaped. */
void pool_ended(struct pool *p, pid_t pid);

/* How many of its responders serve a connection of that admission? */
size_t pool_count(const struct pool *p, enum admission admission);

/* In a new child: the parent's ends are not its own. */
void pool_close(struct pool *p);

#endif
