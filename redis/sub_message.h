/* SPDX-License-Identifier: ISC */
/* What a stream's subscription sends, by kind.  Pure: it reads hiredis' replies
 * and sees no connection. */
#ifndef SUB_MESSAGE_H
#define SUB_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/channel.h"
#include "redis/record.h"

struct redisReply;

enum sub_kind {
	SUB_NONE,    /* nothing more has been read */
	SUB_RECORD,  /* rec, of channel */
	SUB_PLAIN,   /* payload, of channel: a plain PUBLISH */
	SUB_RELAY,   /* relay, of channel */
	SUB_NOTICE,  /* a recorder came or went: take */
	SUB_SESSION, /* the grant of the session with key number `channel'
		      * changed: pass nothing on, take */
	SUB_PONG,    /* payload: what redis_sub_ping sent */
	SUB_TAKEN,   /* the take that was asked for is there */
	SUB_CLOSED   /* the connection is gone, or the take was refused:
		     * redis_sub_error; ask again later */
};

struct sub_message {
	size_t channel;
	struct record rec;
	struct relay relay;
	const char *payload;
	size_t payload_len;
};

/* Does this come unasked (message, subscribe, unsubscribe), or is it the answer
 * to PING while there is a subscription, and none to what a take asks? */
bool sub_message_is_push(const struct redisReply *r);

/*
 * What has come to streams of those channels, of the site with that prefix,
 * whose sessions' grants have those keys?  *m borrows from r.  SUB_NONE: a
 * confirmation, or what is none of its business.
 */
enum sub_kind sub_message_read(struct sub_message *m,
    const struct redisReply *r, const char *prefix,
    const struct channel_set *channels, const struct channel_set *keys);

#endif
