/* SPDX-License-Identifier: ISC */
/* The load generator's epoll, clock and last words. */
#include "bench/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512

static int epoll_fd = -1;

int64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void
last_words(const char *format, ...)
{
	va_list args;

	/* the texts are ours: no quote and no backslash in them */
	fputs("{\"error\":\"", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	puts("\"}");
	fflush(stdout);
}

static void
control(struct source *source, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events,
		.data = { .ptr = source } };

	if (epoll_fd < 0 && (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll_create1: %s", strerror(errno));
	if (epoll_ctl(epoll_fd, operation, source->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

void
watch(struct source *source, uint32_t events)
{
	control(source, EPOLL_CTL_ADD, events);
}

void
rewatch(struct source *source, uint32_t events)
{
	control(source, EPOLL_CTL_MOD, events);
}

void
unwatch(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

void
turn(int64_t until_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t left_ns = until_ns - now_ns();
	int timeout_ms, n;

	if (left_ns <= 0)
		timeout_ms = 0;
	else
		timeout_ms = (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
	n = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);
	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct source *source = events[i].data.ptr;

		/* one before it may have closed this one */
		if (source->fd >= 0)
			source->ready(source, events[i].events);
	}
}
