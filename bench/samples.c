/* SPDX-License-Identifier: ISC */
#include "bench/samples.h"

#include "bench/load.h"

#include <stdlib.h>

void
samples_add(struct samples *samples, int64_t ns)
{
	int64_t tenths = ns / 100;

	if (samples->n == samples->room) {
		size_t room = samples->room ? samples->room * 2 : 65536;
		uint32_t *grown =
		    realloc(samples->tenths_us, room * sizeof(*grown));

		if (!grown)
			die("out of memory");
		samples->tenths_us = grown;
		samples->room = room;
	}
	if (tenths < 0)
		tenths = 0;
	if (tenths > UINT32_MAX)
		tenths = UINT32_MAX;
	samples->tenths_us[samples->n++] = (uint32_t)tenths;
	samples->is_sorted = 0;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double
samples_ms(struct samples *samples, double share)
{
	size_t i;

	if (!samples->n)
		return 0;
	if (!samples->is_sorted)
		qsort(samples->tenths_us, samples->n,
		    sizeof(*samples->tenths_us), compare);
	samples->is_sorted = 1;
	i = (size_t)(share * (double)samples->n);
	if (i >= samples->n)
		i = samples->n - 1;
	return samples->tenths_us[i] / 1e4;
}

void
samples_clear(struct samples *samples)
{
	samples->n = 0;
}
