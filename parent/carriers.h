/* SPDX-License-Identifier: ISC */
/*
 * The carriers: processes that hold up to --streams-per-process live streams
 * each.  The parent starts one when those there are have little room left for
 * the streams that come, so without streams there are none; each ends by
 * itself.  How many streams each has stands in a memory file that all share.
 * What goes through the door the parent does not see.  Runs in the parent.
 */
#ifndef CARRIERS_H
#define CARRIERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/backoff.h"
#include "base/log.h"
#include "parent/children.h"

#define CARRIERS_MAX 4096

/* What a carrier has of its parent. */
struct carrier_link {
	/* Responders send their streams to the other end, all to the same one,
	 * and each goes to one of the carriers that read here.  At its end when
	 * nothing can come any more: the parent is gone or has become another
	 * image, which has a door of its own, and so are its responders.  Of
	 * SOCK_SEQPACKET. */
	int door_fd;
	int life_fd; /* see listener.h */
	/* how many streams it has: it writes, the parent reads */
	_Atomic uint32_t *nstreams;
};

struct carrier {
	pid_t pid;   /* 0: this slot is free */
	bool is_old; /* of the image before: it takes no more */
	int64_t started_ms;
};

struct carriers {
	int page_fd;		    /* a memory file, or -1 */
	_Atomic uint32_t *nstreams; /* it, mapped: one for each slot */
	struct carrier *slots;	    /* CARRIERS_MAX; owned */
	size_t nused;		    /* none after these is in use */
	int door[2];		    /* carriers have the first; or -1 */
	uint64_t per_carrier, max_streams;
	int64_t due_ms;	 /* none is started before */
	bool is_wanted;	 /* one is, when it is due */
	int64_t look_ms; /* it is to be looked at then; 0: it is not */
	struct backoff backoff;
	struct trouble starting;
};

/* There are none, and none will be. */
void carriers_init(struct carriers *c);

/* Become ready to start some: max_streams in all, per_carrier in each.  What was
 * adopted stays.  Returns 0, or -1 with errno: then none will be started. */
int carriers_open(
    struct carriers *c, uint64_t per_carrier, uint64_t max_streams);

/* After an exec: the page of the image before, then its carriers; false if that
 * cannot be. */
bool carriers_adopt_page(struct carriers *c, int page_fd);
bool carriers_adopt(struct carriers *c, size_t slot, pid_t pid);

/* How many streams they have, all together. */
uint64_t carriers_count_streams(const struct carriers *c);

/*
 * A stream has come.  Is another one to be started for those after it, since
 * there is room for less than an eighth of what one holds?  If so, but not yet,
 * c->is_wanted until due_ms.
 */
bool carriers_are_short(struct carriers *c, int64_t now_ms);

/* So many are with responders.  If they might find no room, it is to be looked
 * at again once they have moved. */
void carriers_expect(struct carriers *c, uint64_t ncoming, int64_t now_ms);

/* When carriers_are_short is to be asked again, whatever comes; INT64_MAX: it is
 * not. */
int64_t carriers_due_ms(const struct carriers *c);

/*
 * Start one, as children_fork.  In it *link is what it has, but for life_fd,
 * and all else of this is closed.  A failure is logged, and due again later.
 */
pid_t carriers_fork(struct carriers *c, struct children *ch,
    struct carrier_link *link, int64_t now_ms);

/* One was reaped.  After one that did not live for 0.2 s the next one waits. */
void carriers_ended(struct carriers *c, pid_t pid, int64_t now_ms);

/* In a new child of another kind, and in one that may go through the door. */
void carriers_close(struct carriers *c);
void carriers_close_but_door(struct carriers *c);

/* Free memory, in the end. */
void carriers_free(struct carriers *c);

#endif
