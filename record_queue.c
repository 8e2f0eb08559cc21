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

#include "buf.h"
#include "channel.h"
#include "clock.h"
#include "log.h"
#include "lua_lease.h"
#include "parse.h"
#include "publish.h"
#include "redis_conn.h"

#define INFLIGHT_MAX 512 /* commands without an answer */
#define INFLIGHT_BYTES_MAX (1 << 20)
#define EXPECT_MAX (INFLIGHT_MAX + 8)
#define AGAIN_MS 250 /* after an error that passes, and to reconnect */

struct item {
	struct item *next;
	char *channel;
	size_t channel_len, frame_len;
	char frame[]; /* and behind it the channel */
};

/* What the next answers belong to, in order. */
enum expected { EXPECT_ITEM, EXPECT_ACQUIRE, EXPECT_RENEW };

struct record_queue {
	const struct config *cfg;
	const char *token;
	char lease_key[80];
	struct redis_conn *conn;	   /* NULL: not connected */
	struct item *head, *tail, *unsent; /* oldest without an answer; ... */
	size_t bytes;
	uint64_t recorded; /* number of the last message recorded */
	enum expected expected[EXPECT_MAX]; /* a ring */
	size_t expect_first, nexpected;
	size_t ninflight, inflight_bytes;
	size_t nabandoned;	/* oldest inflight whose items were dropped */
	bool has_lease;		/* as the last answer said */
	uint64_t attempt;	/* to get the lease: the last one made, */
	uint64_t lease_attempt; /* the one that got it, and the one whose */
	uint64_t heard_attempt; /* announcement was heard: until that is it, */
				/* another recorder may have come between */
	bool is_active;		/* as the subscription heard */
	bool must_rewind;	/* send again from the head */
	bool is_ready;
	bool is_asking;	     /* for the lease; the answer is due */
	int64_t answered_ms; /* when the last answer came */
	bool is_overflowing, is_failing;
	int64_t renew_due_ms, resume_due_ms, alive_ms;
	uint64_t ndropped;
	char error[256];
};

struct record_queue *
record_queue_new(const struct config *cfg, const char *token)
{
	struct record_queue *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->cfg = cfg;
	q->token = token;
	q->alive_ms = clock_now_ms();
	snprintf(q->lease_key, sizeof(q->lease_key), "%srecorder", cfg->prefix);
	return q;
}

/* --- the list ----------------------------------------------------------- */

static void
pop_head(struct record_queue *q)
{
	struct item *it = q->head;

	q->bytes -= sizeof(*it) + it->frame_len + it->channel_len;
	q->head = it->next;
	if (q->unsent == it)
		q->unsent = it->next;
	if (q->head == NULL)
		q->tail = NULL;
	free(it);
}

/* Drop all messages; answers to those sent may still come. */
static void
drop_all(struct record_queue *q, const char *why)
{
	size_t n = 0;

	for (; q->head != NULL; n++)
		pop_head(q);
	q->nabandoned = q->ninflight;
	q->ndropped += n;
	if (n > 0)
		log_warn("%zu plain messages were not recorded: %s", n, why);
}

void
record_queue_put(struct record_queue *q, const char *channel,
    size_t channel_len, const char *frame, size_t frame_len)
{
	struct item *it = NULL;

	if (q->bytes + frame_len <= QUEUE_BYTES_MAX)
		it = malloc(sizeof(*it) + frame_len + channel_len);
	if (it == NULL) {
		q->ndropped++;
		if (!q->is_overflowing)
			log_error("the queue is full: plain messages are not "
				  "recorded until Redis takes some");
		q->is_overflowing = true;
		return;
	}
	if (q->is_overflowing && q->bytes < QUEUE_BYTES_MAX / 2) {
		q->is_overflowing = false;
		log_warn("the queue has room again; %llu plain messages were "
			 "not recorded since the start",
		    (unsigned long long)q->ndropped);
	}
	it->next = NULL;
	it->frame_len = frame_len;
	it->channel_len = channel_len;
	it->channel = it->frame + frame_len;
	memcpy(it->frame, frame, frame_len);
	memcpy(it->channel, channel, channel_len);
	q->bytes += sizeof(*it) + frame_len + channel_len;
	if (q->tail != NULL)
		q->tail->next = it;
	else
		q->head = it;
	q->tail = it;
	if (q->unsent == NULL)
		q->unsent = it;
}

/* --- the connection ----------------------------------------------------- */

static void
disconnect(struct record_queue *q)
{
	redis_conn_close(q->conn);
	q->conn = NULL;
	q->nexpected = q->expect_first = 0;
	q->has_lease = q->is_asking = false;
	q->renew_due_ms = clock_now_ms() + AGAIN_MS;
}

static void
lose_connection(struct record_queue *q)
{
	snprintf(q->error, sizeof(q->error), "%s", redis_conn_error(q->conn));
	if (!q->is_failing)
		log_error("publishing connection to Redis: %s; reconnecting",
		    q->error);
	q->is_failing = true;
	disconnect(q);
}

static void
expect(struct record_queue *q, enum expected what)
{
	q->expected[(q->expect_first + q->nexpected++) % EXPECT_MAX] = what;
}

static int
append_lease(struct record_queue *q, const char *verb, const char *token)
{
	char seq[24], ms[16], attempt[24];
	const char *argv[] = { "1", q->lease_key, verb, token, q->cfg->record,
		seq, ms, attempt };

	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)q->recorded);
	snprintf(ms, sizeof(ms), "%d", LEASE_MS);
	snprintf(
	    attempt, sizeof(attempt), "%llu", (unsigned long long)++q->attempt);
	return redis_conn_append_script(q->conn, &lua_lease, 8, argv, NULL);
}

static void
ask_for_lease(struct record_queue *q, const char *verb)
{
	bool renews = strcmp(verb, "renew") == 0;

	if (append_lease(q, verb, q->token) == 0) {
		expect(q, renews ? EXPECT_RENEW : EXPECT_ACQUIRE);
		q->is_asking = !renews;
	}
	q->renew_due_ms = clock_now_ms() + LEASE_RENEW_MS;
}

/* One word more of HSET limits, if it was given. */
static void
add_limit(const char **argv, int *argc, const char *name, uint64_t value,
    char text[24])
{
	if (value == 0)
		return;
	snprintf(text, 24, "%llu", (unsigned long long)value);
	argv[(*argc)++] = name;
	argv[(*argc)++] = text;
}

static int
write_limits(struct record_queue *q)
{
	char key[80], text[3][24];
	const char *argv[8] = { "HSET", key };
	struct answer a;
	int argc = 2;

	snprintf(key, sizeof(key), "%slimits", q->cfg->prefix);
	add_limit(argv, &argc, "count", q->cfg->history_count, text[0]);
	add_limit(argv, &argc, "age", q->cfg->history_age_s, text[1]);
	add_limit(argv, &argc, "bytes", q->cfg->history_bytes, text[2]);
	if (argc == 2)
		return 0;
	if (redis_conn_append(q->conn, argc, argv, NULL) == -1 ||
	    redis_conn_flush(q->conn) == -1 ||
	    redis_conn_wait(q->conn, &a) == ANSWER_BROKEN)
		return -1;
	if (a.kind == ANSWER_ERROR)
		log_error("the history's limits could not be written to %s: %s",
		    key, a.text);
	return 0;
}

int
record_queue_open(struct record_queue *q, const char *dead_token)
{
	struct answer a;

	q->conn = redis_conn_open(&q->cfg->redis, q->error, sizeof(q->error));
	if (q->conn == NULL)
		return -1;
	if (write_limits(q) == -1)
		goto fail;
	if (dead_token[0] != '\0' &&
	    (append_lease(q, "release", dead_token) == -1 ||
		redis_conn_flush(q->conn) == -1 ||
		redis_conn_wait(q->conn, &a) == ANSWER_BROKEN))
		goto fail;
	ask_for_lease(q, "acquire");
	if (redis_conn_flush(q->conn) == 0)
		return 0;
fail:
	snprintf(q->error, sizeof(q->error), "%s", redis_conn_error(q->conn));
	disconnect(q);
	return -1;
}

/* A connection was lost with answers outstanding.  acquire will say how many
 * of the messages were recorded. */
static void
reconnect(struct record_queue *q)
{
	q->conn = redis_conn_open(&q->cfg->redis, q->error, sizeof(q->error));
	if (q->conn == NULL) {
		if (!q->is_failing)
			log_error("%s; trying on", q->error);
		q->is_failing = true;
		q->renew_due_ms = clock_now_ms() + AGAIN_MS;
		return;
	}
	ask_for_lease(q, "acquire");
}

/* --- what the subscription heard ---------------------------------------- */

void
record_queue_heard_up(struct record_queue *q, uint64_t attempt,
    const char *token, size_t token_len)
{
	bool is_own = token_len == strlen(q->token) &&
		      memcmp(token, q->token, token_len) == 0;

	q->alive_ms = clock_now_ms();
	if (is_own) {
		if (!q->is_active)
			log_info("recording %s", q->cfg->record);
		q->is_active = true;
		q->heard_attempt = attempt;
		return;
	}
	drop_all(q, "another recorder has taken over");
	if (q->is_active)
		log_info("another recorder has taken over; waiting");
	q->is_active = false;
}

void
record_queue_heard_down(struct record_queue *q)
{
	if (!q->is_active) /* some jitter: there may be many */
		q->renew_due_ms = clock_now_ms() + clock_random(0, 50);
}

void
record_queue_heard_alive(struct record_queue *q)
{
	q->alive_ms = clock_now_ms();
}

bool
record_queue_is_active(const struct record_queue *q)
{
	return q->is_active;
}

bool
record_queue_is_ready(const struct record_queue *q)
{
	return q->is_ready;
}

/* --- answers ------------------------------------------------------------ */

/* All that was sent and not answered is to be sent again, or was recorded. */
static void
settle_doubt(struct record_queue *q, uint64_t recorded_now)
{
	size_t kept = q->ninflight - q->nabandoned;

	for (; kept > 0 && q->recorded < recorded_now; kept--, q->recorded++)
		pop_head(q);
	q->recorded = recorded_now;
	q->ninflight = q->nabandoned = q->inflight_bytes = 0;
	q->unsent = q->head;
}

/* Lease and connection both were lost with answers outstanding: whether those
 * messages were recorded cannot be told.  Better once at most. */
static void
drop_doubtful(struct record_queue *q)
{
	size_t n = q->ninflight - q->nabandoned;

	if (n > 0)
		log_warn("%zu plain messages may not have been recorded: "
			 "Redis was away for longer than the lease",
		    n);
	for (q->ndropped += n; n > 0; n--)
		pop_head(q);
	settle_doubt(q, q->recorded);
}

static void
read_acquire(struct record_queue *q, const struct answer *a)
{
	struct answer verdict, seq, attempt;

	if (redis_answer_item(a, 0, &verdict) != ANSWER_TEXT ||
	    redis_answer_item(a, 1, &seq) != ANSWER_NUMBER ||
	    redis_answer_item(a, 2, &attempt) != ANSWER_NUMBER) {
		if (!q->is_failing)
			log_error("cannot get the recorder's lease: %s",
			    a->kind == ANSWER_ERROR ? a->text
						    : "strange answer");
		q->is_failing = true;
		return;
	}
	q->is_ready = true;
	q->is_failing = false;
	if (strcmp(verdict.text, "OTHER") == 0)
		return;
	q->has_lease = true;
	q->lease_attempt = (uint64_t)attempt.number;
	if (strcmp(verdict.text, "HELD") == 0)
		settle_doubt(q, (uint64_t)seq.number);
	else
		drop_doubtful(q);
}

static void
read_item(struct record_queue *q, const struct answer *a)
{
	struct item *it = q->nabandoned == 0 ? q->head : NULL;

	q->ninflight--;
	if (it == NULL) {
		q->nabandoned--;
		return;
	}
	q->inflight_bytes -= it->frame_len;
	if (q->must_rewind) /* behind one that failed: refused likewise */
		return;
	if (a->kind == ANSWER_LIST ||
	    (a->kind == ANSWER_TEXT && strcmp(a->text, "SEEN") == 0)) {
		q->recorded++;
		q->is_failing = false;
		pop_head(q);
		return;
	}
	q->must_rewind = true;
	if (a->kind == ANSWER_TEXT) { /* LOST, GAP */
		q->has_lease = false;
		q->renew_due_ms = clock_now_ms();
	} else if (a->kind == ANSWER_ERROR && publish_error_passes(a->text)) {
		if (!q->is_failing)
			log_error("Redis does not record just now (%s); "
				  "trying on",
			    a->text);
		q->is_failing = true;
		q->resume_due_ms = clock_now_ms() + AGAIN_MS;
	} else {
		log_error("a message on '%.*s' could not be recorded: %s",
		    (int)it->channel_len, it->channel,
		    a->kind == ANSWER_ERROR ? a->text : "strange answer");
		q->ndropped++;
		pop_head(q);
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
		if (what == EXPECT_ITEM) {
			read_item(q, &a);
		} else if (what == EXPECT_ACQUIRE) {
			q->is_asking = false;
			read_acquire(q, &a);
		} else if (a.kind != ANSWER_NUMBER || a.number != 1) {
			q->has_lease = false;
			q->renew_due_ms = clock_now_ms();
		}
	}
	if (q->must_rewind && q->ninflight == 0) {
		q->must_rewind = false;
		q->inflight_bytes = 0;
		q->unsent = q->head;
	}
}

/* --- sending ------------------------------------------------------------ */

static int
send_item(struct record_queue *q, struct item *it)
{
	struct channel channel;
	struct channel_set one = { &channel, 1, 1 };
	char name[CHANNEL_LEN_MAX + 1];
	struct publish_lease lease = { q->token,
		q->recorded + q->ninflight - q->nabandoned + 1 };

	memcpy(name, it->channel, it->channel_len);
	name[it->channel_len] = '\0';
	channel = (struct channel){ name, it->channel_len };
	if (publish_append(q->conn, q->cfg->prefix, &one, it->frame,
		it->frame_len, &lease) == -1)
		return -1;
	expect(q, EXPECT_ITEM);
	q->ninflight++;
	q->inflight_bytes += it->frame_len;
	return 0;
}

static bool
may_send(const struct record_queue *q)
{
	return q->unsent != NULL && q->has_lease &&
	       q->heard_attempt == q->lease_attempt && !q->must_rewind &&
	       q->nabandoned == 0 && q->ninflight < INFLIGHT_MAX &&
	       (q->ninflight == 0 || q->inflight_bytes < INFLIGHT_BYTES_MAX) &&
	       clock_now_ms() >= q->resume_due_ms;
}

int
record_queue_fd(const struct record_queue *q)
{
	return q->conn != NULL ? redis_conn_fd(q->conn) : -1;
}

int64_t
record_queue_due_ms(const struct record_queue *q)
{
	if (q->unsent != NULL && q->has_lease &&
	    q->resume_due_ms > clock_now_ms() &&
	    q->resume_due_ms < q->renew_due_ms)
		return q->resume_due_ms;
	return q->renew_due_ms;
}

/* Renew the lease, or ask for it; by force when its holder is silent. */
static void
keep_lease(struct record_queue *q)
{
	int64_t now = clock_now_ms();

	if (now < q->renew_due_ms)
		return;
	if (q->is_asking || q->nexpected > INFLIGHT_MAX) { /* Redis hangs */
		q->renew_due_ms = now + LEASE_RENEW_MS;
		return;
	}
	if (q->has_lease)
		ask_for_lease(q, "renew");
	else if (now - q->alive_ms > LEASE_SILENCE_MS)
		ask_for_lease(q, "force");
	else
		ask_for_lease(q, "acquire");
}

void
record_queue_work(struct record_queue *q, bool is_readable)
{
	if (q->conn == NULL && clock_now_ms() >= q->renew_due_ms)
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
	while (may_send(q) && send_item(q, q->unsent) == 0)
		q->unsent = q->unsent->next;
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
	while (q->head != NULL && q->is_active &&
	       (now = clock_now_ms()) < deadline_ms) {
		wait_ms = record_queue_due_ms(q) - now;
		if (wait_ms > deadline_ms - now)
			wait_ms = deadline_ms - now;
		pfd.fd = record_queue_fd(q);
		record_queue_work(
		    q, poll(&pfd, 1, wait_ms > 0 ? (int)wait_ms : 0) > 0);
	}
	drop_all(q, "the recorder had to end");
	if (q->conn == NULL || append_lease(q, "release", q->token) == -1 ||
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

const char *
record_queue_error(const struct record_queue *q)
{
	return q->error;
}

void
record_queue_free(struct record_queue *q)
{
	if (q == NULL)
		return;
	while (q->head != NULL)
		pop_head(q);
	redis_conn_close(q->conn);
	free(q);
}
