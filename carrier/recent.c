/* SPDX-License-Identifier: ISC */
/* Heads and frames, one after the other.  Forgetting moves the beginning; the
 * bytes themselves move now and then. */
#include "carrier/recent.h"

#include <string.h>

struct head {
	size_t channel, frame_len;
	uint64_t id, prev;
};

void
recent_init(struct recent *r, uint64_t floor)
{
	*r = (struct recent){ .floor = floor };
	buf_init(&r->bytes, 2 * RECENT_LEN_MAX);
}

void
recent_free(struct recent *r)
{
	buf_free(&r->bytes);
}

void
recent_reset(struct recent *r, uint64_t floor)
{
	buf_reset(&r->bytes);
	r->begin = 0;
	r->floor = floor;
}

static size_t
kept_len(const struct recent *r)
{
	return r->bytes.len - r->begin;
}

void
recent_trim(struct recent *r, size_t len)
{
	struct head h;

	while (kept_len(r) > len) {
		memcpy(&h, r->bytes.bytes + r->begin, sizeof(h));
		r->begin += sizeof(h) + h.frame_len;
		if (h.id > r->floor)
			r->floor = h.id;
	}
	if (r->begin == 0 || r->begin < kept_len(r))
		return; /* so each byte moves once or so */
	memmove(r->bytes.bytes, r->bytes.bytes + r->begin, kept_len(r));
	r->bytes.len -= r->begin;
	r->begin = 0;
}

/* It cannot be kept: then what was before is worth nothing either. */
static void
pass_over(struct recent *r, uint64_t id)
{
	recent_trim(r, 0);
	if (id > r->floor)
		r->floor = id;
}

void
recent_put(struct recent *r, size_t channel, const struct record *rec)
{
	const struct head h = { channel, rec->frame_len, rec->id, rec->prev };
	const size_t len = sizeof(h) + rec->frame_len;

	if (len > RECENT_LEN_MAX) {
		pass_over(r, rec->id);
		return;
	}
	recent_trim(r, RECENT_LEN_MAX - len);
	if (buf_put(&r->bytes, &h, sizeof(h)) == -1) {
		pass_over(r, rec->id);
	} else if (buf_put(&r->bytes, rec->frame, rec->frame_len) == -1) {
		r->bytes.len -= sizeof(h);
		pass_over(r, rec->id);
	}
}

void
recent_renumber(struct recent *r, const uint32_t *numbers)
{
	size_t at = r->begin;
	struct head h;

	for (; at < r->bytes.len; at += sizeof(h) + h.frame_len) {
		memcpy(&h, r->bytes.bytes + at, sizeof(h));
		if (h.channel != UINT32_MAX)
			h.channel = numbers[h.channel];
		memcpy(r->bytes.bytes + at, &h, sizeof(h));
	}
}

uint64_t
recent_floor(const struct recent *r)
{
	return r->floor;
}

bool
recent_next(const struct recent *r, size_t *at, struct recent_record *rec)
{
	const char *p;
	struct head h;

	if (*at >= kept_len(r))
		return false;
	p = r->bytes.bytes + r->begin + *at;
	memcpy(&h, p, sizeof(h));
	*rec = (struct recent_record){ h.channel, h.id, h.prev, p + sizeof(h),
		h.frame_len };
	*at += sizeof(h) + h.frame_len;
	return true;
}
