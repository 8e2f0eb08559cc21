/* SPDX-License-Identifier: ISC */
/*
 * The subscriber's connection.  One write carries UNSUBSCRIBE, MULTI, the script,
 * SUBSCRIBE and EXEC; Redis runs them between two commands of others, so nothing
 * falls between replay and live.  (A subscribed RESP2 connection can run no script:
 * hence UNSUBSCRIBE.)  The answers come after messages that were on their way, and
 * those count: in a flood the history may have moved past them.
 */
#include "redis_sub.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/cursor.h"
#include "redis/command.h"
#include "redis/redis_conn.h"
#include "redis/sub_message.h"
#include "redis/take_answer.h"

struct redis_sub {
	const struct config *cfg;
	const struct channel_set *channels, *keys;
	struct redis_conn *conn; /* NULL: not connected */
	struct take_words words;
	bool words_are_stale;	  /* the sets have grown */
	struct take_answer taken; /* of the last one */
	bool is_unsent;		  /* some of what was asked */
	bool is_subscribed;
	bool is_not_atomic;
	bool is_reused; /* no take was answered for this stream */
	struct sub_end end;
	redisReply *message; /* what the last redis_sub_next borrows from */
	char error[256];
};

struct redis_sub *
redis_sub_new(const struct config *cfg)
{
	struct redis_sub *sub = calloc(1, sizeof(*sub));

	if (sub == NULL)
		return NULL;
	sub->cfg = cfg;
	return sub;
}

/* The sets are others: with the next take come other words. */
static int
set_words(struct redis_sub *sub)
{
	take_words_free(&sub->words);
	sub->words_are_stale = false;
	if (take_words_init(
		&sub->words, sub->cfg->prefix, sub->channels, sub->keys) == -1)
		return -1;
	return take_answer_set(&sub->taken, sub->channels->n, sub->keys->n);
}

int
redis_sub_set(struct redis_sub *sub, const struct channel_set *channels,
    const struct channel_set *keys)
{
	redis_sub_drop_taken(sub);
	sub->channels = channels;
	sub->keys = keys;
	return set_words(sub);
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
	take_answer_drop(&sub->taken);
}

static void
disconnect(struct redis_sub *sub)
{
	redis_conn_close(sub->conn);
	sub->conn = NULL;
	sub->is_subscribed = sub->is_unsent = false;
	sub->end.was_reused = sub->is_reused;
	sub->is_reused = false;
	take_answer_expect_none(&sub->taken);
}

void
redis_sub_free(struct redis_sub *sub)
{
	if (sub == NULL)
		return;
	disconnect(sub);
	drop_message(sub);
	take_words_free(&sub->words);
	take_answer_free(&sub->taken);
	free(sub);
}

/* --- the take ----------------------------------------------------------- */

static void
fail(struct redis_sub *sub, const char *why)
{
	sub->end.was_refused = redis_address_is_refusal(why);
	redis_address_put_error(
	    &sub->cfg->redis, why, sub->error, sizeof(sub->error));
	disconnect(sub);
}

/* The connection is gone.  What Redis said before tells more than that. */
static void
fail_broken(struct redis_sub *sub)
{
	const char *refusal = take_answer_refusal(&sub->taken);

	sub->end.was_cut = refusal == NULL && redis_conn_was_cut(sub->conn);
	fail(sub, refusal != NULL ? refusal : redis_conn_error(sub->conn));
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

/* Send what was appended.  An error comes up in redis_sub_next, after what was
 * said before. */
static void
send_appended(struct redis_sub *sub)
{
	bool is_sent = false;

	sub->is_unsent = redis_conn_send(sub->conn, &is_sent) == 0 && !is_sent;
}

static int
write_take(struct redis_sub *sub, bool is_atomic)
{
	if (redis_conn_was_cut(sub->conn)) { /* and it is not known yet */
		fail_broken(sub);
		return -1;
	}
	if ((sub->is_subscribed && append_word(sub, "UNSUBSCRIBE") == -1) ||
	    (is_atomic && append_word(sub, "MULTI") == -1) ||
	    append(sub, &sub->words.eval) == -1 ||
	    append(sub, &sub->words.subscribe) == -1 ||
	    (is_atomic && append_word(sub, "EXEC") == -1)) {
		fail(sub, "out of memory");
		return -1;
	}
	send_appended(sub);
	sub->is_subscribed = true;
	sub->is_not_atomic = !is_atomic;
	take_answer_expect(&sub->taken, is_atomic ? 4 : 1);
	return 0;
}

int
redis_sub_ask(struct redis_sub *sub, const struct position *positions,
    uint64_t highest, const struct cursor *start, size_t bytes)
{
	int nanswers;

	redis_sub_drop_taken(sub);
	drop_message(sub);
	sub->end = (struct sub_end){ .was_cut = false };
	if (sub->conn == NULL) {
		sub->conn = redis_conn_begin(&sub->cfg->redis, &nanswers,
		    sub->error, sizeof(sub->error));
		if (sub->conn == NULL) {
			sub->end.queue_is_full = errno == EAGAIN;
			return -1;
		}
		take_answer_expect(&sub->taken, nanswers);
	}
	if (sub->words_are_stale && set_words(sub) == -1) {
		fail(sub, "out of memory");
		return -1;
	}
	take_words_set(&sub->words, positions, highest, start, bytes);
	return write_take(sub, true);
}

/* All answers are there, and one of them was an error. */
static enum sub_kind
accept_refusal(struct redis_sub *sub)
{
	const char *refusal = take_answer_refusal(&sub->taken);

	/* Redis over its memory limit refuses everything within MULTI, and
	 * nothing that only reads without */
	if (strncmp(refusal, "OOM", 3) == 0 && !sub->is_not_atomic) {
		take_answer_expect_none(&sub->taken);
		sub->is_subscribed = false;
		return write_take(sub, false) == 0 ? SUB_NONE : SUB_CLOSED;
	}
	fail(sub, refusal);
	return SUB_CLOSED;
}

/* One answer to the commands of a take.  Takes r. */
static enum sub_kind
read_answer(struct redis_sub *sub, redisReply *r)
{
	switch (take_answer_hear(&sub->taken, r)) {
	case TAKE_ANSWER_DUE:
		break;
	case TAKE_ANSWER_WHOLE:
		sub->is_reused = false;
		return SUB_TAKEN;
	case TAKE_ANSWER_REFUSED:
		return accept_refusal(sub);
	}
	return SUB_NONE;
}

void
redis_sub_read_take(struct redis_sub *sub, struct take *t)
{
	take_answer_read(&sub->taken, t);
	t->is_not_atomic = sub->is_not_atomic;
}

int
redis_sub_taken(
    const struct redis_sub *sub, size_t i, size_t *channel, struct record *rec)
{
	return take_answer_record(&sub->taken, i, channel, rec);
}

/* --- besides takes ------------------------------------------------------ */

static int
append_new(struct redis_sub *sub, size_t first_channel, size_t first_key)
{
	struct command c;
	int failed = take_subscribe_init(&c, sub->cfg->prefix, sub->channels,
	    first_channel, sub->keys, first_key);

	if (failed == 0)
		failed = append(sub, &c);
	command_free(&c);
	return failed;
}

int
redis_sub_add(struct redis_sub *sub, size_t first_channel, size_t first_key)
{
	if (first_channel == sub->channels->n && first_key == sub->keys->n)
		return 0;
	sub->words_are_stale = true;
	if (sub->conn == NULL || !sub->is_subscribed)
		return 0;
	if (append_new(sub, first_channel, first_key) == -1)
		return -1;
	send_appended(sub);
	return 0;
}

void
redis_sub_keep(struct redis_sub *sub)
{
	sub->words_are_stale = true;
}

void
redis_sub_ping(struct redis_sub *sub, const char *text)
{
	const char *words[] = { "PING", text };

	if (sub->conn == NULL)
		return;
	if (redis_conn_append(sub->conn, 2, words, NULL) == 0)
		send_appended(sub);
}

/* --- live --------------------------------------------------------------- */

enum sub_kind
redis_sub_next(struct redis_sub *sub, struct sub_message *m)
{
	enum sub_kind kind = SUB_NONE;
	redisContext *context;
	void *reply;

	while (kind == SUB_NONE && sub->conn != NULL) {
		drop_message(sub);
		context = redis_conn_context(sub->conn);
		reply = NULL;
		if (redisGetReplyFromReader(context, &reply) != REDIS_OK ||
		    (reply == NULL && context->err != 0)) {
			fail_broken(sub);
		} else if (reply == NULL) {
			return SUB_NONE;
		} else if (!sub_message_is_push(reply)) {
			kind = read_answer(sub, reply);
		} else {
			sub->message = reply;
			kind = sub_message_read(m, reply, sub->cfg->prefix,
			    sub->channels, sub->keys);
		}
	}
	return kind == SUB_NONE ? SUB_CLOSED : kind;
}

int
redis_sub_fd(const struct redis_sub *sub)
{
	return sub->conn != NULL ? redis_conn_fd(sub->conn) : -1;
}

short
redis_sub_poll_events(const struct redis_sub *sub)
{
	return sub->is_unsent ? POLLIN | POLLOUT : POLLIN;
}

void
redis_sub_work(struct redis_sub *sub, short revents)
{
	bool is_sent = false;

	/* an error comes up in redis_sub_next */
	if (sub->is_unsent && redis_conn_send(sub->conn, &is_sent) == 0)
		sub->is_unsent = !is_sent;
	if (revents & ~POLLOUT)
		redis_conn_fill(sub->conn);
}

bool
redis_sub_may_have_more(const struct redis_sub *sub)
{
	return sub->conn != NULL && redis_conn_may_have_more(sub->conn);
}

void
redis_sub_rest(struct redis_sub *sub)
{
	bool is_sent = false;

	if (sub->conn == NULL || !sub->is_subscribed)
		return;
	sub->is_subscribed = false;
	if (append_word(sub, "UNSUBSCRIBE") == -1 ||
	    redis_conn_send(sub->conn, &is_sent) == -1)
		fail_broken(sub); /* the next take connects */
	else
		sub->is_unsent = !is_sent;
}

void
redis_sub_give_up(struct redis_sub *sub)
{
	fail(sub, "no answer within the time limit");
}

void
redis_sub_reuse(struct redis_sub *sub)
{
	redis_sub_drop_taken(sub);
	drop_message(sub);
	if (sub->conn == NULL)
		return;
	if (take_answer_is_due(&sub->taken) || sub->is_unsent) {
		disconnect(sub);
		return;
	}
	redis_sub_rest(sub);
	sub->is_reused = sub->conn != NULL;
}

const struct sub_end *
redis_sub_end(const struct redis_sub *sub)
{
	return &sub->end;
}

const char *
redis_sub_error(const struct redis_sub *sub)
{
	return sub->error;
}
