/* SPDX-License-Identifier: ISC */
/*
 * A child that the parent keeps: one of its kind at a time, and when it ends
 * another.  What the child does is not known here; the caller says what time
 * it is (clock_now_ms).
 */
#ifndef KEPT_H
#define KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/backoff.h"
#include "base/log.h"
#include "parent/children.h"

/* Others read it, kept.c writes. */
struct kept {
	enum child_kind kind;
	const char *name; /* of its process; borrowed for ever */
	int ready_fd;	  /* can be read once it is ready; or -1 */
	int64_t started_ms;
	int64_t due_ms; /* none is started before */
	struct backoff backoff;
	struct trouble forking;
};

/* name: as ps shows it, 15 bytes at most. */
void kept_init(struct kept *k, enum child_kind kind, const char *name);

/* Is it time to start one?  None runs, and the last one's end is far enough. */
bool kept_is_due(
    const struct kept *k, const struct children *ch, int64_t now_ms);

/*
 * Fork it, as children_fork.  In the child, which gets SIGTERM when its parent
 * dies, *ready_fd is to be closed once it is ready; or -1.  Returns as fork(2);
 * a failure is logged, and due again later.
 */
pid_t kept_fork(
    struct kept *k, struct children *ch, int *ready_fd, int64_t now_ms);

/* It was reaped.  The next one is due at once; or, after one that did not live
 * for 0.2 s, with back-off. */
void kept_ended(struct kept *k, int64_t now_ms);

/* Until when to wait for it to be ready; in the past if it is not awaited. */
int64_t kept_ready_due_ms(const struct kept *k);

/* ready_fd could be read, or is not to be watched any more (in another child,
 * say). */
void kept_close_ready(struct kept *k);

#endif
