/* SPDX-License-Identifier: ISC */
/*
 * Each line has its number under a key of this process alone, and publish.lua
 * takes a number once, and only after the one before: so what was not answered
 * is simply sent again, and nothing is published twice or out of order.
 */
#include "line_sender.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "complain.h"
#include "line_queue.h"
#include "redis/publish.h"
#include "redis/redis_conn.h"

#define WAIT_AT_END_MS 60000 /* standard input has ended */
#define FRESH_MS 60000	     /* a key that was used so lately has not expired */
#define KEY_SURE_MS ((PUBLISH_KEY_LIFE_S - 30) * 1000)

static_assert(LINE_QUEUE_MAX <= PUBLISH_UNANSWERED_MAX, "lines sent again");

struct line_sender {
	const struct config *cfg;
	const struct channel_set *channels;
	struct line_queue queue;
	char key[40];
	struct redis_conn *conn; /* NULL: none, and none needed yet */
	struct backoff backoff;
	int64_t due_ms;	     /* nothing is sent, or tried, before */
	int64_t sent_ms;     /* Redis owes an answer since; while in flight */
	int64_t answered_ms; /* it took a line, on this connection; 0: none */
	int64_t maybe_ms;    /* the oldest that may be published was sent */
	int64_t away_ms;     /* Redis takes nothing since; 0: it does */
	int64_t ended_ms;    /* there are no more lines since; 0: there are */
	bool has_told;	     /* that it is away */
	char why[256]; /* it is away, and what to exit with if it stays so */
	int code;
	unsigned long long npublished, nunknown;
};

static void
make_key(struct line_sender *s)
{
	snprintf(s->key, sizeof(s->key), "%" PRIx64 "-%" PRIx64,
	    clock_random(0, INT64_MAX - 1), clock_random(0, INT64_MAX - 1));
}

/* --- Redis comes and goes ------------------------------------------------ */

static void
begin_wait(struct line_sender *s)
{
	int64_t now = clock_now_ms();

	if (s->away_ms == 0)
		s->away_ms = now;
	s->due_ms = now + backoff_next(&s->backoff);
	if (s->has_told)
		return;
	complain(0, "waiting for Redis: %s", s->why);
	s->has_told = true;
}

static void
end_wait(struct line_sender *s)
{
	s->away_ms = s->due_ms = 0;
	backoff_reset(&s->backoff);
	if (s->has_told)
		complain(0, "Redis is back, going on");
	s->has_told = false;
}

/* The connection is gone.  Redis ends those that are idle, so the first time
 * that is nothing to be told: the next one is tried at once. */
static void
lose(struct line_sender *s, const char *why)
{
	int64_t now = clock_now_ms();

	if (why != s->why) {
		snprintf(s->why, sizeof(s->why), "%s", why);
		s->code = EX_UNAVAILABLE;
	}
	if (line_queue_nmaybe(&s->queue) == 0)
		s->maybe_ms = now - REDIS_COMMAND_TIMEOUT_MS;
	if (s->away_ms > 0 && s->due_ms <= now)
		begin_wait(s);
	else if (line_queue_ninflight(&s->queue) > 0)
		s->away_ms = now;
	line_queue_lost(&s->queue);
	redis_conn_close(s->conn);
	s->conn = NULL;
	s->answered_ms = 0;
}

/* What may be published cannot be sent again once Redis has forgotten its
 * numbers. */
static void
give_up_old_lines(struct line_sender *s)
{
	uint64_t n = line_queue_nmaybe(&s->queue);

	if (n == 0 || clock_now_ms() - s->maybe_ms < KEY_SURE_MS)
		return;
	line_queue_drop_maybe(&s->queue);
	make_key(s);
	s->nunknown += n;
	complain(EX_UNKNOWN,
	    "of %" PRIu64 " lines nobody knows whether they were published: "
	    "Redis was away for longer than it remembers",
	    n);
}

static void
connect_again(struct line_sender *s)
{
	give_up_old_lines(s);
	s->conn = redis_conn_open(&s->cfg->redis, s->why, sizeof(s->why));
	if (s->conn != NULL)
		return;
	s->code = EX_UNAVAILABLE;
	begin_wait(s);
}

static int
stop(const struct line_sender *s, int code, const char *why)
{
	unsigned long long n = s->nunknown + line_queue_nmaybe(&s->queue);

	if (n == 0)
		return complain(code,
		    "%llu lines were published, and none after them: %s",
		    s->npublished, why);
	return complain(EX_UNKNOWN,
	    "%llu lines were published, and perhaps %llu more: %s",
	    s->npublished, n, why);
}

/* --- the queue into Redis ------------------------------------------------ */

/*
 * A number that the key does not know is taken whatever it is: on a new
 * connection, and when the key may have expired, one line goes alone.  Else
 * many at a time: each flush carries the script.
 */
static uint64_t
window(const struct line_sender *s)
{
	if (s->answered_ms == 0 || clock_now_ms() - s->answered_ms > FRESH_MS)
		return 1;
	return line_queue_ninflight(&s->queue) <= LINE_QUEUE_MAX / 2
		   ? LINE_QUEUE_MAX
		   : 0;
}

static int
send_lines(struct line_sender *s)
{
	const struct queued_line *line;
	uint64_t most = window(s);

	if (line_queue_ninflight(&s->queue) == 0)
		s->sent_ms = clock_now_ms();
	while (line_queue_ninflight(&s->queue) < most &&
	       (line = line_queue_next(&s->queue)) != NULL) {
		if (publish_append_once(s->conn, s->cfg->prefix, s->channels,
			line->frame, line->len, s->key,
			s->queue.sent + 1) == -1)
			return complain(EX_OSERR, "out of memory");
		line_queue_sent(&s->queue);
	}
	if (redis_conn_flush(s->conn) == -1)
		lose(s, redis_conn_error(s->conn));
	return 0;
}

static void
print_ids(struct line_sender *s, const struct answer *a)
{
	struct answer id;
	size_t i;

	for (i = 0; redis_answer_item(a, i, &id) == ANSWER_TEXT; i++)
		printf("%s%s", i > 0 ? " " : "", id.text);
	putchar('\n');
	s->npublished++;
}

/* Is it worth waiting until this error passes?  A right that was never there
 * does not come. */
static bool
passes(const struct line_sender *s, const char *error)
{
	return publish_error_passes(error) &&
	       (s->npublished > 0 || !publish_error_is_denial(error));
}

/* The answer to the oldest line in flight. */
static int
read_answer(struct line_sender *s, const struct answer *a)
{
	if (a->kind == ANSWER_LIST) {
		print_ids(s, a);
		line_queue_published(&s->queue);
		s->answered_ms = clock_now_ms();
		end_wait(s);
		return 0;
	}
	line_queue_refused(&s->queue);
	if (a->kind == ANSWER_ERROR && passes(s, a->text)) {
		snprintf(s->why, sizeof(s->why), "%s", a->text);
		s->code = EX_TEMPFAIL;
		begin_wait(s);
		return 0;
	}
	if (a->kind == ANSWER_TEXT && strcmp(a->text, "GAP") == 0) {
		/* Redis has lost what it had taken, and what came after */
		make_key(s);
		return 0;
	}
	return stop(s, EX_TEMPFAIL,
	    a->kind == ANSWER_ERROR ? a->text : "unexpected reply");
}

static int
read_answers(struct line_sender *s)
{
	struct answer a;
	int code = 0;

	if (redis_conn_fill(s->conn) == -1) {
		lose(s, redis_conn_error(s->conn));
		return 0;
	}
	while (code == 0 && redis_conn_try(s->conn, &a) != ANSWER_NONE) {
		if (a.kind == ANSWER_BROKEN ||
		    line_queue_ninflight(&s->queue) == 0) {
			lose(s, redis_conn_error(s->conn));
			break;
		}
		s->sent_ms = clock_now_ms();
		if (line_queue_answered(&s->queue))
			code = read_answer(s, &a);
		if (code == 0 && s->answered_ms == 0) {
			/* refused at once: perhaps another one is let in */
			lose(s, s->why);
			break;
		}
	}
	fflush(stdout);
	return code;
}

/* When Redis has been away for too long; INT64_MAX: never. */
static int64_t
end_of_wait_ms(const struct line_sender *s)
{
	if (s->away_ms == 0)
		return INT64_MAX;
	if (s->cfg->wait_s > 0)
		return s->away_ms + (int64_t)s->cfg->wait_s * 1000;
	if (s->ended_ms == 0)
		return INT64_MAX;
	return (s->ended_ms > s->away_ms ? s->ended_ms : s->away_ms) +
	       WAIT_AT_END_MS;
}

int
line_sender_work(struct line_sender *s, bool is_readable)
{
	int64_t now = clock_now_ms();
	int code;

	if (is_readable && (code = read_answers(s)) != 0)
		return code;
	if (now >= end_of_wait_ms(s)) {
		line_queue_lost(&s->queue);
		return stop(s, s->code, s->why);
	}
	if (line_queue_ninflight(&s->queue) > 0 &&
	    now >= s->sent_ms + REDIS_COMMAND_TIMEOUT_MS) {
		s->away_ms = s->away_ms > 0 ? s->away_ms : s->sent_ms;
		lose(s, "no answer within the time limit");
	}
	if (now < s->due_ms || line_sender_is_empty(s))
		return 0;
	if (s->conn == NULL)
		connect_again(s);
	return s->conn != NULL ? send_lines(s) : 0;
}

int
line_sender_patience_ms(const struct line_sender *s)
{
	int64_t due = end_of_wait_ms(s), now = clock_now_ms();

	if (line_sender_is_empty(s))
		return -1;
	if (line_queue_ninflight(&s->queue) > 0) {
		if (s->sent_ms + REDIS_COMMAND_TIMEOUT_MS < due)
			due = s->sent_ms + REDIS_COMMAND_TIMEOUT_MS;
	} else if (s->due_ms < due) {
		due = s->due_ms;
	}
	return due > now ? (int)(due - now) : 0;
}

struct line_sender *
line_sender_new(const struct config *cfg, const struct channel_set *channels)
{
	struct line_sender *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->cfg = cfg;
	s->channels = channels;
	s->backoff = (struct backoff){ .min_ms = 100, .max_ms = 5000 };
	make_key(s);
	return s;
}

void
line_sender_free(struct line_sender *s)
{
	if (s == NULL)
		return;
	redis_conn_close(s->conn);
	line_queue_free(&s->queue);
	free(s);
}

int
line_sender_open(struct line_sender *s)
{
	s->conn = redis_conn_open(&s->cfg->redis, s->why, sizeof(s->why));
	return s->conn != NULL
		   ? 0
		   : complain(EX_UNAVAILABLE, "not published: %s", s->why);
}

bool
line_sender_is_full(const struct line_sender *s)
{
	return line_queue_is_full(&s->queue);
}

bool
line_sender_is_empty(const struct line_sender *s)
{
	return s->queue.put == s->queue.done;
}

int
line_sender_put(struct line_sender *s, const char *frame, size_t len)
{
	return line_queue_put(&s->queue, frame, len);
}

void
line_sender_end(struct line_sender *s)
{
	s->ended_ms = clock_now_ms();
}

int
line_sender_fd(const struct line_sender *s)
{
	return s->conn != NULL ? redis_conn_fd(s->conn) : -1;
}

bool
line_sender_has_lost(const struct line_sender *s)
{
	return s->nunknown > 0;
}
