/* SPDX-License-Identifier: ISC */
/* What Redis answers to a take, and the memory for what is read from it.  It
 * reads hiredis' replies and sees no connection. */
#ifndef TAKE_ANSWER_H
#define TAKE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "redis/record.h"
#include "redis/take.h"

struct redisReply;

/* All zero is the beginning.  Others do not look into it. */
struct take_answer {
	int ndue;		    /* answers, of what was asked */
	struct redisReply *refusal; /* owned: the first that was an error */
	struct redisReply *reply;   /* owned; NULL: none */
	const struct redisReply *script; /* the script's, in it */
	const char *unexpected;		 /* instead of the script's answer */
	struct taken_channel *found;	 /* owned: nfound, */
	struct taken_grant *grants;	 /* ngrants */
	size_t nfound, ngrants;
};

/* The next answer is about so many channels and grants.  Returns 0, or -1
 * without memory. */
int take_answer_set(struct take_answer *a, size_t nchannels, size_t ngrants);
void take_answer_free(struct take_answer *a);

/* So many answers more belong to what was asked: perhaps those to AUTH, SELECT
 * and enter.lua, OK of MULTI, QUEUED twice, and EXEC's; or, without MULTI, the
 * script's alone.  Or none any more: the connection is another. */
void take_answer_expect(struct take_answer *a, int n);
void take_answer_expect_none(struct take_answer *a);
bool take_answer_is_due(const struct take_answer *a);

enum take_answer_state {
	TAKE_ANSWER_DUE,    /* there is more to come */
	TAKE_ANSWER_WHOLE,  /* it can be read */
	TAKE_ANSWER_REFUSED /* take_answer_refusal says why */
};

/* One answer; takes r.  (One that nobody asked for tells why the connection
 * ends.) */
enum take_answer_state take_answer_hear(
    struct take_answer *a, struct redisReply *r);

/* The first error of those that came, until other answers are expected; NULL:
 * there was none. */
const char *take_answer_refusal(const struct take_answer *a);

/* It is no longer needed. */
void take_answer_drop(struct take_answer *a);

/* *t, but for is_not_atomic, and its record i; see snapshot.h.  They borrow from
 * the answer. */
void take_answer_read(const struct take_answer *a, struct take *t);
int take_answer_record(
    const struct take_answer *a, size_t i, size_t *channel, struct record *rec);

#endif
