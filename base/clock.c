/* SPDX-License-Identifier: ISC */
/* The two impure readings that most processes need. */
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t held_ms = -1; /* -1: it goes on */

int64_t
clock_now_ms(void)
{
	struct timespec ts;

	if (held_ms != -1)
		return held_ms;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
clock_hold(void)
{
	clock_release();
	held_ms = clock_now_ms();
}

void
clock_release(void)
{
	held_ms = -1;
}

int64_t
clock_random(int64_t min, int64_t max)
{
	uint64_t n;

	/* 8 bytes cannot come short (getrandom(2)); a bias of 2^-40 is fine */
	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		abort();
	return max <= min ? min
			  : min + (int64_t)(n % (uint64_t)(max - min + 1));
}

void
clock_put_random_hex(char *text, size_t n)
{
	unsigned char byte;
	size_t i;

	for (i = 0; i < n; i++) {
		if (getrandom(&byte, 1, 0) != 1)
			abort(); /* cannot come short (getrandom(2)) */
		snprintf(text + 2 * i, 3, "%02x", byte);
	}
}
