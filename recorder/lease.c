/* SPDX-License-Identifier: ISC */
/* Who may record: what lease.lua answered, and what was heard. */
#include "recorder/lease.h"

#include <stdio.h>
#include <string.h>

#include "lua_lease.h"
#include "redis/record.h"

void
lease_init(struct lease *l, const struct config *cfg, const char *token,
    int64_t now_ms)
{
	*l = (struct lease){
		.token = token, .patterns = cfg->record, .alive_ms = now_ms
	};
	snprintf(l->key, sizeof(l->key), "%srecorder", cfg->prefix);
}

bool
lease_may_record(const struct lease *l)
{
	return l->is_held && l->heard_attempt == l->held_attempt;
}

/* --- what is asked, and the answers ------------------------------------- */

static int
append(struct lease *l, struct redis_conn *conn, const char *verb,
    const char *token, uint64_t recorded)
{
	char seq[24], ms[16], attempt[24];
	const char *argv[] = { "1", l->key, verb, token, l->patterns, seq, ms,
		attempt };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)recorded);
	snprintf(ms, sizeof(ms), "%d", LEASE_MS);
	snprintf(
	    attempt, sizeof(attempt), "%llu", (unsigned long long)++l->attempt);
	return redis_conn_append_script(conn, &lua_lease, 8, argv, NULL);
}

int
lease_ask(struct lease *l, struct redis_conn *conn, enum lease_request request,
    uint64_t recorded, int64_t now_ms)
{
	static const char *const verbs[] = { [LEASE_ACQUIRE] = "acquire",
		[LEASE_FORCE] = "force",
		[LEASE_RENEW] = "renew" };

	lease_postpone(l, now_ms);
	if (append(l, conn, verbs[request], l->token, recorded) == -1)
		return -1;
	l->is_asking = request != LEASE_RENEW;
	return 0;
}

int
lease_append_release(
    struct lease *l, struct redis_conn *conn, const char *token)
{
	return append(l, conn, "release", token, 0);
}

enum lease_request
lease_next_request(const struct lease *l, int64_t now_ms)
{
	if (l->is_held)
		return LEASE_RENEW;
	return now_ms - l->alive_ms > LEASE_SILENCE_MS ? LEASE_FORCE
						       : LEASE_ACQUIRE;
}

void
lease_postpone(struct lease *l, int64_t now_ms)
{
	l->due_ms = now_ms + LEASE_RENEW_MS;
}

enum lease_holder
lease_read_acquired(struct lease *l, const struct answer *a, uint64_t *recorded)
{
	struct answer verdict, seq, attempt;

	l->is_asking = false;
	if (redis_answer_item(a, 0, &verdict) != ANSWER_TEXT ||
	    redis_answer_item(a, 1, &seq) != ANSWER_NUMBER ||
	    redis_answer_item(a, 2, &attempt) != ANSWER_NUMBER)
		return LEASE_UNKNOWN;
	l->is_known = true;
	if (strcmp(verdict.text, "OTHER") == 0)
		return LEASE_OTHERS;
	l->is_held = true;
	l->held_attempt = (uint64_t)attempt.number;
	*recorded = (uint64_t)seq.number;
	return strcmp(verdict.text, "HELD") == 0 ? LEASE_KEPT : LEASE_NEW;
}

void
lease_read_renewed(struct lease *l, const struct answer *a, int64_t now_ms)
{
	if (a->kind != ANSWER_NUMBER || a->number != 1)
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

void
lease_heard_alive(struct lease *l, int64_t now_ms)
{
	l->alive_ms = now_ms;
}

void
lease_heard(struct lease *l, const char *p, size_t len, int64_t now_ms,
    int64_t down_due_ms)
{
	struct notice n;

	switch (notice_parse(&n, p, len)) {
	case NOTICE_OTHER:
		break;
	case NOTICE_DOWN:
		if (!l->is_active)
			l->due_ms = down_due_ms;
		break;
	case NOTICE_UP:
		l->alive_ms = now_ms;
		l->is_active = n.token_len == strlen(l->token) &&
			       memcmp(n.token, l->token, n.token_len) == 0;
		if (l->is_active)
			l->heard_attempt = n.attempt;
		break;
	}
}
