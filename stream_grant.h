/* SPDX-License-Identifier: ISC */
/* What a stream answers where it is none, and how it follows its session's
 * grant.  For stream.c alone. */
#ifndef STREAM_GRANT_H
#define STREAM_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "client.h"
#include "follow.h"
#include "move.h"
#include "outlet.h"
#include "redis/channel.h"
#include "request.h"
#include "session.h"
#include "stream_sink.h"

struct stream {
	struct client *cl;
	const struct config *cfg;
	const struct request *req;
	struct session *session;
	size_t nlooked, nfound, found; /* of its keys, if there are several */
	struct channel_set keys;       /* the one that is followed, or none */
	struct respond_links *links;   /* borrowed */
	int life_fd; /* at its end when nobody records here; or -1 */
	struct outlet out;
	struct stream_sink sink;
	struct follower follower;
	struct move move;
	bool is_stopping;
	bool is_over; /* the answer is complete */
	int64_t end_due_ms;
};

/* Instead of a stream, before anything was said: it will pass; or Redis is away,
 * as the error says. */
enum client_result stream_come_back(struct stream *st, const char *why);
enum client_result stream_come_back_from(struct stream *st, const char *error);

/* FOLLOW_CHANGED: the grant in Redis is another one now, or this is its first
 * reading: follow the channels that it names, or end. */
enum client_result stream_apply_grant(struct stream *st);

/* The key of the session's grant as a set.  0, or -1 without memory. */
int stream_set_keys(struct stream *st);

void stream_log_channels(const struct session *s);

#endif
