/* SPDX-License-Identifier: ISC */
/* An offer: a head of fixed size, three strings, and the channels. */
#include "carrier/offer.h"

#include <stdbool.h>
#include <string.h>

#include "redis/channel.h"

#define CHANNELS_MAX 4096
#define KEY_LEN_MAX 256

struct head {
	uint64_t heartbeat_s;
	int64_t end_due_ms;
	uint32_t key_len, grant_len, user_len, nchannels;
	uint16_t request_id;
};

int
offer_begin(struct buf *b, const struct offer *o)
{
	struct head h;

	memset(&h, 0, sizeof(h)); /* its holes leave this process, too */
	h.heartbeat_s = o->heartbeat_s;
	h.end_due_ms = o->end_due_ms;
	h.key_len = (uint32_t)strlen(o->key);
	h.grant_len = (uint32_t)o->grant_len;
	h.user_len = (uint32_t)strlen(o->user);
	h.nchannels = (uint32_t)o->nchannels;
	h.request_id = o->request_id;
	if (buf_put(b, &h, sizeof(h)) == -1 ||
	    buf_put(b, o->key, h.key_len + 1) == -1 ||
	    buf_put(b, o->grant, h.grant_len) == -1)
		return -1;
	return buf_put(b, o->user, h.user_len + 1);
}

int
offer_add_channel(
    struct buf *b, const char *name, size_t len, uint64_t position)
{
	const unsigned char n = (unsigned char)len;

	if (buf_put(b, &position, sizeof(position)) == -1 ||
	    buf_put(b, &n, 1) == -1)
		return -1;
	return buf_put(b, name, len);
}

/* --- reading ------------------------------------------------------------ */

/* The next len bytes; NULL: there are not so many. */
static const char *
next_bytes(const char **p, const char *end, size_t len)
{
	const char *bytes = *p;

	if ((size_t)(end - *p) < len)
		return NULL;
	*p += len;
	return bytes;
}

/* The next text of that length, and its NUL; NULL: it is none. */
static const char *
next_text(const char **p, const char *end, size_t len)
{
	const char *text = next_bytes(p, end, len + 1);

	return text != NULL && memchr(text, '\0', len + 1) == text + len ? text
									 : NULL;
}

/* Are these nchannels channels, and nothing else? */
static int
check_channels(const struct offer *o)
{
	const char *p = o->channels, *end = p + o->channels_len, *name;
	size_t i, len;

	for (i = 0; i < o->nchannels; i++) {
		if (next_bytes(&p, end, sizeof(uint64_t)) == NULL || p == end)
			return -1;
		len = (unsigned char)*p++;
		name = next_bytes(&p, end, len);
		if (name == NULL || len == 0 || len > CHANNEL_LEN_MAX ||
		    memchr(name, '\0', len) != NULL)
			return -1;
	}
	return p == end ? 0 : -1;
}

int
offer_parse(struct offer *o, const char *p, size_t len)
{
	const char *end = p + len;
	struct head h;

	if (len < sizeof(h))
		return -1;
	memcpy(&h, p, sizeof(h));
	p += sizeof(h);
	if (h.nchannels == 0 || h.nchannels > CHANNELS_MAX ||
	    h.key_len > KEY_LEN_MAX)
		return -1;
	*o = (struct offer){ .request_id = h.request_id,
		.heartbeat_s = h.heartbeat_s,
		.end_due_ms = h.end_due_ms,
		.grant_len = h.grant_len,
		.nchannels = h.nchannels };
	if ((o->key = next_text(&p, end, h.key_len)) == NULL ||
	    (o->grant = next_bytes(&p, end, h.grant_len)) == NULL ||
	    (o->user = next_text(&p, end, h.user_len)) == NULL)
		return -1;
	o->channels = p;
	o->channels_len = (size_t)(end - p);
	return check_channels(o);
}

void
offer_next_channel(const struct offer *o, size_t *at, const char **name,
    size_t *len, uint64_t *position)
{
	const char *p = o->channels + *at;

	memcpy(position, p, sizeof(*position));
	*len = (unsigned char)p[sizeof(*position)];
	*name = p + sizeof(*position) + 1;
	*at += sizeof(*position) + 1 + *len;
}

int
offer_read_ready(struct offer_ready *r, const char *p, size_t len)
{
	if (len != sizeof(*r))
		return -1;
	memcpy(r, p, sizeof(*r));
	return 0;
}

int
offer_read_move(struct offer_move *m, const char *p, size_t len)
{
	if (len != sizeof(*m))
		return -1;
	memcpy(m, p, sizeof(*m));
	return 0;
}
