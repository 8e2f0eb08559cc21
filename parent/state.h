/* SPDX-License-Identifier: ISC */
/* What the parent has: its descriptors and its children. */
#ifndef STATE_H
#define STATE_H

#include "parent/carriers.h"
#include "parent/children.h"
#include "parent/kept.h"
#include "parent/pool.h"

struct parent_state {
	int listen_fd;
	int life[2]; /* a pipe that parent and recorder hold the end of */
	struct children children;
	struct kept recorder;
	struct pool pool;
	struct carriers carriers;
	/* of the image before this one, "" if it does not say: */
	char version[24];
	char password[8]; /* "same" or "changed" since its start: the file */
};

/* It has nothing yet. */
void state_init(struct parent_state *st);

/* Reap all children that have ended. */
void state_reap(struct parent_state *st);

/* How many streams there are in responders; in carriers, too; and responders
 * that only say why there is none. */
uint64_t state_count_responders(const struct parent_state *st);
uint64_t state_count_streams(const struct parent_state *st);
size_t state_count_refusals(const struct parent_state *st);

/* Free memory, in the end. */
void state_free(struct parent_state *st);

#endif
