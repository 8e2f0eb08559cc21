/* SPDX-License-Identifier: ISC */
/*
 * Messages are numbered as they are sent; publish.lua records number n only
 * behind n - 1 and only for the holder of the lease.  So a message whose
 * answer was lost with the connection is sent again without coming twice, and
 * a recorder that slept records nothing once another has taken over.
 */
#include "record_queue.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "history_limits.h"
#include "log.h"
#include "pending.h"
#include "publish.h"
#include "redis_conn.h"

#define EXPECT_MAX (INFLIGHT_MAX + 8)
#define AGAIN_MS 250 /* after an error that passes, and to reconnect */

/* What the next answers belong to, in order. */
enum expected { EXPECT_MESSAGE, EXPECT_ACQUIRED, EXPECT_RENEWED };

struct record_queue {
	const struct config *cfg;
	struct lease *lease;
	struct redis_conn *conn; /* NULL: not connected */
	struct pending pending;
	enum expected expected[EXPECT_MAX]; /* a ring */
	size_t expect_first, nexpected;
	int64_t answered_ms;   /* when the last answer came */
	int64_t resume_due_ms; /* nothing is sent before */
	bool is_overflowing, is_failing;
};

struct record_queue *
record_queue_new(const struct config *cfg, struct lease *lease)
{
	struct record_queue *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->cfg = cfg;
	q->lease = lease;
	return q;
}

void
record_queue_free(struct record_queue *q)
{
	if (q == NULL)
		return;
	pending_free(&q->pending);
	redis_conn_close(q->conn);
	free(q);
}

void
record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len)
{
	const bool has_room = q->pending.bytes < PENDING_BYTES_MAX / 2;

	if (pending_put(&q->pending, channel, channel_len, frame, frame_len) ==
	    -1) {
		if (!q->is_overflowing)
			log_error("the queue is full: plain messages are not "
				  "recorded until Redis takes some");
		q->is_overflowing = true;
	} else if (q->is_overflowing && has_room) {
		q->is_overflowing = false;
		log_warn("the queue has room again; %llu plain messages were "
			 "not recorded since the start",
		    (unsigned long long)q->pending.ndropped);
	}
}

void
record_queue_drop(struct record_queue *q, const char *why)
{
	size_t n = pending_drop_all(&q->pending);

	if (n > 0)
		log_warn("%zu plain messages were not recorded: %s", n, why);
}

/* --- the connection ----------------------------------------------------- */

static void
disconnect(struct record_queue *q)
{
	redis_conn_close(q->conn);
	q->conn = NULL;
	q->nexpected = q->expect_first = 0;
	lease_disconnected(q->lease, clock_now_ms() + AGAIN_MS);
}

static void
lose_connection(struct record_queue *q)
{
	if (!q->is_failing)
		log_error("publishing connection to Redis: %s; reconnecting",
		    redis_conn_error(q->conn));
	q->is_failing = true;
	disconnect(q);
}

static void
expect(struct record_queue *q, enum expected what)
{
	q->expected[(q->expect_first + q->nexpected++) % EXPECT_MAX] = what;
}

static void
ask_for_lease(struct record_queue *q, enum lease_request request)
{
	if (lease_ask(q->lease, q->conn, request, q->pending.recorded,
		clock_now_ms()) == 0)
		expect(q,
		    request == LEASE_RENEW ? EXPECT_RENEWED : EXPECT_ACQUIRED);
}

int
record_queue_open(struct record_queue *q, const char *dead_token, char *error,
    size_t error_size)
{
	struct answer a;

	q->conn = redis_conn_open(&q->cfg->redis, error, error_size);
	if (q->conn == NULL)
		return -1;
	if (history_limits_write(q->conn, q->cfg) == -1)
		goto fail;
	if (dead_token[0] != '\0' &&
	    (lease_append_release(q->lease, q->conn, dead_token) == -1 ||
		redis_conn_flush(q->conn) == -1 ||
		redis_conn_wait(q->conn, &a) == ANSWER_BROKEN))
		goto fail;
	ask_for_lease(q, LEASE_ACQUIRE);
	if (redis_conn_flush(q->conn) == 0)
		return 0;
fail:
	snprintf(error, error_size, "%s", redis_conn_error(q->conn));
	disconnect(q);
	return -1;
}

/* A connection was lost with answers outstanding.  acquire will say how many
 * of the messages were recorded. */
static void
reconnect(struct record_queue *q)
{
	char error[256];

	q->conn = redis_conn_open(&q->cfg->redis, error, sizeof(error));
	if (q->conn != NULL) {
		ask_for_lease(q, LEASE_ACQUIRE);
		return;
	}
	if (!q->is_failing)
		log_error("%s; trying on", error);
	q->is_failing = true;
	disconnect(q);
}

/* --- answers ------------------------------------------------------------ */

static void
read_acquired(struct record_queue *q, const struct answer *a)
{
	uint64_t recorded;
	enum lease_holder holder = lease_read_acquired(q->lease, a, &recorded);
	size_t n;

	if (holder == LEASE_UNKNOWN) {
		if (!q->is_failing)
			log_error("cannot get the recorder's lease: %s",
			    a->kind == ANSWER_ERROR ? a->text
						    : "strange answer");
		q->is_failing = true;
		return;
	}
	q->is_failing = false;
	if (holder == LEASE_KEPT) {
		pending_settle(&q->pending, recorded);
	} else if (holder == LEASE_NEW) {
		/* lease and connection both were lost with answers
		 * outstanding: whether those messages were recorded cannot be
		 * told; better once at most */
		n = pending_drop_inflight(&q->pending);
		if (n > 0)
			log_warn("%zu plain messages may not have been "
				 "recorded: Redis was away for longer than "
				 "the lease",
			    n);
	}
}

static void
read_recorded(struct record_queue *q, const struct answer *a)
{
	const struct pending_message *m = pending_answered(&q->pending);

	if (m == NULL)
		return;
	if (a->kind == ANSWER_LIST ||
	    (a->kind == ANSWER_TEXT && strcmp(a->text, "SEEN") == 0)) {
		q->is_failing = false;
		pending_recorded(&q->pending);
	} else if (a->kind == ANSWER_TEXT) { /* LOST, GAP */
		lease_lost(q->lease, clock_now_ms());
		pending_refused(&q->pending);
	} else if (a->kind == ANSWER_ERROR && publish_error_passes(a->text)) {
		if (!q->is_failing)
			log_error("Redis does not record just now (%s); "
				  "trying on",
			    a->text);
		q->is_failing = true;
		q->resume_due_ms = clock_now_ms() + AGAIN_MS;
		pending_refused(&q->pending);
	} else {
		log_error("a message on '%s' could not be recorded: %s",
		    m->channel.name,
		    a->kind == ANSWER_ERROR ? a->text : "strange answer");
		pending_drop(&q->pending);
	}
}

static void
read_answers(struct record_queue *q)
{
	struct answer a;
	enum expected what;

	while (redis_conn_try(q->conn, &a) != ANSWER_NONE) {
		if (a.kind == ANSWER_BROKEN || q->nexpected == 0) {
			lose_connection(q);
			return;
		}
		q->answered_ms = clock_now_ms();
		what = q->expected[q->expect_first];
		q->expect_first = (q->expect_first + 1) % EXPECT_MAX;
		q->nexpected--;
		if (what == EXPECT_MESSAGE)
			read_recorded(q, &a);
		else if (what == EXPECT_ACQUIRED)
			read_acquired(q, &a);
		else
			lease_read_renewed(q->lease, &a, clock_now_ms());
	}
}

/* --- sending ------------------------------------------------------------ */

static const struct pending_message *
next_to_send(const struct record_queue *q)
{
	return lease_may_record(q->lease) ? pending_next(&q->pending) : NULL;
}

static int
send_message(struct record_queue *q, const struct pending_message *m)
{
	struct channel channel = m->channel;
	const struct channel_set one = { &channel, 1, 1 };
	const struct publish_lease lease = { q->lease->token,
		pending_next_number(&q->pending) };

	if (publish_append(q->conn, q->cfg->prefix, &one, m->frame,
		m->frame_len, &lease) == -1)
		return -1;
	expect(q, EXPECT_MESSAGE);
	pending_sent(&q->pending);
	return 0;
}

int
record_queue_fd(const struct record_queue *q)
{
	return q->conn != NULL ? redis_conn_fd(q->conn) : -1;
}

int64_t
record_queue_due_ms(const struct record_queue *q)
{
	if (next_to_send(q) != NULL && q->resume_due_ms > clock_now_ms() &&
	    q->resume_due_ms < q->lease->due_ms)
		return q->resume_due_ms;
	return q->lease->due_ms;
}

/* Renew the lease, or ask for it; by force when its holder is silent. */
static void
keep_lease(struct record_queue *q)
{
	int64_t now = clock_now_ms();

	if (now < q->lease->due_ms)
		return;
	if (q->lease->is_asking || q->nexpected > INFLIGHT_MAX)
		lease_postpone(q->lease, now); /* Redis hangs */
	else
		ask_for_lease(q, lease_next_request(q->lease, now));
}

void
record_queue_work(struct record_queue *q, bool is_readable)
{
	const struct pending_message *m;

	if (q->conn == NULL && clock_now_ms() >= q->lease->due_ms)
		reconnect(q);
	else if (q->conn != NULL && is_readable) {
		if (redis_conn_fill(q->conn) == -1)
			lose_connection(q);
		else
			read_answers(q);
	}
	if (q->conn == NULL)
		return;
	keep_lease(q);
	if (clock_now_ms() >= q->resume_due_ms)
		while ((m = next_to_send(q)) != NULL && send_message(q, m) == 0)
			;
	if (redis_conn_flush(q->conn) == -1)
		lose_connection(q);
}

void
record_queue_finish(struct record_queue *q, int64_t deadline_ms)
{
	struct pollfd pfd = { .events = POLLIN };
	int64_t wait_ms, now;
	struct answer a;
	size_t n;

	record_queue_work(q, false);
	while (q->pending.head != NULL && q->lease->is_active &&
	       (now = clock_now_ms()) < deadline_ms) {
		wait_ms = record_queue_due_ms(q) - now;
		if (wait_ms > deadline_ms - now)
			wait_ms = deadline_ms - now;
		pfd.fd = record_queue_fd(q);
		record_queue_work(
		    q, poll(&pfd, 1, wait_ms > 0 ? (int)wait_ms : 0) > 0);
	}
	record_queue_drop(q, "the recorder had to end");
	if (q->conn == NULL ||
	    lease_append_release(q->lease, q->conn, q->lease->token) == -1 ||
	    redis_conn_flush(q->conn) == -1)
		return;
	for (n = q->nexpected + 1; n > 0; n--)
		if (redis_conn_wait(q->conn, &a) == ANSWER_BROKEN)
			return;
}

int64_t
record_queue_answered_ms(const struct record_queue *q)
{
	return q->answered_ms;
}
