/* SPDX-License-Identifier: ISC */
/*
 * A responder's place in the parent's pool: where it waits for its next
 * connection.  Runs in the responder; the parent's side is pool.c.
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "parent/accepted.h"

#define PLACE_SERVES_MAX 1000 /* connections, then another process begins */
#define PLACE_IDLE_MS 3000    /* it waits so long for one */

/* Shared with the parent.  It alone changes WAITING to BUSY, and sends a
 * connection then; the responder alone changes it to LEFT, and ends. */
enum place_state { PLACE_BUSY, PLACE_WAITING, PLACE_LEFT };

struct place {
	int fd; /* the parent sends connections there; -1: it never does */
	_Atomic uint32_t *state;
	unsigned nserved;
};

/*
 * This responder has served a connection: wait for the next.  Returns true and
 * *next, whose fd is the caller's; or false if it is to end: after so long or so
 * many, at a SIGTERM, which is to be blocked and have a handler and arrives
 * here, or because the parent is gone or executes its program anew.
 */
bool place_wait(struct place *pl, struct accepted *next);

#endif
