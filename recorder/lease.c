/* SPDX-License-Identifier: ISC */
/* Who may record: what lease.lua answered, and what was heard. */
#include "recorder/lease.h"

#include <stdio.h>
#include <string.h>

#include "lua_lease.h"
#include "redis/record.h"

#define SOON_MS 5

void
lease_init(struct lease *l, const struct config *cfg)
{
	*l = (struct lease){ .patterns = cfg->record };
	snprintf(l->key, sizeof(l->key), "%srecorder", cfg->prefix);
}

void
lease_begin(struct lease *l, const char *token, int64_t now_ms)
{
	memcpy(l->former, l->token, sizeof(l->former));
	snprintf(l->token, sizeof(l->token), "%s", token);
	l->is_held = l->is_active = l->shows_relay = false;
	l->is_hearing = true;
	l->due_ms = now_ms;
}

void
lease_end(struct lease *l)
{
	l->is_hearing = l->is_held = l->is_active = l->shows_relay = false;
}

bool
lease_may_record(const struct lease *l)
{
	return l->is_held && l->heard_attempt == l->held_attempt;
}

bool
lease_may_relay(const struct lease *l)
{
	return l->is_active && !l->is_asking &&
	       (!l->is_held || lease_may_record(l));
}

/* --- what is asked, and the answers ------------------------------------- */

static int
append(struct lease *l, struct redis_conn *conn, const char *verb,
    uint64_t recorded)
{
	char seq[24], ms[16], attempt[24];
	const char *argv[] = { "1", l->key, verb, l->token, l->patterns, seq,
		ms, attempt, l->former };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)recorded);
	snprintf(ms, sizeof(ms), "%d", LEASE_MS);
	snprintf(
	    attempt, sizeof(attempt), "%llu", (unsigned long long)++l->attempt);
	return redis_conn_append_script(conn, &lua_lease, 9, argv, NULL);
}

int
lease_ask(struct lease *l, struct redis_conn *conn, enum lease_request request,
    uint64_t recorded, int64_t now_ms)
{
	static const char *const verbs[] = { [LEASE_ACQUIRE] = "acquire",
		[LEASE_FORCE] = "force",
		[LEASE_RENEW] = "renew" };

	lease_postpone(l, now_ms);
	if (append(l, conn, verbs[request], recorded) == -1)
		return -1;
	l->is_asking = request != LEASE_RENEW;
	return 0;
}

int
lease_append_release(struct lease *l, struct redis_conn *conn)
{
	return append(l, conn, "release", 0);
}

int
lease_append_notice(
    const struct lease *l, struct redis_conn *conn, const char *word)
{
	char notice[80];
	const char *argv[] = { "PUBLISH", l->key, notice };

	snprintf(notice, sizeof(notice), "0 0 r\n%s %s", word, l->token);
	return redis_conn_append(conn, 3, argv, NULL);
}

enum lease_request
lease_next_request(const struct lease *l)
{
	if (l->is_held)
		return LEASE_RENEW;
	return l->nsilent >= LEASE_SILENT_MAX ? LEASE_FORCE : LEASE_ACQUIRE;
}

void
lease_postpone(struct lease *l, int64_t now_ms)
{
	l->due_ms = now_ms + LEASE_RENEW_MS;
}

/* Only answers count: while Redis hangs nobody can renew anything. */
static void
watch_holder(struct lease *l, int64_t until)
{
	l->nsilent = until == l->others_until ? l->nsilent + 1 : 0;
	l->others_until = until;
}

enum lease_holder
lease_read_acquired(struct lease *l, const struct answer *a, uint64_t *recorded)
{
	struct answer verdict, seq, attempt, now;

	l->is_asking = false;
	if (redis_answer_item(a, 0, &verdict) != ANSWER_TEXT ||
	    redis_answer_item(a, 1, &seq) != ANSWER_NUMBER ||
	    redis_answer_item(a, 2, &attempt) != ANSWER_NUMBER)
		return LEASE_UNKNOWN;
	l->is_known = true;
	if (strcmp(verdict.text, "OTHER") == 0) {
		l->is_held = l->is_active = false;
		watch_holder(l, seq.number);
		return LEASE_OTHERS;
	}
	if (redis_answer_item(a, 3, &now) == ANSWER_NUMBER)
		l->answered_us = (uint64_t)now.number;
	l->is_held = true;
	l->nsilent = 0;
	l->held_attempt = (uint64_t)attempt.number;
	*recorded = (uint64_t)seq.number;
	return strcmp(verdict.text, "HELD") == 0 ? LEASE_KEPT : LEASE_NEW;
}

void
lease_read_renewed(struct lease *l, const struct answer *a, int64_t now_ms)
{
	/* an error says nothing of who holds it */
	if (a->kind == ANSWER_NUMBER && a->number != 1)
		lease_lost(l, now_ms);
}

void
lease_lost(struct lease *l, int64_t now_ms)
{
	l->is_held = false;
	l->due_ms = now_ms;
}

void
lease_disconnected(struct lease *l, int64_t due_ms)
{
	l->is_held = l->is_asking = false;
	l->due_ms = due_ms;
}

/* --- what is heard ------------------------------------------------------ */

/* Not at once: who floods the channel is not to flood Redis through us. */
static void
ask_soon(struct lease *l, int64_t now_ms)
{
	if (l->due_ms > now_ms + SOON_MS)
		l->due_ms = now_ms + SOON_MS;
}

enum lease_news
lease_heard(struct lease *l, const char *p, size_t len, int64_t now_ms)
{
	const bool was_active = l->is_active;
	struct notice n;

	switch (notice_parse(&n, p, len)) {
	case NOTICE_OTHER:
	case NOTICE_FORGET:
		return LEASE_NO_NEWS;
	case NOTICE_DOWN:
		if (!l->is_held)
			ask_soon(l, now_ms);
		return LEASE_NO_NEWS;
	case NOTICE_UP:
		break;
	}
	if (n.token_len != strlen(l->token) ||
	    memcmp(n.token, l->token, n.token_len) != 0) {
		ask_soon(l, now_ms);
		return LEASE_NO_NEWS;
	}
	if (n.attempt <= l->heard_attempt || n.attempt > l->attempt)
		return LEASE_NO_NEWS; /* somebody repeats it, or guesses */
	l->heard_attempt = n.attempt;
	l->is_active = true;
	return was_active ? LEASE_BEGINS_ANEW : LEASE_BEGINS;
}
