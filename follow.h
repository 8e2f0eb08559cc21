/* SPDX-License-Identifier: ISC */
/*
 * Following the channels of one stream: when it takes, and what it is sent of
 * takes, records and plain messages.  Whatever goes wrong with Redis ends in
 * one remedy, a take: it reads behind the positions, so that nothing is lost
 * and nothing comes twice.
 */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "config.h"
#include "outlet.h"
#include "plain.h"
#include "progress.h"
#include "redis_sub.h"
#include "request.h"
#include "session.h"
#include "take.h"

struct follower {
	const struct config *cfg;	    /* borrowed */
	const struct session *session;	    /* borrowed */
	const struct channel_set *channels; /* the session's */
	struct outlet *out;		    /* borrowed */
	struct redis_sub *sub;
	struct progress progress;
	struct plain plain;
	struct take taken;
	bool *is_concerned; /* by a reset: one for each channel */
	bool is_open;	    /* the header is out: events may follow */
	bool checks_torn;   /* the coming take follows a torn one */
	bool
	    is_muted; /* the session may be over: nothing passes until a take */
	bool session_changed; /* the last take found another record, or none */
	int64_t take_due_ms;  /* when to take next */
	int64_t again_ms;     /* pause between tries; 0: Redis is there */
};

/* Follow the session's channels into out; takes *conn over, unless it is NULL.
 * Returns 0, or -1 without memory; in any case end with follow_close. */
int follow_open(struct follower *f, const struct config *cfg,
    const struct session *session, struct redis_conn **conn,
    struct outlet *out);
void follow_close(struct follower *f);

/* The first take, from a cursor.  Writes nothing yet.  Returns 0, or -1 with
 * redis_sub_error(f->sub), or -1 with session_changed: f->taken.session is the
 * record now. */
int follow_begin(struct follower *f, const struct cursor *c);

/* Instead: go on in an open stream, behind an id, by follow_take. */
void follow_from(struct follower *f, uint64_t id);

/* What that take means for the client (see resume.h). */
struct resume follow_resume(const struct follower *f, const struct cursor *c);

/* "stream-reset" for the channels that the last take found trimmed, or for
 * all. */
enum client_result follow_put_reset(
    struct follower *f, enum reset_reason reason, bool concerns_all);

/* Send what was taken, and take on until it is all; behind it the clock as a
 * block of only an id. */
enum client_result follow_catch_up(struct follower *f, const struct resume *r);

/* Take in an open stream: catch up with what was missed, or say that it is
 * gone.  Whether Redis can be reached or not, the stream goes on: take_due_ms
 * says when to take next.  Not so when session_changed is set: then
 * f->taken.session is the record now, and nothing was sent of the take. */
enum client_result follow_take(struct follower *f);

/* Pass on all that was read from Redis. */
enum client_result follow_pass(struct follower *f);

#endif
