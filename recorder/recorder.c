/* SPDX-License-Identifier: ISC */
/*
 * The recorder's process: its start, its loop, its end.  Reading the
 * subscription always comes first: Redis drops a subscriber that does not
 * read.
 */
#include "recorder/recorder.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "recorder/lease.h"
#include "recorder/limits.h"
#include "recorder/record_pub.h"
#include "recorder/record_sub.h"
#include "redis/redis_conn.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define FINISH_MS 2000	/* to record what was heard, at the end */
#define PING_MS 1000	/* how often the subscription must show that it lives */
#define DEAF_MS 4000	/* it is dead if it does not for so long, while the */
#define ANSWERS_MS 2000 /* other connection has answered for so long */

static volatile sig_atomic_t stop_requested;

struct recorder {
	const struct config *cfg;
	struct lease lease;
	char identity[(LEASE_TOKEN_SIZE - 1) / 2 + 1]; /* half a token */
	struct record_pub *pub;
	struct record_sub *sub;
	sigset_t while_waiting;
	struct backoff backoff;	  /* of the subscription */
	struct trouble deaf;	  /* there is none */
	bool has_warned;	  /* of Redis' limits */
	struct trouble limitless; /* Redis does not take the limits */
	int64_t sub_due_ms;	  /* when to try to have one again */
	int64_t ping_due_ms;	  /* of the next PING on it */
	int64_t pinged_ms;	  /* the first that nothing followed; 0: none */
	int64_t answering_ms;	  /* since then the other connection answers */
	int ready_fd;
};

static void
on_stop(int sig)
{
	(void)sig;
	stop_requested = 1;
}

static void
catch_stop(struct recorder *r)
{
	struct sigaction sa = { .sa_handler = on_stop };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigprocmask(SIG_BLOCK, NULL, &r->while_waiting);
	sigdelset(&r->while_waiting, SIGTERM);
}

/* Wait for SIGTERM or readable fds, so long at most.  As ppoll(2). */
static int
wait_for(const struct recorder *r, struct pollfd *fds, nfds_t n, int64_t ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	return ppoll(fds, n, &ts, &r->while_waiting);
}

/* With "*" every program's messages are recorded: say so if there are others.
 * Their keys show them best. */
static void
warn_of_others(const struct recorder *r, struct redis_conn *conn)
{
	const char *scan[] = { "SCAN", "0", "COUNT", "200" };
	struct answer a, keys, key;
	size_t i;

	if (strcmp(r->cfg->record, "*") != 0 ||
	    redis_conn_append(conn, 4, scan, NULL) == -1 ||
	    redis_conn_flush(conn) == -1 ||
	    redis_conn_wait(conn, &a) != ANSWER_LIST ||
	    redis_answer_item(&a, 1, &keys) != ANSWER_LIST)
		return;
	for (i = 0; redis_answer_item(&keys, i, &key) == ANSWER_TEXT; i++)
		if (strncmp(key.text, r->cfg->prefix, strlen(r->cfg->prefix)) !=
		    0) {
			log_warn(
			    "other programs use this Redis, and --record=* "
			    "records every channel of theirs: name yours "
			    "with --record=PATTERN,...");
			return;
		}
}

/* Subscribe, with a token of its own.  0, or -1. */
static int
subscribe(struct recorder *r, bool is_first, char *error, size_t error_size)
{
	struct redis_conn *conn =
	    redis_conn_open(&r->cfg->redis, error, error_size);
	char token[LEASE_TOKEN_SIZE];

	if (conn == NULL)
		return -1;
	if (is_first)
		warn_of_others(r, conn);
	r->has_warned = r->has_warned || !limits_fit(r->cfg, conn);
	if (limits_write(r->cfg, conn, &r->limitless) == -1) {
		snprintf(error, error_size, "%s", redis_conn_error(conn));
		redis_conn_close(conn);
		return -1;
	}
	/* the first half is this process, which keeps its queue */
	memcpy(token, r->identity, sizeof(r->identity));
	clock_put_random_hex(
	    token + strlen(r->identity), (LEASE_TOKEN_SIZE - 1) / 4);
	if (record_sub_open(r->sub, conn, token, error, error_size) == -1)
		return -1;
	lease_begin(&r->lease, token, clock_now_ms());
	r->pinged_ms = r->answering_ms = 0;
	return 0;
}

/* At the start: try until it works or SIGTERM.  0, or -1. */
static int
open_all(struct recorder *r)
{
	struct trouble away = { "" };
	bool is_first = true;
	char error[256];

	while (subscribe(r, is_first, error, sizeof(error)) == -1 ||
	       record_pub_open(r->pub, error, sizeof(error)) == -1) {
		record_sub_close(r->sub);
		is_first = false;
		trouble_tell(&away,
		    "%s; plain messages are not recorded; still trying", error);
		wait_for(r, NULL, 0, backoff_next(&r->backoff));
		if (stop_requested)
			return -1;
	}
	backoff_reset(&r->backoff);
	trouble_over(&away, "Redis is there again");
	return 0;
}

/* What comes meanwhile nobody hears: at once the next one. */
static void
lose_subscription(struct recorder *r)
{
	trouble_tell(&r->deaf,
	    "the subscription to Redis was lost (%s); plain messages are not "
	    "recorded until there is another",
	    record_sub_error(r->sub));
	record_sub_close(r->sub);
	r->sub_due_ms = clock_now_ms();
}

static void
subscribe_again(struct recorder *r)
{
	char error[256];

	if (subscribe(r, false, error, sizeof(error)) == 0) {
		backoff_reset(&r->backoff);
		trouble_over(&r->deaf, "there is a subscription again");
		return;
	}
	/* then others shall hear, or each stream for itself */
	if (r->lease.is_hearing)
		record_pub_release(r->pub);
	lease_end(&r->lease);
	trouble_tell(&r->deaf,
	    "%s; plain messages are not recorded; still trying", error);
	r->sub_due_ms = clock_now_ms() + backoff_next(&r->backoff);
}

/*
 * A connection may die without a word: a proxy between forgets it.  Then this
 * recorder would keep its lease and hear nothing.  Redis that hangs is another
 * matter: it answers on no connection, and then on one a moment before the
 * other.  Returns whether the subscription is dead.
 */
static bool
is_deaf(struct recorder *r)
{
	const int64_t now = clock_now_ms();

	if (now >= r->ping_due_ms) {
		r->ping_due_ms = now + PING_MS;
		if (record_sub_ping(r->sub) == -1)
			return true;
		if (r->pinged_ms == 0)
			r->pinged_ms = now;
	}
	if (r->pinged_ms == 0)
		return false;
	if (r->answering_ms == 0 &&
	    record_pub_answered_ms(r->pub) > r->pinged_ms)
		r->answering_ms = now;
	return now - r->pinged_ms > DEAF_MS && r->answering_ms != 0 &&
	       now - r->answering_ms > ANSWERS_MS &&
	       record_pub_answered_ms(r->pub) - r->answering_ms >
		   ANSWERS_MS / 2;
}

static void
tell_ready(struct recorder *r)
{
	if (r->ready_fd == -1 || !r->lease.is_known)
		return;
	close(r->ready_fd);
	r->ready_fd = -1;
}

static void
hear(struct recorder *r)
{
	if (record_sub_read(r->sub) == -1)
		lose_subscription(r);
	r->pinged_ms = r->answering_ms = 0;
}

/* Until when to wait, at most. */
static int64_t
due_ms(const struct recorder *r)
{
	const int64_t pub_ms = record_pub_due_ms(r->pub);

	return record_sub_fd(r->sub) == -1 && r->sub_due_ms < pub_ms
		   ? r->sub_due_ms
		   : pub_ms;
}

static void
loop(struct recorder *r)
{
	struct pollfd fds[2];
	int64_t wait_ms;

	while (!stop_requested) {
		wait_ms = due_ms(r) - clock_now_ms();
		fds[0] = (struct pollfd){ record_sub_fd(r->sub), POLLIN, 0 };
		fds[1] = (struct pollfd){ record_pub_fd(r->pub), POLLIN, 0 };
		if (wait_for(r, fds, 2, wait_ms > 0 ? wait_ms : 0) == -1)
			continue;
		if (fds[0].revents != 0)
			hear(r);
		record_pub_work(r->pub, fds[1].revents != 0);
		tell_ready(r);
		if (record_sub_fd(r->sub) != -1 &&
		    (is_deaf(r) || record_sub_show_relay(r->sub,
				       record_pub_is_relaying(r->pub)) == -1))
			lose_subscription(r);
		if (record_sub_fd(r->sub) == -1 &&
		    clock_now_ms() >= r->sub_due_ms)
			subscribe_again(r);
	}
	if (record_sub_fd(r->sub) != -1)
		record_sub_read(r->sub);
}

int
recorder_run(const struct config *cfg, int ready_fd)
{
	struct recorder r = { .cfg = cfg,
		.ready_fd = ready_fd,
		.backoff = {
		    .min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS } };

	log_set_role("recorder");
	catch_stop(&r);
	clock_put_random_hex(r.identity, (sizeof(r.identity) - 1) / 2);
	lease_init(&r.lease, cfg);
	if ((r.pub = record_pub_new(cfg, &r.lease)) == NULL ||
	    (r.sub = record_sub_new(cfg, &r.lease, r.pub)) == NULL)
		return EX_OSERR;
	if (open_all(&r) == 0) {
		loop(&r);
		record_pub_finish(r.pub, clock_now_ms() + FINISH_MS);
	}
	record_sub_free(r.sub);
	record_pub_free(r.pub);
	return EX_OK;
}
