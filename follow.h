/* SPDX-License-Identifier: ISC */
/*
 * Following the channels of one stream: when it takes.  Whatever goes wrong
 * with Redis ends in one remedy, a take: it reads after the positions, so that
 * nothing is lost and nothing comes twice.  Nothing here waits for Redis: the
 * stream's loop polls, and calls.
 *
 *             ask                  taken, all of it
 *   AWAY ───────────▶ TAKING ───────────────────▶ LIVE
 *     ▲  closed, refused, ││ ▲ more to come        │ hole, notice, session
 *     └──── silent ───────┘│ ├─────────────────────┤ speaks, check due
 *                          │ └─ RESTING ◀──────────┘ the client takes nothing
 *                          └─▶ CHANGED (another session grant)
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/config.h"
#include "base/cursor.h"
#include "base/log.h"
#include "delivery.h"
#include "redis/take.h"
#include "redis_sub.h"
#include "redis/channel.h"
#include "sink.h"

enum follow_state {
	FOLLOW_AWAY,	/* no connection: ask at due_ms */
	FOLLOW_TAKING,	/* asked; without a byte until due_ms Redis is away */
	FOLLOW_LIVE,	/* the positions are exact; a check at due_ms */
	FOLLOW_RESTING, /* the client takes nothing: no channel is heard until
			 * follow_wake */
	FOLLOW_CHANGED	/* delivery.taken.grants are others, as the sink says:
			* nothing passes until follow_set */
};

struct follower {
	/* others read these */
	enum follow_state state;
	int64_t due_ms;	  /* follow_work is to be called then; see above */
	bool is_hopeless; /* AWAY before the stream began, and there is no
			   * other way to ask */
	struct delivery delivery;
	uint64_t pong; /* the last number of follow_ping that came back */
	/* the rest is follow.c's, but that the loop polls for sub */
	struct redis_sub *sub;
	const struct config *cfg; /* borrowed, as are the next three */
	const struct channel_set *channels, *keys;
	struct sink *out;
	struct take_size size;
	bool is_muted; /* the session may be over: nothing passes until a take
			* says that it is not */
	bool checks_not_atomic; /* the coming take follows one that was not
				 * atomic */
	int64_t summons_ms;	/* it follows one within that time, at most */
	bool is_summoned; /* to a take, soon, for a record that is too large to
			   * be published: no other overtakes it */
	bool has_doubt; /* the recorder of this host may be dead: a check is due
			 * after this take */
	int64_t queue_full_ms; /* since when that of Redis is; 0: it is not */
	int coverage_tries;
	bool has_heard_relay;	/* since the last check was due */
	int64_t redis_ahead_us; /* of clock_now_ms: the time there */
	struct backoff backoff; /* between two tries to reach Redis */
	struct trouble refused; /* the password is */
};

/* Ask Redis for a take.  For follow_channels.c. */
void follow_ask(struct follower *f);

/* Do what due_ms was set for.  is_quiet: Redis had nothing to say just now. */
void follow_work(struct follower *f, bool is_quiet);

/* The client takes nothing: leave the channels, so that nothing waits for it in
 * Redis; the history is for that.  And go on, from where it is. */
void follow_rest(struct follower *f);
void follow_wake(struct follower *f);

/* The next take brings so much at most (but a single record, or 128 KiB): what it
 * brings is for many. */
void follow_limit_take(struct follower *f, size_t bytes);

/* The recorder of this host may be dead: a check is due soon. */
void follow_doubt(struct follower *f);

/* Redis has something to say, or takes something (revents of poll()): pass on
 * what is the client's.  Returns CLIENT_GONE when nobody reads any more. */
enum client_result follow_hear(struct follower *f, short revents);

#endif
