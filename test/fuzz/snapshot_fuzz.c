/* SPDX-License-Identifier: ISC */
/*
 * snapshot.h under a fuzzer: whatever tree of replies Redis sends, what is read
 * stays within it.  Input: a byte that says how many channels are asked for and
 * whether the answer has the script's form, and replies, each as build() reads
 * it.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis/snapshot.h"

#define NCHANNELS_MAX 4
#define NGRANTS 3
#define DEPTH_MAX 3

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

struct input {
	const unsigned char *p;
	size_t len;
};

static size_t
next_byte(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->p++;
}

static void *
allocate(size_t size)
{
	void *p = calloc(1, size == 0 ? 1 : size);

	assert(p != NULL);
	return p;
}

/* A string in memory of its length and hiredis' NUL, so that the sanitizers see
 * a look beyond. */
static void
fill_text(redisReply *r, struct input *in)
{
	size_t len = next_byte(in);

	if (len > in->len)
		len = in->len;
	r->str = allocate(len + 1);
	if (len > 0)
		memcpy(r->str, in->p, len);
	r->len = (__typeof__(r->len))len;
	in->p += len;
	in->len -= len;
}

static redisReply *build(struct input *in, int depth);

static redisReply *
build_array(struct input *in, size_t n, int depth)
{
	redisReply *r = allocate(sizeof(*r));
	size_t i;

	r->type = REDIS_REPLY_ARRAY;
	r->elements = n;
	r->element = allocate(n * sizeof(redisReply *));
	for (i = 0; i < n; i++)
		r->element[i] = build(in, depth + 1);
	return r;
}

/* A byte says of which kind the reply is; a number, a text's length or how many
 * elements there are follows.  Where the input ends all is nil. */
static redisReply *
build(struct input *in, int depth)
{
	static const int types[] = { REDIS_REPLY_NIL, REDIS_REPLY_INTEGER,
		REDIS_REPLY_STRING, REDIS_REPLY_ARRAY, REDIS_REPLY_ERROR };
	const int type = types[next_byte(in) % 5];
	redisReply *r;

	if (type == REDIS_REPLY_ARRAY && depth < DEPTH_MAX)
		return build_array(in, next_byte(in) % 16, depth);
	r = allocate(sizeof(*r));
	r->type = type == REDIS_REPLY_ARRAY ? REDIS_REPLY_NIL : type;
	if (r->type == REDIS_REPLY_INTEGER)
		r->integer = (int64_t)next_byte(in) - 8;
	else if (r->type != REDIS_REPLY_NIL)
		fill_text(r, in);
	return r;
}

static void
release(redisReply *r)
{
	size_t i;

	for (i = 0; i < r->elements; i++)
		release(r->element[i]);
	free(r->element);
	free(r->str);
	free(r);
}

static void
check_records(const redisReply *r, const struct take *t, size_t n)
{
	struct record rec;
	size_t i, channel;

	for (i = 0; i < t->nrecords; i++) {
		if (snapshot_record(r, i, n, &channel, &rec) == -1)
			continue;
		assert(channel < n);
		assert(rec.id > 0 && rec.frame_len >= rec.body_len);
		assert(rec.frame[rec.frame_len - 1] == '\n');
	}
}

static void
check_grants(const struct take *t)
{
	size_t i;

	assert(t->ngrants == NGRANTS);
	for (i = 0; i < t->ngrants; i++)
		assert(t->grants[i].text == NULL ||
		       t->grants[i].text[t->grants[i].len] == '\0');
}

/* The answer as the caller reads it. */
static void
check(const redisReply *r, size_t n)
{
	struct taken_channel *found = allocate(n * sizeof(*found));
	struct taken_grant *grants = allocate(NGRANTS * sizeof(*grants));
	struct take t;

	snapshot_read(r, found, n, grants, NGRANTS, &t);
	assert(t.channels == found && t.nchannels == n && t.grants == grants);
	assert(t.patterns == NULL || strlen(t.patterns) <= 255);
	assert(t.token == NULL || strlen(t.token) <= 255);
	check_grants(&t);
	check_records(r, &t, n);
	free(grants);
	free(found);
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	struct input in = { input, size };
	const size_t head = next_byte(&in), n = head % (NCHANNELS_MAX + 1);
	redisReply *r = head & 0x80 ? build_array(&in, 12, 0) : build(&in, 0);

	if (snapshot_is_valid(r))
		check(r, n);
	release(r);
	return 0;
}
