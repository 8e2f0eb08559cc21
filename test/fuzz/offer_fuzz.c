/* SPDX-License-Identifier: ISC */
/*
 * carrier/offer.h under a fuzzer: whatever is taken for an offer can be walked
 * to its end, and is what a responder would put.  Input: a message.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/offer.h"
#include "redis/channel.h"

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

static void
put_channels(struct buf *again, const struct offer *o)
{
	uint64_t position;
	const char *name;
	size_t at = 0, len, i;

	for (i = 0; i < o->nchannels; i++) {
		offer_next_channel(o, &at, &name, &len, &position);
		assert(len > 0 && len <= CHANNEL_LEN_MAX);
		assert(memchr(name, '\0', len) == NULL);
		assert(offer_add_channel(again, name, len, position) == 0);
	}
	assert(at == o->channels_len);
}

/* Put again it has the same members, whatever the holes between them hold. */
static void
check_again(const struct offer *o, size_t size)
{
	struct buf again;
	struct offer got;

	buf_init(&again, size);
	assert(offer_begin(&again, o) == 0);
	put_channels(&again, o);
	assert(again.len == size);
	assert(offer_parse(&got, again.bytes, again.len) == 0);
	assert(got.request_id == o->request_id);
	assert(got.heartbeat_s == o->heartbeat_s);
	assert(got.end_due_ms == o->end_due_ms);
	assert(strcmp(got.key, o->key) == 0);
	assert(strcmp(got.user, o->user) == 0);
	assert(got.grant_len == o->grant_len);
	assert(memcmp(got.grant, o->grant, o->grant_len) == 0);
	assert(got.nchannels == o->nchannels);
	assert(got.channels_len == o->channels_len);
	assert(memcmp(got.channels, o->channels, o->channels_len) == 0);
	buf_free(&again);
}

static void
check_answers(const char *p, size_t size)
{
	struct offer_ready ready;
	struct offer_move move;

	assert((offer_read_ready(&ready, p, size) == 0) ==
	       (size == sizeof(ready)));
	assert(
	    (offer_read_move(&move, p, size) == 0) == (size == sizeof(move)));
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	char *p = malloc(size + 1);
	struct offer o;

	assert(p != NULL);
	if (size > 0)
		memcpy(p, input, size);
	if (offer_parse(&o, p, size) == 0)
		check_again(&o, size);
	check_answers(p, size);
	free(p);
	return 0;
}
