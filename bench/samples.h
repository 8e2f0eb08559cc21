/* SPDX-License-Identifier: ISC */
/* Times, and their percentiles: all are kept, none is rounded into a class. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint32_t *tenths_us;
	size_t n, room;
	int is_sorted;
};

/* Append a time in ns; over 429 s counts as 429 s. */
void samples_add(struct samples *samples, int64_t ns);

/* The time in ms below which this share (0 to 1) of all lies; 0 of none. */
double samples_ms(struct samples *samples, double share);

/* Forget them; the memory is kept. */
void samples_clear(struct samples *samples);

#endif
