/* SPDX-License-Identifier: ISC */
/*
 * What the parts of the load generator share: one epoll, one clock, and how an
 * event is marked.
 *
 * An event's data is "~STEP.PUBLISHER.SEQ.TIME~xxxx": TIME is CLOCK_MONOTONIC
 * in ns when it was handed to the publisher's socket, SEQ counts from 1 for each
 * publisher in each step.  A peer may put its own quotes around it.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define PUBLISHERS_MAX 16
#define EVENT_BYTES_MAX 65536
#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

struct mark {
	uint32_t step, publisher, seq;
	int64_t sent_ns;
};

/* First member of whatever has a descriptor in the epoll. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
	int fd;
};

/* CLOCK_MONOTONIC, ns. */
int64_t now_ns(void);

/* Print one line of JSON with the reason. */
void last_words(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A macro, so that cppcheck, which hears no attribute, sees the end. */
#define die(...)                                                               \
	do {                                                                   \
		last_words(__VA_ARGS__);                                       \
		exit(1);                                                       \
	} while (0)

/* The one epoll.  Events are those of epoll_ctl; each dies where it fails. */
void watch(struct source *source, uint32_t events);
void rewatch(struct source *source, uint32_t events);
/* Close the descriptor (the epoll forgets it), if there is one. */
void unwatch(struct source *source);

/* Wait once, no longer than until until_ns, and serve what is ready. */
void turn(int64_t until_ns);

#endif
