/* SPDX-License-Identifier: ISC */
/* The answer to a take, as long as it is needed. */
#include "redis/take_answer.h"

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "redis/snapshot.h"

int
take_answer_set(struct take_answer *a, size_t nchannels, size_t ngrants)
{
	take_answer_drop(a);
	free(a->found);
	free(a->grants);
	a->nfound = nchannels;
	a->ngrants = ngrants;
	a->found = calloc(nchannels + 1, sizeof(*a->found));
	a->grants = calloc(ngrants + 1, sizeof(*a->grants));
	return a->found == NULL || a->grants == NULL ? -1 : 0;
}

void
take_answer_free(struct take_answer *a)
{
	take_answer_drop(a);
	take_answer_expect_none(a);
	free(a->found);
	free(a->grants);
	*a = (struct take_answer){ .reply = NULL };
}

/* --- what was asked ----------------------------------------------------- */

void
take_answer_expect(struct take_answer *a, int n)
{
	a->ndue += n;
}

void
take_answer_expect_none(struct take_answer *a)
{
	a->ndue = 0;
	if (a->refusal != NULL)
		freeReplyObject(a->refusal);
	a->refusal = NULL;
}

bool
take_answer_is_due(const struct take_answer *a)
{
	return a->ndue > 0;
}

/* The last one: the script's answer, or EXEC's array that begins with it. */
static enum take_answer_state
keep(struct take_answer *a, redisReply *r)
{
	const redisReply *script = r;

	take_answer_drop(a);
	a->reply = r;
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 2)
		script = r->element[0];
	if (!snapshot_is_valid(script)) {
		a->unexpected = script->type == REDIS_REPLY_ERROR
				    ? script->str
				    : "unexpected reply";
		return TAKE_ANSWER_REFUSED;
	}
	a->script = script;
	return TAKE_ANSWER_WHOLE;
}

enum take_answer_state
take_answer_hear(struct take_answer *a, redisReply *r)
{
	if (a->ndue > 0)
		a->ndue--;
	if (r->type == REDIS_REPLY_ERROR && a->refusal == NULL)
		a->refusal = r; /* the first one tells why */
	else if (a->ndue == 0 && a->refusal == NULL)
		return keep(a, r);
	else
		freeReplyObject(r);
	return a->ndue > 0 ? TAKE_ANSWER_DUE : TAKE_ANSWER_REFUSED;
}

const char *
take_answer_refusal(const struct take_answer *a)
{
	return a->refusal != NULL ? a->refusal->str : a->unexpected;
}

/* --- what came ---------------------------------------------------------- */

void
take_answer_drop(struct take_answer *a)
{
	if (a->reply != NULL)
		freeReplyObject(a->reply);
	a->reply = NULL;
	a->script = NULL;
	a->unexpected = NULL;
}

void
take_answer_read(const struct take_answer *a, struct take *t)
{
	snapshot_read(a->script, a->found, a->nfound, a->grants, a->ngrants, t);
}

int
take_answer_record(
    const struct take_answer *a, size_t i, size_t *channel, struct record *rec)
{
	return snapshot_record(a->script, i, a->nfound, channel, rec);
}
