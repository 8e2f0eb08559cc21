/* SPDX-License-Identifier: ISC */
/*
 * The children's starts: each is forked, rid of what is the parent's or
 * another kind's, and runs.  What runs there the parent does not know.
 */
#ifndef START_H
#define START_H

#include "base/config.h"
#include "parent/accepted.h"
#include "parent/carriers.h"
#include "parent/place.h"
#include "parent/state.h"

/* What a responder has of its parent. */
struct responder_link {
	/* at its end once no recorder of this parent can come any more, since
	 * both were killed; or -1 */
	int life_fd;
	/* the carriers are behind it (carriers.h); or -1 */
	int door_fd;
	struct place place; /* where its next connection comes */
};

/* What runs in the children.  None returns. */
struct listener_children {
	/* takes a->fd */
	void (*serve)(const struct config *cfg, const struct accepted *a,
	    const struct responder_link *link) __attribute__((noreturn));
	/* ready_fd: see kept_fork */
	void (*record)(const struct config *cfg, int ready_fd)
	    __attribute__((noreturn));
	/* ends by itself after a while without streams */
	void (*carry)(const struct config *cfg, const struct carrier_link *link)
	    __attribute__((noreturn));
};

/* Start the recorder, which must be due. */
void start_recorder(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run);

/* Give a connection to a responder that waits, or to a new one; the caller still
 * closes a->fd.  Returns 0, or -1 with errno if the system has no process
 * left. */
int start_responder(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run, const struct accepted *a);

/* Start a carrier if those that run have little room: to be called when a stream
 * has come, so that there is room when it is to move. */
void start_carrier(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run);

/* The same for those that came in a burst: to be called each second for a while,
 * since they move one after the other. */
void start_late_carrier(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run);

#endif
