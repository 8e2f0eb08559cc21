/* SPDX-License-Identifier: ISC */
/* What the load generator can do: each step ends with one line of JSON. */
#ifndef BENCH_STEPS_H
#define BENCH_STEPS_H

#include <stddef.h>
#include <stdint.h>

/* How many publishers there are; how many events may be on their way at most
 * while a step saturates. */
void steps_init(unsigned publishers, uint64_t most_on_their_way);

/* Have n streams open, no more than so many on their way at a time, and each
 * with an event: then all hear. */
void step_open(unsigned n, unsigned at_a_time);
/* Open one more and close it, again and again: time to first byte. */
void step_ttfb(unsigned count);
/* Single events at this rate, and how long each takes to each stream. */
void step_latency(double duration_s, double rate, size_t bytes);
/* As many events as the slowest stream takes. */
void step_saturate(double duration_s, size_t bytes);
/* Nothing, but streams that must come back do. */
void step_idle(double duration_s);
/* Cut all streams, publish what they miss; they come back all at once. */
void step_storm(uint64_t missed, size_t bytes);
/* How fast events are taken; streams are not waited for. */
void step_publish(uint64_t count, size_t bytes);
/* Close all streams. */
void step_close(void);

#endif
