/* SPDX-License-Identifier: ISC */
/* How long a carrier bears with clients that do not take what it has for
 * them. */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "carrier/fan.h"

/* All zero is the beginning. */
struct patience {
	int64_t paused_ms; /* since when Redis is not read; 0: it is */
};

/* Once in each turn, after writing: whoever is too far behind goes back to a
 * responder, which has the patience for that; but where most are behind, it is
 * the web server that is slow. */
void patience_mind(struct patience *p, struct fan *f, int64_t now_ms);

/* Is Redis to wait, and until when at most (INT64_MAX: not)? */
bool patience_is_paused(const struct patience *p);
int64_t patience_due_ms(const struct patience *p);

#endif
