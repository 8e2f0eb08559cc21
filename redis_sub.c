/* SPDX-License-Identifier: ISC */
/*
 * The subscriber's connection.  One write carries UNSUBSCRIBE, MULTI, the
 * snapshot script, SUBSCRIBE, EXEC; Redis runs the block between any two
 * commands of others, so nothing falls between replay and live.  (A subscribed
 * RESP2 connection can run no script: hence UNSUBSCRIBE first.)  The answers
 * come behind messages that were on their way, and those count: in a flood the
 * history may have moved past them.
 */
#include "redis_sub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "command.h"
#include "redis_conn.h"

struct redis_sub {
	const struct config *cfg;
	const struct channel_set *channels;
	const char *session_key; /* NULL: none */
	struct redis_conn *conn; /* NULL: not connected */
	size_t prefix_len;
	struct take_words words;
	struct taken_channel *found;	      /* by the last take */
	redisReply *exec;		      /* its answer */
	const redisReply *snapshot, *records; /* in it */
	bool is_subscribed;
	bool was_torn;
	int answers_due;     /* of the take that was asked for */
	redisReply *refusal; /* the first of them that was an error */
	redisReply *message; /* what the last redis_sub_next borrows from */
	char error[256];
};

struct redis_sub *
redis_sub_new(const struct config *cfg, const struct channel_set *channels,
    const char *session_key, struct redis_conn *conn)
{
	struct redis_sub *sub = calloc(1, sizeof(*sub));

	if (sub == NULL)
		return NULL;
	sub->cfg = cfg;
	sub->channels = channels;
	sub->session_key = session_key;
	sub->prefix_len = strlen(cfg->prefix);
	sub->found = calloc(channels->n, sizeof(*sub->found));
	if (sub->found == NULL || take_words_init(&sub->words, cfg->prefix,
				      channels, session_key) == -1) {
		redis_sub_free(sub);
		return NULL;
	}
	sub->conn = conn;
	return sub;
}

static void
drop_message(struct redis_sub *sub)
{
	if (sub->message != NULL)
		freeReplyObject(sub->message);
	sub->message = NULL;
}

void
redis_sub_drop_taken(struct redis_sub *sub)
{
	if (sub->exec != NULL)
		freeReplyObject(sub->exec);
	sub->exec = NULL;
	sub->snapshot = sub->records = NULL;
}

static void
disconnect(struct redis_sub *sub)
{
	redis_conn_close(sub->conn);
	sub->conn = NULL;
	sub->is_subscribed = false;
	sub->answers_due = 0;
	if (sub->refusal != NULL)
		freeReplyObject(sub->refusal);
	sub->refusal = NULL;
}

void
redis_sub_free(struct redis_sub *sub)
{
	if (sub == NULL)
		return;
	disconnect(sub);
	drop_message(sub);
	redis_sub_drop_taken(sub);
	take_words_free(&sub->words);
	free(sub->found);
	free(sub);
}

/* --- what kind of message? ---------------------------------------------- */

static bool
is_text(const redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING &&
	       (size_t)r->len == strlen(text) &&
	       memcmp(r->str, text, (size_t)r->len) == 0;
}

/* message, subscribe and unsubscribe come unasked: arrays of three that begin
 * with a string */
static bool
is_push(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       r->element[0]->type == REDIS_REPLY_STRING;
}

static enum sub_kind
read_message(
    const struct redis_sub *sub, const redisReply *r, struct sub_message *m)
{
	static const char event[] = "event:";
	const char *name;
	size_t len, event_len = sizeof(event) - 1;

	if (!is_push(r) || !is_text(r->element[0], "message") ||
	    r->element[1]->type != REDIS_REPLY_STRING ||
	    r->element[2]->type != REDIS_REPLY_STRING)
		return SUB_NONE;
	name = r->element[1]->str;
	len = (size_t)r->element[1]->len;
	m->payload = r->element[2]->str;
	m->payload_len = (size_t)r->element[2]->len;
	if (len < sub->prefix_len ||
	    memcmp(name, sub->cfg->prefix, sub->prefix_len) != 0)
		return channel_set_find(sub->channels, name, len, &m->channel)
			   ? SUB_PLAIN
			   : SUB_NONE;
	if (sub->session_key != NULL && len == strlen(sub->session_key) &&
	    memcmp(name, sub->session_key, len) == 0)
		return SUB_SESSION;
	name += sub->prefix_len;
	len -= sub->prefix_len;
	if (len > event_len && memcmp(name, event, event_len) == 0)
		return channel_set_find(sub->channels, name + event_len,
			   len - event_len, &m->channel) &&
			       record_parse(
				   &m->rec, m->payload, m->payload_len) == 0
			   ? SUB_RECORD
			   : SUB_NONE;
	return SUB_NOTICE;
}

/* --- the take ----------------------------------------------------------- */

static int
fail(struct redis_sub *sub, const char *why)
{
	snprintf(sub->error, sizeof(sub->error), "%s", why);
	disconnect(sub);
	return -1;
}

static int
append(struct redis_sub *sub, const struct command *c)
{
	return redis_conn_append(sub->conn, c->argc, c->argv, c->lens);
}

static int
append_word(struct redis_sub *sub, const char *command)
{
	return redis_conn_append(sub->conn, 1, &command, NULL);
}

static int
write_take(struct redis_sub *sub, bool with_multi)
{
	if ((sub->is_subscribed && append_word(sub, "UNSUBSCRIBE") == -1) ||
	    (with_multi && append_word(sub, "MULTI") == -1) ||
	    append(sub, &sub->words.eval) == -1 ||
	    append(sub, &sub->words.subscribe) == -1 ||
	    (with_multi && append_word(sub, "EXEC") == -1) ||
	    redis_conn_flush(sub->conn) == -1)
		return fail(sub, redis_conn_error(sub->conn));
	sub->is_subscribed = true;
	sub->answers_due = with_multi ? 4 : 1;
	return 0;
}

static uint64_t
number(const redisReply *r)
{
	return r->type == REDIS_REPLY_INTEGER && r->integer > 0
		   ? (uint64_t)r->integer
		   : 0;
}

static bool
is_oom(const redisReply *r)
{
	return r != NULL && r->type == REDIS_REPLY_ERROR &&
	       strncmp(r->str, "OOM", 3) == 0;
}

int
redis_sub_ask(struct redis_sub *sub, const struct position *positions,
    uint64_t highest, const struct cursor *start)
{
	redis_sub_drop_taken(sub);
	drop_message(sub);
	sub->was_torn = false;
	if (sub->conn == NULL) {
		sub->conn = redis_conn_open(
		    &sub->cfg->redis, sub->error, sizeof(sub->error));
		if (sub->conn == NULL)
			return -1;
	}
	take_words_set(&sub->words, positions, highest, start);
	return write_take(sub, true);
}

/* The script's answer is in r, or in an array round it (EXEC's).  Keeps it. */
static enum sub_kind
accept_take(struct redis_sub *sub, redisReply *r)
{
	const redisReply *script = r;

	sub->exec = r;
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 2)
		script = r->element[0];
	if (script->type == REDIS_REPLY_ARRAY && script->elements == 9) {
		sub->snapshot = script;
		sub->records = script->element[8];
		return SUB_TAKEN;
	}
	fail(sub, script->type == REDIS_REPLY_ERROR
		      ? script->str
		      : "Redis gave an answer of another form");
	return SUB_CLOSED;
}

/*
 * One answer to the commands of a take: OK of MULTI, QUEUED twice, and EXEC's;
 * or, without MULTI, the script's alone.  Takes r.
 */
static enum sub_kind
read_answer(struct redis_sub *sub, redisReply *r)
{
	bool is_refused = r->type == REDIS_REPLY_ERROR;
	enum sub_kind kind = SUB_CLOSED;

	if (sub->answers_due == 0)
		goto out; /* unasked */
	if (--sub->answers_due > 0) {
		kind = SUB_NONE;
		if (is_refused && sub->refusal == NULL) {
			sub->refusal = r; /* the first one tells why */
			return kind;
		}
		goto out;
	}
	if (sub->refusal == NULL)
		return accept_take(sub, r);
	/* Redis over its memory limit refuses everything within MULTI, and
	 * nothing that only reads without */
	if (is_oom(sub->refusal)) {
		freeReplyObject(sub->refusal);
		sub->refusal = NULL;
		sub->was_torn = true;
		sub->is_subscribed = false;
		if (write_take(sub, false) == 0)
			kind = SUB_NONE;
	} else {
		fail(sub, sub->refusal->str);
	}
out:
	freeReplyObject(r);
	return kind;
}

void
redis_sub_read_take(struct redis_sub *sub, struct take *t)
{
	const redisReply *s = sub->snapshot, *state = s->element[7];
	size_t i;

	t->clock = number(s->element[0]);
	t->epoch = number(s->element[1]);
	t->now_us = number(s->element[2]);
	t->is_replica = number(s->element[3]) != 0;
	t->has_more = number(s->element[4]) != 0;
	t->is_torn = sub->was_torn;
	t->patterns = s->element[5]->type == REDIS_REPLY_STRING
			  ? s->element[5]->str
			  : NULL;
	t->session = NULL;
	if (s->element[6]->type == REDIS_REPLY_STRING) {
		t->session = s->element[6]->str;
		t->session_len = (size_t)s->element[6]->len;
	}
	t->channels = sub->found;
	t->nrecords = sub->records->elements / 2;
	for (i = 0; i < sub->channels->n; i++) {
		struct taken_channel *found = &sub->found[i];

		memset(found, 0, sizeof(*found));
		if (2 * i + 1 >= state->elements)
			continue;
		found->last = number(state->element[2 * i]);
		found->oldest_prev = number(state->element[2 * i + 1]);
	}
}

int
redis_sub_taken(
    const struct redis_sub *sub, size_t i, size_t *channel, struct record *rec)
{
	const redisReply *c = sub->records->element[2 * i];
	const redisReply *r = sub->records->element[2 * i + 1];

	*channel = (size_t)number(c);
	if (*channel >= sub->channels->n || r->type != REDIS_REPLY_STRING)
		return -1;
	return record_parse(rec, r->str, (size_t)r->len);
}

/* --- live --------------------------------------------------------------- */

enum sub_kind
redis_sub_next(struct redis_sub *sub, struct sub_message *m)
{
	enum sub_kind kind = SUB_NONE;
	const redisContext *context;
	void *reply;

	while (kind == SUB_NONE && sub->conn != NULL) {
		drop_message(sub);
		context = redis_conn_context(sub->conn);
		reply = NULL;
		if (redisGetReplyFromReader(
			redis_conn_context(sub->conn), &reply) != REDIS_OK ||
		    (reply == NULL && context->err != 0)) {
			fail(sub, redis_conn_error(sub->conn));
		} else if (reply == NULL) {
			return SUB_NONE;
		} else if (!is_push(reply)) {
			kind = read_answer(sub, reply);
		} else {
			sub->message = reply;
			kind = read_message(sub, reply, m);
		}
	}
	return kind == SUB_NONE ? SUB_CLOSED : kind;
}

int
redis_sub_fd(const struct redis_sub *sub)
{
	return sub->conn != NULL ? redis_conn_fd(sub->conn) : -1;
}

void
redis_sub_fill(struct redis_sub *sub)
{
	if (sub->conn != NULL)
		redis_conn_fill(sub->conn); /* its error comes up in next */
}

const char *
redis_sub_error(const struct redis_sub *sub)
{
	return sub->error;
}
