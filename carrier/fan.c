/* SPDX-License-Identifier: ISC */
/* The streams of a carrier: who is there, and what they hear. */
#include "carrier/fan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define BATCH_LEN_MAX ((size_t)512 << 20)
#define SCRATCH_LEN_MAX (1 << 20)
#define UNUSED_MAX 64 /* so many names cost less than to forget them */

void
fan_init(struct fan *f, int epoll_fd)
{
	memset(f, 0, sizeof(*f));
	f->epoll_fd = epoll_fd;
	buf_init(&f->batch, BATCH_LEN_MAX);
	buf_init(&f->scratch, SCRATCH_LEN_MAX);
	recent_init(&f->recent, 0);
}

void
fan_free(struct fan *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		carried_free(f->streams[i]);
	free(f->streams);
	for (i = 0; i < f->channels.n; i++)
		free(f->audiences[i].members);
	free(f->audiences);
	channel_set_free(&f->channels);
	channel_set_free(&f->keys);
	buf_free(&f->batch);
	buf_free(&f->scratch);
	recent_free(&f->recent);
}

/* --- who is there ------------------------------------------------------- */

/* Room for one more in an array of size items.  0, or -1 without memory. */
static int
grow(void *array, size_t n, size_t *size, size_t item_size)
{
	size_t more = *size > 0 ? 2 * *size : 8;
	void *old, *bigger;

	if (n < *size)
		return 0;
	memcpy(&old, array, sizeof(old));
	if ((bigger = reallocarray(old, more, item_size)) == NULL)
		return -1;
	memcpy(array, &bigger, sizeof(bigger));
	*size = more;
	return 0;
}

static int
join(struct fan *f, struct carried *c, size_t channel)
{
	struct audience *a = &f->audiences[channel];

	if (grow(&a->members, a->n, &a->size, sizeof(*a->members)) == -1)
		return -1;
	c->channels[c->nchannels] = (uint32_t)channel;
	c->places[c->nchannels] = (uint32_t)a->n;
	a->members[a->n].stream = c;
	a->members[a->n++].which = (uint32_t)c->nchannels++;
	return 0;
}

static void
leave_channels(struct fan *f, struct carried *c)
{
	size_t i;

	for (i = 0; i < c->nchannels; i++) {
		struct audience *a = &f->audiences[c->channels[i]];
		const uint32_t place = c->places[i];

		a->members[place] = a->members[--a->n];
		a->members[place].stream->places[a->members[place].which] =
		    place;
	}
	c->nchannels = 0;
}

static int
add_channel(
    struct fan *f, const char *name, size_t len, uint64_t ping, size_t *channel)
{
	if (channel_set_find(&f->channels, name, len, channel))
		return 0;
	if (grow(&f->audiences, f->channels.n, &f->audiences_size,
		sizeof(*f->audiences)) == -1 ||
	    channel_set_add(&f->channels, name, len) == -1)
		return -1;
	*channel = f->channels.n - 1;
	f->audiences[*channel] =
	    (struct audience){ .ping = ping, .covered = UINT64_MAX };
	return 0;
}

static int
join_all(struct fan *f, struct carried *c, const struct offer *o, uint64_t ping)
{
	size_t i, at = 0, len, channel;
	uint64_t position;
	const char *name;

	for (i = 0; i < o->nchannels; i++) {
		offer_next_channel(o, &at, &name, &len, &position);
		c->positions[i] = position;
		if (add_channel(f, name, len, ping, &channel) == -1 ||
		    join(f, c, channel) == -1)
			return -1;
	}
	return 0;
}

static int
add_key(struct fan *f, struct carried *c, const char *key)
{
	size_t i;

	if (key[0] == '\0')
		return 0;
	if (channel_set_add(&f->keys, key, strlen(key)) == -1)
		return -1;
	channel_set_find(&f->keys, key, strlen(key), &i);
	c->key = (uint32_t)i;
	return 0;
}

int
fan_add(struct fan *f, struct carried *c, const struct offer *o, uint64_t ping)
{
	if (grow(&f->streams, f->n, &f->size, sizeof(struct carried *)) == -1 ||
	    add_key(f, c, o->key) == -1 || join_all(f, c, o, ping) == -1) {
		leave_channels(f, c);
		return -1;
	}
	c->number = f->n;
	f->streams[f->n++] = c;
	f->nguests++;
	return 0;
}

void
fan_gone(struct fan *f, struct carried *c)
{
	if (c->state == CARRIED_GUEST)
		f->nguests--;
	c->state = CARRIED_GONE;
	f->has_gone = true;
}

void
fan_watch(struct fan *f, struct carried *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP,
		.data = { .ptr = c } };

	epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

void
fan_unwatch(struct fan *f, struct carried *c)
{
	epoll_ctl(f->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
}

static void
remove_stream(struct fan *f, struct carried *c)
{
	fan_unwatch(f, c);
	leave_channels(f, c);
	f->waiting_len -= c->waiting_len;
	if (c->blocked_ms != 0)
		f->nblocked--;
	f->streams[c->number] = f->streams[--f->n];
	f->streams[c->number]->number = c->number;
	carried_free(c);
}

void
fan_sweep(struct fan *f)
{
	size_t i = 0;

	if (!f->has_gone || f->unwritten != NULL)
		return;
	f->has_gone = false;
	while (i < f->n) {
		if (f->streams[i]->state == CARRIED_GONE)
			remove_stream(f, f->streams[i]);
		else
			i++;
	}
}

/* --- what is heard ------------------------------------------------------ */

uint64_t
fan_awaited_ping(const struct fan *f, const struct carried *c)
{
	uint64_t ping = 0;
	size_t i;

	for (i = 0; i < c->nchannels; i++)
		if (f->audiences[c->channels[i]].ping > ping)
			ping = f->audiences[c->channels[i]].ping;
	return ping;
}

void
fan_pinged(struct fan *f, uint64_t ping)
{
	size_t i;

	for (i = 0; i < f->channels.n; i++)
		if (f->audiences[i].ping <= ping)
			f->audiences[i].ping = 0;
}

uint64_t
fan_covered(const struct fan *f, const struct carried *c)
{
	uint64_t covered = recent_floor(&f->recent);
	size_t i;

	for (i = 0; i < c->nchannels; i++)
		if (f->audiences[c->channels[i]].covered > covered)
			covered = f->audiences[c->channels[i]].covered;
	return covered;
}

bool
fan_can_catch_up(const struct fan *f, const struct carried *c)
{
	size_t i;

	for (i = 0; i < c->nchannels; i++)
		if (f->audiences[c->channels[i]].hole > c->heard)
			return false;
	return c->heard >= recent_floor(&f->recent);
}

static bool
is_worth_it(size_t unused, size_t n)
{
	return unused > UNUSED_MAX && unused > n / 4;
}

bool
fan_has_unused(const struct fan *f)
{
	size_t i, unused = 0, with_key = 0;

	for (i = 0; i < f->channels.n; i++)
		unused += f->audiences[i].n == 0;
	for (i = 0; i < f->n; i++)
		with_key += f->streams[i]->key != CARRIED_NO_KEY;
	/* several streams may have one key: then more are unused than that */
	return is_worth_it(unused, f->channels.n) ||
	       (f->keys.n > with_key &&
		   is_worth_it(f->keys.n - with_key, f->keys.n));
}

static void
forget_keys(struct fan *f, bool *is_kept, uint32_t *numbers)
{
	uint32_t n = 0;
	size_t i;

	memset(is_kept, 0, f->keys.n * sizeof(*is_kept));
	for (i = 0; i < f->n; i++)
		if (f->streams[i]->key != CARRIED_NO_KEY)
			is_kept[f->streams[i]->key] = true;
	for (i = 0; i < f->keys.n; i++)
		numbers[i] = is_kept[i] ? n++ : CARRIED_NO_KEY;
	for (i = 0; i < f->n; i++)
		if (f->streams[i]->key != CARRIED_NO_KEY)
			f->streams[i]->key = numbers[f->streams[i]->key];
	channel_set_keep(&f->keys, is_kept);
}

static void
forget_channels(struct fan *f, bool *is_kept, uint32_t *numbers)
{
	uint32_t n = 0;
	size_t i, k;

	for (i = 0; i < f->channels.n; i++) {
		is_kept[i] = f->audiences[i].n > 0;
		numbers[i] = is_kept[i] ? n : UINT32_MAX;
		if (is_kept[i])
			f->audiences[n++] = f->audiences[i];
		else
			free(f->audiences[i].members);
	}
	for (i = 0; i < f->n; i++)
		for (k = 0; k < f->streams[i]->nchannels; k++)
			f->streams[i]->channels[k] =
			    numbers[f->streams[i]->channels[k]];
	recent_renumber(&f->recent, numbers);
	channel_set_keep(&f->channels, is_kept);
}

bool *
fan_forget_unused(struct fan *f)
{
	const size_t n = f->channels.n + f->keys.n + 1;
	uint32_t *numbers = calloc(n, sizeof(*numbers));
	bool *is_kept = calloc(n, sizeof(*is_kept));

	if (numbers == NULL || is_kept == NULL) {
		free(is_kept);
		is_kept = NULL;
	} else {
		forget_keys(f, is_kept, numbers);
		forget_channels(f, is_kept, numbers);
	}
	free(numbers);
	return is_kept;
}
