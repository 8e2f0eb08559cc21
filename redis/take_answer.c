/* SPDX-License-Identifier: ISC */
/* The answer to a take, as long as it is needed. */
#include "redis/take_answer.h"

#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "redis/snapshot.h"

int
take_answer_set(struct take_answer *a, size_t nchannels, size_t ngrants)
{
	take_answer_free(a);
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
	free(a->found);
	free(a->grants);
	*a = (struct take_answer){ .reply = NULL };
}

const char *
take_answer_keep(struct take_answer *a, redisReply *r)
{
	const redisReply *script = r;

	a->reply = r;
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 2)
		script = r->element[0];
	if (snapshot_is_valid(script)) {
		a->script = script;
		return NULL;
	}
	return script->type == REDIS_REPLY_ERROR ? script->str
						 : "unexpected reply";
}

void
take_answer_drop(struct take_answer *a)
{
	if (a->reply != NULL)
		freeReplyObject(a->reply);
	a->reply = NULL;
	a->script = NULL;
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
