/* SPDX-License-Identifier: ISC */
/*
 * What one stream reads from Redis: a take (a snapshot of what is behind its
 * positions and the subscription, in one step), then records as they come.
 * Errors are text in the object; nothing here logs.
 */
#ifndef REDIS_SUB_H
#define REDIS_SUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "config.h"
#include "request.h"
#include "sse.h"

#define TAKE_BYTES (4 << 20) /* records of one take, unless one is larger */

/* What a stream knows of one of its channels; kept by the caller. */
struct position {
	uint64_t id;	  /* nothing at or below it is wanted */
	bool is_exact;	  /* it is the id of the channel's last event */
	bool hears_plain; /* listen to plain PUBLISH: no recorder covers it */
};

/* What a take found. */
struct take {
	uint64_t clock; /* last id given out; 0: empty store */
	uint64_t epoch; /* first one; 0: none */
	uint64_t now_us;
	bool is_replica;      /* asked only if highest > clock */
	bool has_more;	      /* records remain: take again from the last */
	const char *patterns; /* of the active recorder; NULL: there is none */
	const char *session;  /* record of the session; NULL: there is none */
	size_t session_len;   /* bytes */
	size_t nrecords;
};

struct taken_channel {
	uint64_t last;	      /* id of its last event, 0: none */
	uint64_t oldest_prev; /* newer than the position: what lay between is
			       * gone.  0 where nothing is new */
};

struct redis_conn;
struct redis_sub;

/* Reads those channels, and with them the session's record under session_key
 * (NULL for none).  Borrows cfg, channels and key for its life.  NULL without
 * memory.  Connects in redis_sub_ask. */
struct redis_sub *redis_sub_new(const struct config *cfg,
    const struct channel_set *channels, const char *session_key);

/* Use this connection, which it then owns, instead of making one. */
void redis_sub_adopt(struct redis_sub *sub, struct redis_conn *conn);

void redis_sub_free(struct redis_sub *sub);

/*
 * Ask for a take: connect if need be, and have Redis read the store behind
 * positions[] (one for each channel) and (re)subscribe, atomically.  start:
 * CURSOR_LAST or CURSOR_SINCE replace the positions; other kinds are ignored.
 * highest: the largest id the stream has seen or claims.
 * Returns 0: go on with redis_sub_next until SUB_TAKEN (or SUB_CLOSED).  What
 * it returns before was published before the take, and the take, which is of
 * these positions, may bring it again.  Returns -1 with redis_sub_error: try
 * again later.
 */
int redis_sub_ask(struct redis_sub *sub, const struct position *positions,
    uint64_t highest, const struct cursor *start);

/* After SUB_TAKEN: *t (borrowed from sub until redis_sub_drop_taken) and
 * found[], one for each channel. */
void redis_sub_read_take(
    struct redis_sub *sub, struct take *t, struct taken_channel *found);

/* Record i of the last take, in the order of ids; *channel is its number.
 * Returns 0, or -1 if it is none (somebody wrote to the list by hand). */
int redis_sub_taken(
    const struct redis_sub *sub, size_t i, size_t *channel, struct record *rec);

/* The records of the last take are no longer needed. */
void redis_sub_drop_taken(struct redis_sub *sub);

/* Was the last take made without MULTI, for want of memory in Redis?  Then
 * something may have come between, and another should follow at once. */
bool redis_sub_was_torn(const struct redis_sub *sub);

enum sub_kind {
	SUB_NONE,    /* nothing more has been read */
	SUB_RECORD,  /* rec, of channel */
	SUB_PLAIN,   /* payload, of channel: a plain PUBLISH */
	SUB_NOTICE,  /* a recorder came or went: take */
	SUB_SESSION, /* the session's record changed: pass nothing on, take */
	SUB_TAKEN,   /* the take that was asked for is there */
	SUB_CLOSED   /* the connection is gone, or the take was refused:
		     * redis_sub_error; ask again later */
};

struct sub_message {
	size_t channel;
	struct record rec;
	const char *payload;
	size_t payload_len;
};

/* The next message of what was read; it lives until the next call of
 * redis_sub_next, _ask or _free. */
enum sub_kind redis_sub_next(struct redis_sub *sub, struct sub_message *m);

/* To poll for POLLIN; -1 while there is no connection. */
int redis_sub_fd(const struct redis_sub *sub);

/* Read once: when poll() says so, or to wait, up to the command's time limit.
 * A lost connection shows in redis_sub_next, behind what came before. */
void redis_sub_fill(struct redis_sub *sub);

/* Why the last call failed; lives as long as sub. */
const char *redis_sub_error(const struct redis_sub *sub);

#endif
