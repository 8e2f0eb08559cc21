/* SPDX-License-Identifier: ISC */
/* Pauses that grow.  The jitter is not doubled with them. */
#include "base/backoff.h"

#include "base/clock.h"

int64_t
backoff_next(struct backoff *b)
{
	b->ms = b->ms == 0 ? b->min_ms : 2 * b->ms;
	if (b->ms > b->max_ms)
		b->ms = b->max_ms;
	return clock_random(b->ms / 2, b->ms);
}

void
backoff_reset(struct backoff *b)
{
	b->ms = 0;
}
