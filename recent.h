/* SPDX-License-Identifier: ISC */
/*
 * Frames of plain messages that a stream passed on live in the last seconds.
 * When a recorder starts, the same message may come again as a record; it is
 * known by its bytes.  Pure; the caller says what time it is.
 */
#ifndef RECENT_H
#define RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_MS 5000
#define RECENT_MAX 8192 /* frames remembered; the oldest go first */

struct recent_frame {
	uint64_t hash;
	int64_t until_ms;
};

struct recent {
	struct recent_frame *frames; /* owned; a ring, NULL until used */
	size_t first, n;
};

/* Remember a frame of a channel.  Without memory it is forgotten: the worst
 * is an event that comes twice while a recorder starts. */
void recent_add(struct recent *r, size_t channel, const char *p, size_t len,
    int64_t now_ms);

/* Was this frame passed on?  Then it is forgotten, once. */
bool recent_take(struct recent *r, size_t channel, const char *p, size_t len,
    int64_t now_ms);

void recent_free(struct recent *r);

#endif
