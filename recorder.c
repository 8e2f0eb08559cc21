/* SPDX-License-Identifier: ISC */
/*
 * The subscription of the recorder and its loop.  Reading it always comes
 * first: Redis drops a subscriber that does not read.
 */
#include "recorder.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "event.h"
#include "log.h"
#include "parse.h"
#include "record_queue.h"
#include "redis_conn.h"
#include "sse.h"

#define AGAIN_LEAST_MS 100
#define AGAIN_MOST_MS 2000
#define FINISH_MS 2000 /* to record what was heard, at the end */
#define PING_MS 1000   /* how often the subscription must show that it lives */
#define DEAF_MS 4000   /* it is dead if it is silent for so long while */
#define ANSWER_MS 1500 /* the other connection answered within this */
#define READS_MAX 64   /* of 16 KiB, before the queue gets its turn */

static volatile sig_atomic_t stop_requested;

struct recorder {
	const struct config *cfg;
	struct redis_conn *conn; /* the subscription */
	struct record_queue *queue;
	struct buf frame;
	char control[80]; /* "sse:recorder" */
	const char *patterns[RECORD_PATTERNS_MAX];
	size_t lens[RECORD_PATTERNS_MAX], npatterns;
	sigset_t while_waiting;
	int64_t heard_ms, ping_due_ms;
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

static void
split_patterns(struct recorder *r)
{
	const char *p = r->cfg->record, *pattern;
	size_t len;

	for (; *p != '\0' && r->npatterns < RECORD_PATTERNS_MAX;
	     p += *p == ',') {
		pattern = p;
		len = strcspn(p, ",");
		p += len;
		strip_blanks(&pattern, &len);
		if (len > 0) {
			r->patterns[r->npatterns] = pattern;
			r->lens[r->npatterns++] = len;
		}
	}
}

static bool
is_pattern(const struct recorder *r, size_t i, const struct answer *a)
{
	return a->kind == ANSWER_TEXT && a->len == r->lens[i] &&
	       memcmp(a->text, r->patterns[i], a->len) == 0;
}

/*
 * Redis sends a message once for each pattern that matches its channel; the
 * first of ours counts.
 */
static bool
is_first_match(const struct recorder *r, const struct answer *pattern,
    const struct answer *channel)
{
	size_t i;

	for (i = 0; i < r->npatterns; i++) {
		if (is_pattern(r, i, pattern))
			return true;
		if (glob_matches(r->patterns[i], r->lens[i], channel->text,
			channel->len))
			return false;
	}
	return false;
}

static void
record(struct recorder *r, const struct answer *channel,
    const struct answer *payload)
{
	struct event ev;

	if (channel_name_error(channel->text, channel->len, r->cfg->prefix) !=
		NULL ||
	    record_has_header(payload->text, payload->len))
		return;
	if (payload->len > r->cfg->event_bytes) {
		log_error("a message of %zu bytes on '%.*s' was not recorded: "
			  "over --event-bytes",
		    payload->len, (int)channel->len, channel->text);
		return;
	}
	event_from_payload(&ev, payload->text, payload->len);
	buf_reset(&r->frame);
	if (sse_put_event(&r->frame, &ev) == 0)
		record_queue_put(r->queue, channel->text, channel->len,
		    r->frame.bytes, r->frame.len);
	else
		log_error("a message on '%.*s' was not recorded: out of memory",
		    (int)channel->len, channel->text);
	event_free(&ev);
}

/* "0 0 r\nup ATTEMPT TOKEN" or "0 0 r\ndown TOKEN" */
static void
read_control(struct recorder *r, const struct answer *channel,
    const struct answer *payload)
{
	static const char up[] = "0 0 r\nup ";
	const char *attempt = payload->text + sizeof(up) - 1, *blank;
	const char *end = payload->text + payload->len;
	uint64_t n;

	if (channel->len != strlen(r->control)) {
		record_queue_heard_alive(r->queue); /* sse:recorder:alive */
		return;
	}
	if (payload->len < sizeof(up) ||
	    memcmp(payload->text, up, sizeof(up) - 1) != 0) {
		record_queue_heard_down(r->queue);
		return;
	}
	blank = memchr(attempt, ' ', (size_t)(end - attempt));
	if (blank != NULL &&
	    parse_u64(attempt, (size_t)(blank - attempt), UINT64_MAX, &n) == 0)
		record_queue_heard_up(
		    r->queue, n, blank + 1, (size_t)(end - blank - 1));
}

static void
hear(struct recorder *r, const struct answer *message)
{
	struct answer kind, pattern, channel, payload;

	if (redis_answer_item(message, 0, &kind) != ANSWER_TEXT)
		return;
	if (strcmp(kind.text, "message") == 0 &&
	    redis_answer_item(message, 1, &channel) == ANSWER_TEXT &&
	    redis_answer_item(message, 2, &payload) == ANSWER_TEXT)
		read_control(r, &channel, &payload);
	else if (strcmp(kind.text, "pmessage") == 0 &&
		 record_queue_is_active(r->queue) &&
		 redis_answer_item(message, 1, &pattern) == ANSWER_TEXT &&
		 redis_answer_item(message, 2, &channel) == ANSWER_TEXT &&
		 redis_answer_item(message, 3, &payload) == ANSWER_TEXT &&
		 is_first_match(r, &pattern, &channel))
		record(r, &channel, &payload);
}

/* Hear all that was read.  0, or -1: the subscription is lost. */
static int
hear_all(struct recorder *r)
{
	struct answer a;

	while (redis_conn_try(r->conn, &a) != ANSWER_NONE) {
		if (a.kind == ANSWER_BROKEN)
			return -1;
		hear(r, &a);
	}
	return 0;
}

/* Read what has come, a bounded number of times. */
static int
read_subscription(struct recorder *r)
{
	struct pollfd pfd = { .fd = redis_conn_fd(r->conn), .events = POLLIN };
	int i;

	for (i = 0; i < READS_MAX; i++) {
		if (poll(&pfd, 1, 0) <= 0)
			return 0;
		r->heard_ms = clock_now_ms();
		if (redis_conn_fill(r->conn) == -1 || hear_all(r) == -1)
			return -1;
	}
	return 0;
}

/* PSUBSCRIBE the patterns, SUBSCRIBE what recorders say to each other. */
static int
subscribe(struct recorder *r, char *error, size_t error_size)
{
	const char *words[RECORD_PATTERNS_MAX + 1] = { "PSUBSCRIBE" };
	size_t lens[RECORD_PATTERNS_MAX + 1] = { 10 }, i;
	char alive[88];
	const char *control[] = { "SUBSCRIBE", r->control, alive };
	struct answer a, count;

	snprintf(alive, sizeof(alive), "%s:alive", r->control);
	for (i = 0; i < r->npatterns; i++) {
		words[i + 1] = r->patterns[i];
		lens[i + 1] = r->lens[i];
	}
	if (redis_conn_append(r->conn, (int)r->npatterns + 1, words, lens) ==
		-1 ||
	    redis_conn_append(r->conn, 3, control, NULL) == -1 ||
	    redis_conn_flush(r->conn) == -1) {
		snprintf(error, error_size, "%s", redis_conn_error(r->conn));
		return -1;
	}
	/* one confirmation for each; messages may come between */
	for (i = 0; i < r->npatterns + 2;) {
		redis_conn_wait(r->conn, &a);
		if (a.kind != ANSWER_LIST) {
			snprintf(error, error_size, "cannot subscribe: %s",
			    a.kind == ANSWER_ERROR ? a.text
						   : redis_conn_error(r->conn));
			return -1;
		}
		i += redis_answer_item(&a, 2, &count) == ANSWER_NUMBER;
	}
	return 0;
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

/* Connect and subscribe, trying until it works or SIGTERM.  0, or -1. */
static int
open_all(struct recorder *r, const char *dead_token)
{
	int64_t pause_ms = AGAIN_LEAST_MS;
	bool is_failing = false;
	struct timespec ts;
	char error[256];

	for (;; pause_ms = pause_ms < AGAIN_MOST_MS ? 2 * pause_ms
						    : AGAIN_MOST_MS) {
		r->conn = redis_conn_open(&r->cfg->redis, error, sizeof(error));
		if (r->conn != NULL) {
			if (dead_token[0] == '\0' && !is_failing)
				warn_of_others(r, r->conn);
			if (subscribe(r, error, sizeof(error)) == 0) {
				if (record_queue_open(r->queue, dead_token) ==
				    0)
					return 0;
				snprintf(error, sizeof(error), "%s",
				    record_queue_error(r->queue));
			}
			redis_conn_close(r->conn);
			r->conn = NULL;
		}
		if (!is_failing)
			log_error("%s; plain messages are not recorded; trying "
				  "on",
			    error);
		is_failing = true;
		pause_ms = clock_random(pause_ms / 2, pause_ms);
		ts = (struct timespec){ pause_ms / 1000,
			pause_ms % 1000 * 1000000 };
		ppoll(NULL, 0, &ts, &r->while_waiting);
		if (stop_requested)
			return -1;
	}
}

/*
 * A connection may die without a word: a proxy between forgets it.  Then this
 * recorder would keep its lease and hear nothing.  Redis that hangs is another
 * matter: it answers on no connection.  Returns whether the subscription is
 * dead.
 */
static bool
is_deaf(struct recorder *r)
{
	static const char *const ping = "PING";
	int64_t now = clock_now_ms();

	if (now >= r->ping_due_ms) {
		r->ping_due_ms = now + PING_MS;
		if (redis_conn_append(r->conn, 1, &ping, NULL) == -1 ||
		    redis_conn_flush(r->conn) == -1)
			return true;
	}
	return now - r->heard_ms > DEAF_MS &&
	       now - record_queue_answered_ms(r->queue) < ANSWER_MS;
}

static void
tell_ready(struct recorder *r)
{
	if (r->ready_fd == -1 || !record_queue_is_ready(r->queue))
		return;
	close(r->ready_fd);
	r->ready_fd = -1;
}

/* Until SIGTERM (0) or the end of the subscription (-1). */
static int
loop(struct recorder *r)
{
	struct pollfd fds[2];
	struct timespec ts;
	int64_t wait_ms;

	r->heard_ms = clock_now_ms();
	while (!stop_requested) {
		wait_ms = record_queue_due_ms(r->queue) - clock_now_ms();
		if (wait_ms < 0)
			wait_ms = 0;
		ts = (struct timespec){ wait_ms / 1000,
			wait_ms % 1000 * 1000000 };
		fds[0] = (struct pollfd){ redis_conn_fd(r->conn), POLLIN, 0 };
		fds[1] =
		    (struct pollfd){ record_queue_fd(r->queue), POLLIN, 0 };
		if (ppoll(fds, 2, &ts, &r->while_waiting) == -1)
			continue;
		if (fds[0].revents != 0 && read_subscription(r) == -1)
			return -1;
		record_queue_work(r->queue, fds[1].revents != 0);
		tell_ready(r);
		if (is_deaf(r))
			return -1;
	}
	return read_subscription(r);
}

int
recorder_run(const struct config *cfg, const char *token,
    const char *dead_token, int ready_fd)
{
	struct recorder r = { .cfg = cfg, .ready_fd = ready_fd };
	int code = EX_OK;

	log_set_role("recorder");
	catch_stop(&r);
	snprintf(r.control, sizeof(r.control), "%srecorder", cfg->prefix);
	split_patterns(&r);
	buf_init(&r.frame, SSE_FRAME_LEN_MAX(cfg->event_bytes));
	if ((r.queue = record_queue_new(cfg, token)) == NULL)
		return EX_OSERR;
	if (open_all(&r, dead_token) == 0) {
		if (loop(&r) == -1) {
			log_error("the subscription to Redis was lost (%s); "
				  "starting anew",
			    redis_conn_error(r.conn));
			code = EX_TEMPFAIL;
		}
		record_queue_finish(r.queue, clock_now_ms() + FINISH_MS);
	}
	record_queue_free(r.queue);
	redis_conn_close(r.conn);
	buf_free(&r.frame);
	return code;
}
