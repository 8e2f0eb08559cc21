/* SPDX-License-Identifier: ISC */
/* Time that never goes back, and numbers nobody can foretell. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC; the zero of every deadline_ms. */
int64_t clock_now_ms(void);

/* A random number from min to max (both included). */
int64_t clock_random(int64_t min, int64_t max);

#endif
