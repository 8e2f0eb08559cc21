/* SPDX-License-Identifier: ISC */
/*
 * What the parent knows, carried over an exec of itself (SIGHUP): a memory
 * file of text lines, its descriptor in the environment.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stddef.h>
#include <sys/types.h>

#define TOKEN_SIZE 33 /* 16 random bytes in hex, and NUL */

enum child_kind { CHILD_STREAM, CHILD_REFUSAL, CHILD_RECORDER };

struct child {
	pid_t pid;
	enum child_kind kind;
};

struct parent_state {
	int listen_fd;
	struct child *children; /* owned */
	size_t nchildren, size;
	char token[TOKEN_SIZE]; /* of the running recorder, or of the last */
};

/* Add a child.  Returns 0, or -1 without memory. */
int state_add_child(struct parent_state *st, pid_t pid, enum child_kind kind);

/* Forget a child; its kind is left in *kind.  Returns 0, or -1 if unknown. */
int state_remove_child(
    struct parent_state *st, pid_t pid, enum child_kind *kind);

/* Put st where the next image finds it.  Returns the memory file's descriptor,
 * or -1 with errno. */
int handover_write(const struct parent_state *st);

/* No image came: take that back. */
void handover_undo(const struct parent_state *st, int fd);

/* Take it up again.  Returns 0, or -1 if there is none; st is then empty with
 * listen_fd -1. */
int handover_read(struct parent_state *st);

#endif
