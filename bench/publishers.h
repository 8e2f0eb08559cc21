/* SPDX-License-Identifier: ISC */
/*
 * Those who publish: one pipelined connection to Redis, or some HTTP
 * connections with one request each in flight.  None waits for an answer; what
 * is in flight is bounded.
 */
#ifndef BENCH_PUBLISHERS_H
#define BENCH_PUBLISHERS_H

#include "bench/load.h"

#include <stdbool.h>

enum publish_kind {
	PUBLISH_SCRIPT, /* Redis: EVALSHA of publish.lua */
	PUBLISH_PLAIN,	/* Redis: PUBLISH channel payload */
	PUBLISH_POST,	/* HTTP */
};

struct publishing {
	enum publish_kind kind;
	const char *to;	    /* the socket's path, or a URL */
	const char *script; /* the path of publish.lua */
	const char *channel;
	unsigned connections; /* of HTTP */
};

/* Connect.  Borrows the strings.  -> the number of publishers */
unsigned publishers_open(const struct publishing *how);

/* May this one publish now, or is enough in flight? */
bool publisher_is_free(unsigned publisher);

/* Publish an event of so many bytes with this mark; its time is set here. */
void publisher_send(unsigned publisher, struct mark mark, size_t bytes);

/* Write what publisher_send has gathered. */
void publishers_flush(void);

/* Are all answers there? */
bool publishers_are_idle(void);

#endif
