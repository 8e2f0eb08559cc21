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
	struct redisReply *reply;	 /* owned; NULL: none */
	const struct redisReply *script; /* the script's, in it */
	struct taken_channel *found;	 /* owned: nfound, */
	struct taken_grant *grants;	 /* ngrants */
	size_t nfound, ngrants;
};

/* The next answer is about so many channels and grants.  Returns 0, or -1
 * without memory. */
int take_answer_set(struct take_answer *a, size_t nchannels, size_t ngrants);
void take_answer_free(struct take_answer *a);

/* Keep r, and take it: the script's answer, or an array of EXEC that begins with
 * it.  Returns NULL; or what Redis says instead of an answer, which lives as
 * long as r is kept. */
const char *take_answer_keep(struct take_answer *a, struct redisReply *r);

/* It is no longer needed. */
void take_answer_drop(struct take_answer *a);

/* *t, but for is_not_atomic, and its record i; see snapshot.h.  They borrow from
 * the answer. */
void take_answer_read(const struct take_answer *a, struct take *t);
int take_answer_record(
    const struct take_answer *a, size_t i, size_t *channel, struct record *rec);

#endif
