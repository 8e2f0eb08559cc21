/* SPDX-License-Identifier: ISC */
/*
 * The lease that makes one recorder of a Redis the active one: the other side
 * of lease.lua.  A message is this recorder's if it was heard after this
 * recorder's own announcement, and as long as Redis does not say that the lease
 * is another's; it may be sent once the lease, by Redis' answer on the
 * publishing connection, is of the attempt that this announcement named.
 *
 * Anybody who may publish can say anything on our channels.  So what is heard
 * there is a reason to ask Redis, and no more; but for this recorder's own
 * announcement of an attempt that it has made, which says where its messages
 * begin.  The caller says what time it is (clock_now_ms).
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
#define LEASE_SILENT_MAX                                                       \
	6 /* so many answers in a row that its holder, who is there, has not   \
	   * renewed it: it is taken by force */
#define LEASE_TOKEN_SIZE 33 /* 16 random bytes in hex, and NUL */

/* Others read it, lease.c writes. */
struct lease {
	char token[LEASE_TOKEN_SIZE];  /* this recorder's: of a subscription */
	char former[LEASE_TOKEN_SIZE]; /* the one before, which is gone; "" */
	const char *patterns;	       /* borrowed: what it records */
	char key[80];		/* and the pub/sub channel of announcements */
	bool is_hearing;	/* there is a subscription */
	bool is_held;		/* as the last answer said */
	uint64_t attempt;	/* to get it: the last one made, */
	uint64_t held_attempt;	/* the one that got it, and the one whose */
	uint64_t heard_attempt; /* announcement was heard: until that is it, */
				/* another recorder may have come between */
	bool is_active;		/* messages heard now are ours */
	bool shows_relay; /* streams can see that this recorder passes messages
			   * on: record_sub's */
	uint64_t answered_us; /* Redis' time, as the last answer said */
	bool is_known;	      /* Redis has said who holds it */
	bool is_asking;	      /* for it; the answer is due */
	int64_t others_until; /* as another's, when it ends by Redis' time */
	unsigned nsilent;     /* answers since that was another */
	int64_t due_ms;	      /* when to ask, or to connect, next */
};

/* Nobody hears messages yet.  Borrows cfg's strings. */
void lease_init(struct lease *l, const struct config *cfg);

/* There is a subscription, or another one, of this token: nothing that comes is
 * ours until its announcement. */
void lease_begin(struct lease *l, const char *token, int64_t now_ms);

/* There is none any more: the lease is not asked for. */
void lease_end(struct lease *l);

/* May messages be sent? */
bool lease_may_record(const struct lease *l);

/* May they be passed on live?  Not while an announcement of this recorder is
 * under way: what was heard before it may reach streams only before it. */
bool lease_may_relay(const struct lease *l);

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

/* Put into conn's buffer: give it back.  The answer says nothing.  Returns as
 * lease_ask. */
int lease_append_release(struct lease *l, struct redis_conn *conn);

/* Likewise: a word to the streams.  "forget": what this recorder has passed on
 * live will not be recorded.  "relay": it will pass messages on live: they look,
 * and see that it is true.  The answer is a number. */
int lease_append_notice(
    const struct lease *l, struct redis_conn *conn, const char *word);

/* What to ask for when due_ms has come: to renew it, to have it, or to have it
 * by force when its holder is silent. */
enum lease_request lease_next_request(const struct lease *l);

/* Not just now: due_ms is LEASE_RENEW_MS away. */
void lease_postpone(struct lease *l, int64_t now_ms);

enum lease_holder {
	LEASE_UNKNOWN, /* an error reply, or an unexpected one */
	LEASE_OTHERS,  /* messages that are not recorded yet never will be */
	LEASE_KEPT,    /* this recorder's, and was so before */
	LEASE_NEW      /* this recorder's, and was not */
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

enum lease_news {
	LEASE_NO_NEWS,
	LEASE_BEGINS,	   /* from here on messages are ours */
	LEASE_BEGINS_ANEW, /* they were before, but the lease was gone: streams
			    * may have heard for themselves until here */
};

/* An announcement was heard (notice_parse), len bytes. */
enum lease_news lease_heard(
    struct lease *l, const char *p, size_t len, int64_t now_ms);

#endif
