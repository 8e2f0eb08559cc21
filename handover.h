/* SPDX-License-Identifier: ISC */
/*
 * What the parent knows, carried over an exec of itself (SIGHUP): a memory
 * file of text lines, its descriptor in the environment.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "children.h"

#define TOKEN_SIZE 33 /* 16 random bytes in hex, and NUL */

struct parent_state {
	int listen_fd;
	struct children children;
	char token[TOKEN_SIZE]; /* of the running recorder, or of the last */
};

/* Put st where the next image finds it.  Returns the memory file's descriptor,
 * or -1 with errno. */
int handover_write(const struct parent_state *st);

/* No image came: take that back. */
void handover_undo(const struct parent_state *st, int fd);

/* Take it up again.  Returns 0, or -1 if there is none; st is then empty with
 * listen_fd -1. */
int handover_read(struct parent_state *st);

#endif
