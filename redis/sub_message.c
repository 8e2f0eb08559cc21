/* SPDX-License-Identifier: ISC */
/* Messages by the channel that they come on.  Anybody may have sent them. */
#include "redis/sub_message.h"

#include <string.h>

#include <hiredis/hiredis.h>

static bool
is_text(const redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING &&
	       (size_t)r->len == strlen(text) &&
	       memcmp(r->str, text, (size_t)r->len) == 0;
}

/* ["pong", TEXT], as Redis answers a connection that is subscribed. */
static bool
is_pong(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
	       is_text(r->element[0], "pong") &&
	       r->element[1]->type == REDIS_REPLY_STRING;
}

bool
sub_message_is_push(const redisReply *r)
{
	/* an array of three that begins with a string */
	return (r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
		   r->element[0]->type == REDIS_REPLY_STRING) ||
	       is_pong(r);
}

/* It came on the channel of a channel's records. */
static enum sub_kind
read_record(struct sub_message *m)
{
	if (record_parse(&m->rec, m->payload, m->payload_len) == 0)
		return SUB_RECORD;
	if (relay_parse(&m->relay, m->payload, m->payload_len) == 0)
		return SUB_RELAY;
	return SUB_NONE;
}

enum sub_kind
sub_message_read(struct sub_message *m, const redisReply *r, const char *prefix,
    const struct channel_set *channels, const struct channel_set *keys)
{
	static const char event[] = "event:";
	const size_t prefix_len = strlen(prefix), event_len = sizeof(event) - 1;
	const char *name;
	size_t len, key;

	if (is_pong(r)) {
		m->payload = r->element[1]->str;
		m->payload_len = (size_t)r->element[1]->len;
		return SUB_PONG;
	}
	if (!sub_message_is_push(r) || !is_text(r->element[0], "message") ||
	    r->element[1]->type != REDIS_REPLY_STRING ||
	    r->element[2]->type != REDIS_REPLY_STRING)
		return SUB_NONE;
	name = r->element[1]->str;
	len = (size_t)r->element[1]->len;
	m->payload = r->element[2]->str;
	m->payload_len = (size_t)r->element[2]->len;
	if (len < prefix_len || memcmp(name, prefix, prefix_len) != 0)
		return channel_set_find(channels, name, len, &m->channel)
			   ? SUB_PLAIN
			   : SUB_NONE;
	if (channel_set_find(keys, name, len, &key)) {
		m->channel = key;
		return SUB_SESSION;
	}
	name += prefix_len;
	len -= prefix_len;
	if (len <= event_len || memcmp(name, event, event_len) != 0)
		return SUB_NOTICE;
	return channel_set_find(
		   channels, name + event_len, len - event_len, &m->channel)
		   ? read_record(m)
		   : SUB_NONE;
}
