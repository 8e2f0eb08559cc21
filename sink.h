/* SPDX-License-Identifier: ISC */
/*
 * Where what a follower hears goes: to one client (stream_sink.h), or to all
 * those of a carrier (carrier/fan.h).
 */
#ifndef SINK_H
#define SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "redis/channel.h"
#include "redis/record.h"
#include "redis/take.h"
#include "resume.h"

struct sink;

/* What cannot be kept. */
struct reset {
	enum reset_reason reason;
	uint64_t id; /* a page that keeps its own position may go on from it */
	const struct channel_set *channels;
	const bool *is_affected; /* one for each of channels */
	const struct take *take; /* that showed it */
};

/* Each channel is a number among the follower's.  The calls return CLIENT_GONE
 * when nobody reads any more. */
struct sink_ops {
	/* the first take is there: all at or below floor has been, or is not
	 * asked for */
	enum client_result (*start)(struct sink *s, uint64_t floor);

	/* a record, once and in its channel's order; or one that was passed on
	 * live before, without its id */
	enum client_result (*record)(
	    struct sink *s, size_t channel, const struct record *rec);
	enum client_result (*passed)(
	    struct sink *s, size_t channel, const struct record *rec);

	/* a plain message, live, without an id */
	enum client_result (*message)(
	    struct sink *s, size_t channel, const char *frame, size_t len);

	/* what is gone.  RESET_FLUSHED: the store went back to r->id, and no
	 * cursor may stay above that */
	enum client_result (*reset)(struct sink *s, const struct reset *r);

	/* all is taken up to that id */
	enum client_result (*position)(struct sink *s, uint64_t id);

	/* does so much wait that the next take had better come later? */
	bool (*is_congested)(const struct sink *s);

	/* a session spoke, number key: returns whether nothing at all may pass
	 * until a take shows its grant */
	bool (*session_spoke)(struct sink *s, size_t key);

	/* the grants of a take: returns whether the follower is to stop
	 * (FOLLOW_CHANGED), for they are others */
	bool (*grants_changed)(struct sink *s, const struct take *t);
};

struct sink {
	const struct sink_ops *ops;
};

#endif
