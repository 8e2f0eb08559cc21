/* SPDX-License-Identifier: ISC */
/*
 * How long to wait before what failed is tried again: twice as long each time,
 * with jitter, so that many that failed together do not come back together.
 */
#ifndef BACKOFF_H
#define BACKOFF_H

#include <stdint.h>

/* { .min_ms = 100, .max_ms = 5000 }: nothing has failed. */
struct backoff {
	int64_t min_ms, max_ms; /* the first pause, and the longest */
	int64_t ms;		/* the last one, before jitter; 0: none */
};

/* It failed: how long to wait, from half the pause (min_ms, doubled with each
 * call, up to max_ms) to all of it. */
int64_t backoff_next(struct backoff *b);

/* It worked: the next pause is the first. */
void backoff_reset(struct backoff *b);

#endif
