/* SPDX-License-Identifier: ISC */
/*
 * The child processes of the parent: forked, counted by kind, signalled,
 * reaped.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum child_kind {
	CHILD_STREAM,  /* a responder that serves one stream, */
	CHILD_REFUSAL, /* or only says why there is none; */
	CHILD_POOLED,  /* one that serves one connection after another */
	CHILD_CARRIER,
	CHILD_RECORDER
};
#define CHILD_KINDS 5

struct child {
	pid_t pid;
	enum child_kind kind;
};

/* All zero is the empty set. */
struct children {
	struct child *list; /* owned */
	size_t n, size;
	size_t count[CHILD_KINDS];
};

void children_free(struct children *ch);

/* Count a child that an earlier image of this process forked.  Returns 0, or
 * -1 without memory. */
int children_add(struct children *ch, pid_t pid, enum child_kind kind);

/*
 * Fork a child, and count it.  Returns as fork(2) does.  To be called with
 * SIGCHLD, SIGHUP, SIGINT and SIGTERM blocked; in the child SIGTERM stays
 * blocked until the child says where it may arrive, and of the others none
 * means anything any more.
 */
pid_t children_fork(struct children *ch, enum child_kind kind);

/*
 * Reap one child that has ended, and leave it in *ended; one that a signal
 * ended is logged.  Returns false if none has ended.
 */
bool children_reap(struct children *ch, struct child *ended);

/* Send a signal to all children of a kind. */
void children_signal(const struct children *ch, enum child_kind kind, int sig);

#endif
