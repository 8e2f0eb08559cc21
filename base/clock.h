/* SPDX-License-Identifier: ISC */
/* Time that never goes back, and numbers nobody can foretell. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC; the zero of every deadline_ms. */
int64_t clock_now_ms(void);

/* From here on that is what it is now, until this is called again or
 * clock_release: a loop that asks several times between two waits reads the clock
 * once.  (Without a clock in the vDSO each reading is a system call.) */
void clock_hold(void);
void clock_release(void);

/* A random number from min to max (both included). */
int64_t clock_random(int64_t min, int64_t max);

/* n random bytes as 2 n hexadecimal digits and NUL. */
void clock_put_random_hex(char *text, size_t n);

#endif
