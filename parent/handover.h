/* SPDX-License-Identifier: ISC */
/*
 * What the parent knows, carried over an exec of itself (SIGHUP): a memory
 * file of text lines, its descriptor in the environment.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "base/config.h"
#include "parent/state.h"

/* Put st where the next image finds it.  Returns the memory file's descriptor,
 * or -1 with errno. */
int handover_write(const struct parent_state *st);

/* The next image is to know whether the password file is another than cfg says,
 * which was read at the start. */
void handover_note_password(struct parent_state *st, const struct config *cfg);

/* After handover_read, one line in the log: what changed. */
void handover_tell(const struct parent_state *st, const struct config *cfg);

/* No image came: take that back. */
void handover_undo(const struct parent_state *st, int fd);

/* Take up what was put there: the socket, the pipe, the children, the carriers.
 * The rest of st stays as it is, and all of it if there is nothing.  Returns
 * 0, or -1 if no socket came. */
int handover_read(struct parent_state *st);

#endif
