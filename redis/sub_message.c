/* SPDX-License-Identifier: ISC */
/* Messages by the channel that they come on.  Anybody may have sent them. */
#include "redis/sub_message.h"

#include <string.h>

#include <hiredis/hiredis.h>

bool
sub_message_is_push(const redisReply *r)
{
	/* an array of three that begins with a string */
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       r->element[0]->type == REDIS_REPLY_STRING;
}

static bool
is_text(const redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING &&
	       (size_t)r->len == strlen(text) &&
	       memcmp(r->str, text, (size_t)r->len) == 0;
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
    const struct channel_set *channels, const char *session_key)
{
	static const char event[] = "event:";
	const size_t prefix_len = strlen(prefix), event_len = sizeof(event) - 1;
	const char *name;
	size_t len;

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
	if (session_key != NULL && is_text(r->element[1], session_key))
		return SUB_SESSION;
	name += prefix_len;
	len -= prefix_len;
	if (len <= event_len || memcmp(name, event, event_len) != 0)
		return SUB_NOTICE;
	return channel_set_find(
		   channels, name + event_len, len - event_len, &m->channel)
		   ? read_record(m)
		   : SUB_NONE;
}
