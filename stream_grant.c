/* SPDX-License-Identifier: ISC */
/* A stream and its session's grant.  Runs in the responder. */
#include "stream_grant.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "follow_channels.h"
#include "refusal.h"
#include "reply.h"

#define COME_BACK_MIN_MS 5000
#define COME_BACK_MAX_MS 15000

/* --- answers that are no stream ------------------------------------------ */

enum client_result
stream_come_back(struct stream *st, const char *why)
{
	st->is_over = true;
	reply_put_come_back(&st->out.scratch, st->req, st->session,
	    clock_random(COME_BACK_MIN_MS, COME_BACK_MAX_MS), why);
	return outlet_put_answer(&st->out);
}

enum client_result
stream_come_back_from(struct stream *st, const char *error)
{
	log_error("%s; the client is told to come back", error);
	return stream_come_back(
	    st, "the event store cannot be reached just now");
}

static enum client_result
refuse(struct stream *st, const struct verdict *v)
{
	st->is_over = true;
	refusal_log(st->req, v);
	reply_put_refusal(&st->out.scratch, st->req, st->session, v);
	return outlet_put_answer(&st->out);
}

/* --- the session -------------------------------------------------------- */

static enum client_result
end_with_session(struct stream *st, const char *user)
{
	st->is_over = true;
	log_debug("a session is over: the stream of %s ends", user);
	return outlet_put_end(&st->out, "session");
}

void
stream_log_channels(const struct session *s)
{
	log_debug("stream of %zu channels%s%s", s->channels.n,
	    s->user != NULL ? " for " : "", s->user != NULL ? s->user : "");
}

int
stream_set_keys(struct stream *st)
{
	const char *key = st->session->key;

	channel_set_free(&st->keys);
	return key[0] != '\0' ? channel_set_add(&st->keys, key, strlen(key))
			      : 0;
}

/* The session's channels are others, or only now there. */
static int
follow(struct stream *st)
{
	move_cancel(&st->move);
	if (stream_set_keys(st) == -1)
		return -1;
	return follow_set(&st->follower, st->out.cursor);
}

/* Of several cookies of one name the one counts that has a grant, if exactly one
 * has.  Look at one after the other; then at that one again. */
static enum client_result
look_for_key(struct stream *st)
{
	struct session *s = st->session;
	struct verdict v = { .status = HTTP_OK };

	if (st->follower.delivery.taken.grants[0].text != NULL) {
		st->nfound++;
		st->found = st->nlooked;
	}
	if (++st->nlooked < s->nkeys) {
		session_use_key(s, st->nlooked);
	} else if (st->nfound == 1) {
		session_use_key(s, st->found);
		s->nkeys = 1;
	} else {
		verdict_refuse(&v, HTTP_FORBIDDEN,
		    "there are several session cookies of the same name, and "
		    "%s of them is known",
		    st->nfound == 0 ? "none" : "more than one");
		log_warn("%s", v.sentence);
		return refuse(st, &v);
	}
	return follow(st) == 0 ? CLIENT_OK
			       : stream_come_back_from(st, "out of memory");
}

enum client_result
stream_apply_grant(struct stream *st)
{
	const struct taken_grant *grant =
	    &st->follower.delivery.taken.grants[0];
	const char *name = st->session->user;
	char user[CHANNEL_LEN_MAX + 1];
	struct verdict v = { .status = HTTP_OK };

	if (st->session->nkeys > 1)
		return look_for_key(st);
	snprintf(
	    user, sizeof(user), "%s", name != NULL ? name : "nobody named");
	if (session_apply(st->session, st->req, grant->text, grant->len, &v) ==
	    -1) {
		if (!st->out.is_open)
			return refuse(st, &v);
		if (v.is_misconfigured)
			log_error("%s", v.sentence);
		return end_with_session(st, user);
	}
	if (st->req->method == METHOD_HEAD) {
		st->is_over = true;
		return outlet_put(&st->out, NULL, 0);
	}
	stream_log_channels(st->session);
	if (follow(st) == 0)
		return CLIENT_OK;
	return st->out.is_open ? end_with_session(st, user)
			       : stream_come_back_from(st, "out of memory");
}
