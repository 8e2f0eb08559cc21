/* SPDX-License-Identifier: ISC */
/* Which channels are followed.  Runs in responders and carriers. */
#include "follow_channels.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int
follow_set(struct follower *f, uint64_t remembered)
{
	if (delivery_set(&f->delivery, f->channels, remembered) == -1 ||
	    redis_sub_set(f->sub, f->channels, f->keys) == -1)
		return -1;
	f->coverage_tries = 0;
	f->is_muted = false;
	follow_ask(f);
	return 0;
}

int
follow_add(struct follower *f, size_t first_channel, size_t first_key)
{
	assert(f->state == FOLLOW_LIVE);
	if (delivery_add(&f->delivery) == -1)
		return -1;
	return redis_sub_add(f->sub, first_channel, first_key);
}

void
follow_keep(struct follower *f, const bool *channel_is_kept)
{
	assert(f->state == FOLLOW_LIVE);
	delivery_keep(&f->delivery, channel_is_kept);
	redis_sub_keep(f->sub);
	follow_ask(f);
}

void
follow_ping(struct follower *f, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	redis_sub_ping(f->sub, text);
}

int
follow_open(struct follower *f, const struct config *cfg, struct redis_sub *sub,
    const struct channel_set *channels, const struct channel_set *keys,
    struct sink *out, const struct cursor *cursor)
{
	memset(f, 0, sizeof(*f));
	f->cfg = cfg;
	f->sub = sub;
	f->channels = channels;
	f->keys = keys;
	f->out = out;
	f->summons_ms = INT64_MAX;
	f->backoff = (struct backoff){ .min_ms = 100, .max_ms = 5000 };
	delivery_init(&f->delivery, cfg, out, cursor);
	take_size_init(&f->size);
	return follow_set(f, 0);
}

void
follow_close(struct follower *f)
{
	delivery_free(&f->delivery);
}
