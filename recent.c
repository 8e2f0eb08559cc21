/* SPDX-License-Identifier: ISC */
/* A ring of hashes: 64 bits make an accident unlikely enough (2^-50). */
#include "recent.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, the channel's number first */
static uint64_t
hash_of(size_t channel, const char *p, size_t len)
{
	uint64_t h = (UINT64_C(14695981039346656037) ^ channel) *
		     UINT64_C(1099511628211);
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
	return h;
}

static void
drop_oldest(struct recent *r)
{
	r->first = (r->first + 1) % RECENT_MAX;
	r->n--;
}

static void
drop_old(struct recent *r, int64_t now_ms)
{
	while (r->n > 0 && r->frames[r->first].until_ms <= now_ms)
		drop_oldest(r);
}

void
recent_add(
    struct recent *r, size_t channel, const char *p, size_t len, int64_t now_ms)
{
	struct recent_frame *f;

	if (r->frames == NULL &&
	    (r->frames = calloc(RECENT_MAX, sizeof(*r->frames))) == NULL)
		return;
	drop_old(r, now_ms);
	if (r->n == RECENT_MAX)
		drop_oldest(r);
	f = &r->frames[(r->first + r->n++) % RECENT_MAX];
	f->hash = hash_of(channel, p, len);
	f->until_ms = now_ms + RECENT_MS;
}

bool
recent_take(
    struct recent *r, size_t channel, const char *p, size_t len, int64_t now_ms)
{
	struct recent_frame *f;
	uint64_t hash;
	size_t i;

	drop_old(r, now_ms);
	if (r->n == 0) {
		recent_free(r); /* live mode is over, and with it the ring */
		return false;
	}
	hash = hash_of(channel, p, len);
	for (i = 0; i < r->n; i++) {
		f = &r->frames[(r->first + i) % RECENT_MAX];
		if (f->hash == hash && f->until_ms > now_ms) {
			f->until_ms = 0;
			f->hash = 0;
			return true;
		}
	}
	return false;
}

void
recent_free(struct recent *r)
{
	free(r->frames);
	memset(r, 0, sizeof(*r));
}
