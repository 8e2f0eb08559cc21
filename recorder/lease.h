/* SPDX-License-Identifier: ISC */
/*
 * The lease that makes one recorder of a Redis the active one: the other side
 * of lease.lua.  A message is this recorder's if it was heard after this
 * recorder's own announcement and before another's; it may be sent once the
 * lease, by Redis' answer on the publishing connection, is of the attempt that
 * this announcement named.  The caller says what time it is (clock_now_ms).
 */
#ifndef LEASE_H
#define LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "redis/redis_conn.h"

#define LEASE_MS 2000	   /* how long the lease lasts in Redis */
#define LEASE_RENEW_MS 500 /* how often it is renewed, or asked for */
#define LEASE_SILENCE_MS                                                       \
	3000 /* without a sound of its holder: taken by force */

/* Others read it, lease.c writes. */
struct lease {
	const char *token;	/* borrowed: this recorder's */
	const char *patterns;	/* borrowed: what it records */
	char key[80];		/* and the pub/sub channel of announcements */
	bool is_held;		/* as the last answer said */
	uint64_t attempt;	/* to get it: the last one made, */
	uint64_t held_attempt;	/* the one that got it, and the one whose */
	uint64_t heard_attempt; /* announcement was heard: until that is it, */
				/* another recorder may have come between */
	bool is_active;		/* as was heard: messages heard now are ours */
	bool is_known;		/* Redis has said who holds it */
	bool is_asking;		/* for it; the answer is due */
	int64_t due_ms;		/* when to ask, or to connect, next */
	int64_t alive_ms;	/* when its holder was heard last */
};

/* Borrows token and cfg's strings. */
void lease_init(struct lease *l, const struct config *cfg, const char *token,
    int64_t now_ms);

/* May messages be sent? */
bool lease_may_record(const struct lease *l);

enum lease_request {
	LEASE_ACQUIRE, /* if nobody holds it */
	LEASE_FORCE,   /* whoever holds it */
	LEASE_RENEW
};

/*
 * Put a request into conn's buffer; lease_read_acquired, or of LEASE_RENEW
 * lease_read_renewed, is to get its answer.  recorded: the number of the
 * message recorded last.  due_ms is then LEASE_RENEW_MS away, in any case.
 * Returns 0, or -1 without memory.
 */
int lease_ask(struct lease *l, struct redis_conn *conn,
    enum lease_request request, uint64_t recorded, int64_t now_ms);

/* Put into conn's buffer: give it back, this recorder's or, by its token, that
 * of a dead one.  The answer says nothing.  Returns as lease_ask. */
int lease_append_release(
    struct lease *l, struct redis_conn *conn, const char *token);

/* What to ask for when due_ms has come: to renew it, to have it, or to have it
 * by force when its holder is silent. */
enum lease_request lease_next_request(const struct lease *l, int64_t now_ms);

/* Not just now: due_ms is LEASE_RENEW_MS away. */
void lease_postpone(struct lease *l, int64_t now_ms);

enum lease_holder {
	LEASE_UNKNOWN, /* an error reply, or an unexpected one */
	LEASE_OTHERS,
	LEASE_KEPT, /* this recorder's, and was so before */
	LEASE_NEW   /* this recorder's, and was not */
};

/* What Redis answered.  *recorded: of LEASE_KEPT, the number of the message
 * recorded last. */
enum lease_holder lease_read_acquired(
    struct lease *l, const struct answer *a, uint64_t *recorded);
void lease_read_renewed(
    struct lease *l, const struct answer *a, int64_t now_ms);

/* Redis said that it is another's: ask at once. */
void lease_lost(struct lease *l, int64_t now_ms);

/* There is no connection, and no answer will come; the next one is due. */
void lease_disconnected(struct lease *l, int64_t due_ms);

/* A sign of life of the holder was heard. */
void lease_heard_alive(struct lease *l, int64_t now_ms);

/*
 * An announcement was heard (notice_parse), len bytes.  down_due_ms: when to
 * ask if it is "down".
 */
void lease_heard(struct lease *l, const char *p, size_t len, int64_t now_ms,
    int64_t down_due_ms);

#endif
