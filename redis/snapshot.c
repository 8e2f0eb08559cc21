/* SPDX-License-Identifier: ISC */
/* The script's answer, member by member: see the head of lua/snapshot.lua. */
#include "redis/snapshot.h"

#include <stdint.h>

#include <hiredis/hiredis.h>

#include "redis/record.h"

enum {
	AT_CLOCK,
	AT_EPOCH,
	AT_NOW,
	AT_IS_REPLICA,
	AT_HAS_MORE,
	AT_PATTERNS,
	AT_GRANTS,
	AT_CHANNELS,
	AT_RECORDS,
	AT_NEXT_BYTES,
	AT_TOKEN,
	AT_RELAYS,
	NMEMBERS
};

bool
snapshot_is_valid(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == NMEMBERS &&
	       r->element[AT_GRANTS]->type == REDIS_REPLY_ARRAY &&
	       r->element[AT_CHANNELS]->type == REDIS_REPLY_ARRAY &&
	       r->element[AT_RECORDS]->type == REDIS_REPLY_ARRAY;
}

static uint64_t
number(const redisReply *r)
{
	return r->type == REDIS_REPLY_INTEGER && r->integer > 0
		   ? (uint64_t)r->integer
		   : 0;
}

/* A string, NUL-terminated; NULL: there is none. */
static const char *
text(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? r->str : NULL;
}

static struct taken_grant
grant(const redisReply *texts, size_t i)
{
	struct taken_grant g = { NULL, 0 };

	if (i < texts->elements) {
		g.text = text(texts->element[i]);
		g.len = (size_t)texts->element[i]->len;
	}
	return g;
}

static struct taken_channel
found_channel(const redisReply *channels, size_t i)
{
	struct taken_channel c = { 0, 0 };

	if (2 * i + 1 < channels->elements) {
		c.last = number(channels->element[2 * i]);
		c.oldest_prev = number(channels->element[2 * i + 1]);
	}
	return c;
}

void
snapshot_read(const redisReply *r, struct taken_channel *found, size_t n,
    struct taken_grant *grants, size_t ngrants, struct take *t)
{
	redisReply *const *m = r->element;
	const redisReply *channels = m[AT_CHANNELS], *texts = m[AT_GRANTS];
	size_t i;

	for (i = 0; i < ngrants; i++)
		grants[i] = grant(texts, i);
	for (i = 0; i < n; i++)
		found[i] = found_channel(channels, i);
	*t = (struct take){
		.clock = number(m[AT_CLOCK]),
		.epoch = number(m[AT_EPOCH]),
		.now_us = number(m[AT_NOW]),
		.is_replica = number(m[AT_IS_REPLICA]) != 0,
		.has_more = number(m[AT_HAS_MORE]) != 0,
		.patterns = text(m[AT_PATTERNS]),
		.grants = grants,
		.ngrants = ngrants,
		.channels = found,
		.nchannels = n,
		.nrecords = m[AT_RECORDS]->elements / 2,
		.next_bytes = number(m[AT_NEXT_BYTES]),
		.token = text(m[AT_TOKEN]),
		.has_relays = number(m[AT_RELAYS]) != 0,
	};
}

int
snapshot_record(const redisReply *r, size_t i, size_t n, size_t *channel,
    struct record *rec)
{
	const redisReply *records = r->element[AT_RECORDS];
	const redisReply *c = records->element[2 * i];
	const redisReply *bytes = records->element[2 * i + 1];

	*channel = (size_t)number(c);
	if (*channel >= n || bytes->type != REDIS_REPLY_STRING)
		return -1;
	return record_parse(rec, bytes->str, (size_t)bytes->len);
}
