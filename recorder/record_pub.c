/* SPDX-License-Identifier: ISC */
/*
 * Messages are numbered as they are sent; publish.lua records number n only
 * after n - 1 and only for the holder of the lease.  So a message whose
 * answer was lost with the connection is sent again without coming twice, and
 * a recorder that slept records nothing once another has taken over.
 */
#include "recorder/record_pub.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "recorder/expected.h"
#include "recorder/record_queue.h"
#include "recorder/record_relay.h"
#include "redis/channel.h"
#include "redis/publish.h"
#include "redis/redis_conn.h"

#define RETRY_MS 250 /* after an error that passes, and to reconnect */

struct record_pub {
	const struct config *cfg;
	struct lease *lease;
	struct redis_conn *conn; /* NULL: not connected */
	struct record_queue queue;
	struct record_relay relay; /* while Redis does not record */
	struct expected_answers expected;
	int64_t answered_ms;	  /* when the last answer came */
	struct trouble full;	  /* the queue */
	struct trouble away;	  /* Redis, on this connection */
	struct trouble leaseless; /* it does not say who holds the lease */
};

struct record_pub *
record_pub_new(const struct config *cfg, struct lease *lease)
{
	struct record_pub *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->cfg = cfg;
	p->lease = lease;
	record_relay_init(&p->relay, cfg->prefix, lease, &p->queue);
	return p;
}

void
record_pub_free(struct record_pub *p)
{
	if (p == NULL)
		return;
	record_queue_free(&p->queue);
	redis_conn_close(p->conn);
	free(p);
}

static void
tell_dropped(size_t n, const char *why)
{
	if (n > 0)
		log_warn("%zu plain messages were not recorded: %s", n, why);
}

void
record_pub_put(struct record_pub *p, const char *channel, size_t channel_len,
    const char *frame, size_t frame_len)
{
	const bool has_room = p->queue.bytes < QUEUE_BYTES_MAX / 2;

	if (record_queue_put(
		&p->queue, channel, channel_len, frame, frame_len) == -1)
		trouble_tell(&p->full,
		    "the queue is full: plain messages are not recorded until "
		    "Redis takes some");
	else if (has_room)
		trouble_over(&p->full,
		    "the queue has room again; %llu plain messages were not "
		    "recorded since the start",
		    (unsigned long long)p->queue.ndropped);
}

void
record_pub_begin_anew(struct record_pub *p)
{
	const bool drops_all = p->queue.ninflight > 0;

	tell_dropped(record_queue_drop_unrelayed(&p->queue),
	    "the lease was gone for a moment");
	if (drops_all)
		record_relay_forget(&p->relay);
}

/* --- the connection ----------------------------------------------------- */

static void
disconnect(struct record_pub *p)
{
	redis_conn_close(p->conn);
	p->conn = NULL;
	expected_clear(&p->expected);
	record_relay_disconnected(&p->relay);
	lease_disconnected(p->lease, clock_now_ms() + RETRY_MS);
}

static void
lose_connection(struct record_pub *p)
{
	trouble_tell(&p->away,
	    "publishing connection to Redis: %s; reconnecting",
	    redis_conn_error(p->conn));
	disconnect(p);
}

static void
ask_for_lease(struct record_pub *p, enum lease_request request)
{
	if (lease_ask(p->lease, p->conn, request, p->queue.recorded,
		clock_now_ms()) == 0)
		expected_add(&p->expected,
		    request == LEASE_RENEW ? EXPECT_RENEWED : EXPECT_ACQUIRED);
}

int
record_pub_open(struct record_pub *p, char *error, size_t error_size)
{
	p->conn = redis_conn_open(&p->cfg->redis, error, error_size);
	if (p->conn == NULL)
		return -1;
	ask_for_lease(p, LEASE_ACQUIRE);
	if (redis_conn_flush(p->conn) == 0)
		return 0;
	snprintf(error, error_size, "%s", redis_conn_error(p->conn));
	disconnect(p);
	return -1;
}

void
record_pub_release(struct record_pub *p)
{
	if (p->conn != NULL && p->expected.n < EXPECT_MAX &&
	    lease_append_release(p->lease, p->conn) == 0)
		expected_add(&p->expected, EXPECT_NOTHING);
	if (p->conn != NULL && redis_conn_flush(p->conn) == -1)
		lose_connection(p);
}

/* A connection was lost with answers outstanding.  acquire will say how many
 * of the messages were recorded. */
static void
reconnect(struct record_pub *p)
{
	char error[256];

	p->conn = redis_conn_open(&p->cfg->redis, error, sizeof(error));
	if (p->conn != NULL)
		return; /* the lease is due */
	trouble_tell(&p->away, "%s; still trying", error);
	disconnect(p);
}

/* --- answers ------------------------------------------------------------ */

static const char *
error_of(const struct answer *a)
{
	return a->kind == ANSWER_ERROR ? a->text : "unexpected reply";
}

static void
read_acquired(struct record_pub *p, const struct answer *a)
{
	const bool was_active = p->lease->is_active;
	uint64_t recorded;
	enum lease_holder holder = lease_read_acquired(p->lease, a, &recorded);
	size_t n;

	if (holder == LEASE_UNKNOWN) {
		trouble_tell(&p->leaseless,
		    "cannot get the recorder's lease: %s; still trying",
		    error_of(a));
		record_relay_begin(&p->relay);
		return;
	}
	trouble_over(&p->leaseless, "Redis says again who holds the lease");
	/* of what was in flight, or is another's, the ids are not known */
	if (holder == LEASE_NEW || p->queue.ninflight > 0)
		record_relay_note_id(&p->relay, p->lease->answered_us);
	if (holder == LEASE_KEPT) {
		record_queue_settle(&p->queue, recorded);
	} else if (holder == LEASE_OTHERS) {
		tell_dropped(record_queue_drop_all(&p->queue),
		    "another recorder has taken over");
		if (was_active)
			log_info("another recorder has taken over; waiting");
	} else {
		/* lease and connection both were lost with answers
		 * outstanding: whether those messages were recorded cannot be
		 * told; better once at most */
		n = record_queue_drop_inflight(&p->queue);
		if (n == 0)
			return;
		record_relay_forget(&p->relay);
		log_warn("%zu plain messages may not have been recorded: "
			 "Redis was away for longer than the lease",
		    n);
	}
}

static void
read_answer(struct record_pub *p, enum expected what, const struct answer *a)
{
	switch (what) {
	case EXPECT_MESSAGE:
		if (!record_relay_read_recorded(&p->relay, a, clock_now_ms()))
			lease_lost(p->lease, clock_now_ms());
		break;
	case EXPECT_RELAYED:
		record_relay_read_relayed(&p->relay, a, clock_now_ms());
		break;
	case EXPECT_FORGOTTEN:
		record_relay_read_forgotten(&p->relay);
		break;
	case EXPECT_ACQUIRED:
		read_acquired(p, a);
		break;
	case EXPECT_RENEWED:
		lease_read_renewed(p->lease, a, clock_now_ms());
		break;
	case EXPECT_NOTHING:
		break;
	}
}

static void
read_answers(struct record_pub *p)
{
	struct answer a;
	enum expected what;

	while (redis_conn_try(p->conn, &a) != ANSWER_NONE) {
		if (a.kind == ANSWER_BROKEN ||
		    !expected_next(&p->expected, &what)) {
			lose_connection(p);
			return;
		}
		p->answered_ms = clock_now_ms();
		trouble_over(
		    &p->away, "the publishing connection stands again");
		read_answer(p, what, &a);
	}
}

/* --- sending ------------------------------------------------------------ */

static const struct queued_message *
next_to_send(const struct record_pub *p)
{
	return lease_may_record(p->lease) ? record_queue_next(&p->queue) : NULL;
}

static int
send_message(struct record_pub *p, const struct queued_message *m)
{
	struct channel channel = m->channel;
	const struct channel_set one = { .items = &channel, .n = 1 };
	const struct publish_lease lease = { p->lease->token,
		record_queue_next_number(&p->queue) };

	if (publish_append(p->conn, p->cfg->prefix, &one, m->frame,
		m->frame_len, &lease) == -1)
		return -1;
	expected_add(&p->expected, EXPECT_MESSAGE);
	record_queue_sent(&p->queue);
	return 0;
}

static void
send_some(struct record_pub *p)
{
	const struct queued_message *m;

	record_relay_append_forget(&p->relay, p->conn, &p->expected);
	while (p->expected.n < INFLIGHT_MAX &&
	       record_relay_may_record(&p->relay, clock_now_ms()) &&
	       (m = next_to_send(p)) != NULL)
		if (send_message(p, m) == -1)
			break;
	record_relay_append(&p->relay, p->conn, &p->expected, clock_now_ms());
}

int
record_pub_fd(const struct record_pub *p)
{
	return p->conn != NULL ? redis_conn_fd(p->conn) : -1;
}

int64_t
record_pub_due_ms(const struct record_pub *p)
{
	const int64_t now = clock_now_ms();
	const int64_t relay_ms = record_relay_due_ms(&p->relay);
	int64_t due_ms = p->lease->due_ms;

	if (next_to_send(p) != NULL && p->relay.retry_ms > now &&
	    p->relay.retry_ms < due_ms)
		due_ms = p->relay.retry_ms;
	if (relay_ms > now && relay_ms < due_ms)
		due_ms = relay_ms;
	return due_ms;
}

/* Renew the lease, or ask for it; by force when its holder is silent. */
static void
keep_lease(struct record_pub *p)
{
	int64_t now = clock_now_ms();

	if (now < p->lease->due_ms)
		return;
	if (!p->lease->is_hearing || p->lease->is_asking ||
	    p->expected.n > INFLIGHT_MAX)
		lease_postpone(p->lease, now); /* Redis hangs */
	else
		ask_for_lease(p, lease_next_request(p->lease));
}

void
record_pub_work(struct record_pub *p, bool is_readable)
{
	if (p->conn == NULL && clock_now_ms() >= p->lease->due_ms)
		reconnect(p);
	else if (p->conn != NULL && is_readable) {
		if (redis_conn_fill(p->conn) == -1)
			lose_connection(p);
		else
			read_answers(p);
	}
	if (p->conn == NULL)
		return;
	keep_lease(p);
	send_some(p);
	if (redis_conn_flush(p->conn) == -1)
		lose_connection(p);
}

void
record_pub_finish(struct record_pub *p, int64_t deadline_ms)
{
	struct pollfd pfd = { .events = POLLIN };
	int64_t wait_ms, now;
	struct answer a;
	size_t n;

	record_pub_work(p, false);
	while (p->queue.head != NULL && p->lease->is_held &&
	       (now = clock_now_ms()) < deadline_ms) {
		wait_ms = record_pub_due_ms(p) - now;
		if (wait_ms > deadline_ms - now)
			wait_ms = deadline_ms - now;
		pfd.fd = record_pub_fd(p);
		record_pub_work(
		    p, poll(&pfd, 1, wait_ms > 0 ? (int)wait_ms : 0) > 0);
	}
	tell_dropped(
	    record_queue_drop_all(&p->queue), "the recorder had to end");
	if (p->conn == NULL || lease_append_release(p->lease, p->conn) == -1 ||
	    redis_conn_flush(p->conn) == -1)
		return;
	for (n = p->expected.n + 1; n > 0; n--)
		if (redis_conn_wait(p->conn, &a) == ANSWER_BROKEN)
			return;
}

int64_t
record_pub_answered_ms(const struct record_pub *p)
{
	return p->answered_ms;
}

bool
record_pub_is_relaying(const struct record_pub *p)
{
	return p->relay.is_on && p->lease->is_active;
}
