/* SPDX-License-Identifier: ISC */
/* The subscription of the recorder.  Runs in the recorder. */
#include "recorder/record_sub.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/glob.h"
#include "base/log.h"
#include "base/parse.h"
#include "redis/channel.h"
#include "redis/event.h"
#include "redis/record.h"
#include "redis/sse.h"

#define PRESENCE_SIZE (80 + LEASE_TOKEN_SIZE + 8) /* key:TOKEN:relay */
#define READS_MAX 64 /* of 16 KiB, before the queue gets its turn */

/*
 * Redis counts the seconds for which it has more for a subscriber than the soft
 * limit of client-output-buffer-limit; but it looks only when it adds to a
 * buffer that holds 16 KiB already.  So after a large message the count goes on,
 * and the next one, however late, would cut us (measured, Redis 7.0).  Where
 * much came, the answer to the next PING is such an addition.
 */
#define MUCH_BYTES (64 * 1024)
#define BALLAST_LEN (40 * 1024)

struct record_sub {
	const struct config *cfg;
	struct lease *lease;
	struct record_pub *pub;
	struct redis_conn *conn; /* NULL: not subscribed */
	struct buf frame;
	bool is_to_show_relay;
	size_t heard_bytes; /* since the last PING */
	const char *patterns[RECORD_PATTERNS_MAX];
	size_t lens[RECORD_PATTERNS_MAX], npatterns;
};

static void
split_patterns(struct record_sub *s)
{
	const char *p = s->cfg->record, *pattern;
	size_t len;

	for (; *p != '\0' && s->npatterns < RECORD_PATTERNS_MAX;
	     p += *p == ',') {
		pattern = p;
		len = strcspn(p, ",");
		p += len;
		parse_strip_blanks(&pattern, &len);
		if (len > 0) {
			s->patterns[s->npatterns] = pattern;
			s->lens[s->npatterns++] = len;
		}
	}
}

struct record_sub *
record_sub_new(
    const struct config *cfg, struct lease *lease, struct record_pub *pub)
{
	struct record_sub *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->cfg = cfg;
	s->lease = lease;
	s->pub = pub;
	buf_init(&s->frame, SSE_FRAME_LEN_MAX(cfg->event_bytes));
	split_patterns(s);
	return s;
}

void
record_sub_close(struct record_sub *s)
{
	redis_conn_close(s->conn);
	s->conn = NULL;
}

void
record_sub_free(struct record_sub *s)
{
	if (s == NULL)
		return;
	record_sub_close(s);
	buf_free(&s->frame);
	free(s);
}

/* --- messages ----------------------------------------------------------- */

static bool
is_pattern(const struct record_sub *s, size_t i, const struct answer *a)
{
	return a->kind == ANSWER_TEXT && a->len == s->lens[i] &&
	       memcmp(a->text, s->patterns[i], a->len) == 0;
}

/*
 * Redis sends a message once for each pattern that matches its channel; the
 * first of ours counts.
 */
static bool
is_first_match(const struct record_sub *s, const struct answer *pattern,
    const struct answer *channel)
{
	size_t i;

	for (i = 0; i < s->npatterns; i++) {
		if (is_pattern(s, i, pattern))
			return true;
		if (glob_matches(s->patterns[i], s->lens[i], channel->text,
			channel->len))
			return false;
	}
	return false;
}

static void
record(struct record_sub *s, const struct answer *channel,
    const struct answer *payload)
{
	struct event ev;

	if (channel_name_error(channel->text, channel->len, s->cfg->prefix) !=
		NULL ||
	    record_has_header(payload->text, payload->len))
		return;
	if (payload->len > s->cfg->event_bytes) {
		log_error("a message of %zu bytes on '%.*s' was not recorded: "
			  "over --event-bytes",
		    payload->len, (int)channel->len, channel->text);
		return;
	}
	event_from_payload(&ev, payload->text, payload->len);
	buf_reset(&s->frame);
	if (sse_put_event(&s->frame, &ev) == 0)
		record_pub_put(s->pub, channel->text, channel->len,
		    s->frame.bytes, s->frame.len);
	else
		log_error("a message of %zu bytes on '%.*s' was not recorded: "
			  "with a field name in front of each line it is over "
			  "twice --event-bytes",
		    payload->len, (int)channel->len, channel->text);
	event_free(&ev);
}

/* An announcement, in the lease's channel. */
static void
read_control(struct record_sub *s, const struct answer *payload)
{
	switch (lease_heard(
	    s->lease, payload->text, payload->len, clock_now_ms())) {
	case LEASE_NO_NEWS:
		break;
	case LEASE_BEGINS:
		log_info("recording %s", s->cfg->record);
		break;
	case LEASE_BEGINS_ANEW:
		record_pub_begin_anew(s->pub);
		break;
	}
}

static void
put_relay_name(const struct record_sub *s, char name[PRESENCE_SIZE])
{
	snprintf(
	    name, PRESENCE_SIZE, "%s:%s:relay", s->lease->key, s->lease->token);
}

/* Redis confirms that what show_relay subscribed to stands. */
static void
hear_confirmation(struct record_sub *s, const struct answer *message)
{
	char name[PRESENCE_SIZE];
	struct answer channel;

	put_relay_name(s, name);
	if (redis_answer_item(message, 1, &channel) == ANSWER_TEXT &&
	    strcmp(channel.text, name) == 0)
		s->lease->shows_relay = s->is_to_show_relay;
}

/* Of a pmessage: its payload stands at 3. */
static size_t
payload_len(const struct answer *message)
{
	struct answer payload;

	return redis_answer_item(message, 3, &payload) == ANSWER_TEXT
		   ? payload.len
		   : 0;
}

static void
hear(struct record_sub *s, const struct answer *message)
{
	struct answer kind, pattern, channel, payload;

	if (redis_answer_item(message, 0, &kind) != ANSWER_TEXT)
		return;
	s->heard_bytes += payload_len(message);
	if (strcmp(kind.text, "message") == 0 &&
	    redis_answer_item(message, 1, &channel) == ANSWER_TEXT &&
	    strcmp(channel.text, s->lease->key) == 0 &&
	    redis_answer_item(message, 2, &payload) == ANSWER_TEXT)
		read_control(s, &payload);
	else if (strcmp(kind.text, "subscribe") == 0)
		hear_confirmation(s, message);
	else if (strcmp(kind.text, "pmessage") == 0 && s->lease->is_active &&
		 redis_answer_item(message, 1, &pattern) == ANSWER_TEXT &&
		 redis_answer_item(message, 2, &channel) == ANSWER_TEXT &&
		 redis_answer_item(message, 3, &payload) == ANSWER_TEXT &&
		 is_first_match(s, &pattern, &channel))
		record(s, &channel, &payload);
}

/* Hear all that was read.  0, or -1: the subscription is lost. */
static int
hear_all(struct record_sub *s)
{
	struct answer a;

	while (redis_conn_try(s->conn, &a) != ANSWER_NONE) {
		if (a.kind == ANSWER_BROKEN)
			return -1;
		hear(s, &a);
	}
	return 0;
}

int
record_sub_read(struct record_sub *s)
{
	struct pollfd pfd = { .fd = redis_conn_fd(s->conn), .events = POLLIN };
	int i;

	for (i = 0; i < READS_MAX; i++) {
		if (poll(&pfd, 1, 0) <= 0)
			return 0;
		if (redis_conn_fill(s->conn) == -1 || hear_all(s) == -1)
			return -1;
	}
	return 0;
}

/* --- the connection ----------------------------------------------------- */

/* PSUBSCRIBE the patterns, SUBSCRIBE what recorders say to each other, and a
 * channel that nobody speaks on: whoever counts its subscribers sees whether
 * this subscription lives (lease.lua, snapshot.lua). */
static int
subscribe(
    struct record_sub *s, const char *token, char *error, size_t error_size)
{
	const char *words[RECORD_PATTERNS_MAX + 1] = { "PSUBSCRIBE" };
	size_t lens[RECORD_PATTERNS_MAX + 1] = { 10 }, i;
	char presence[PRESENCE_SIZE];
	const char *control[] = { "SUBSCRIBE", s->lease->key, presence };
	struct answer a, count;

	snprintf(presence, sizeof(presence), "%s:%s", s->lease->key, token);
	s->is_to_show_relay = false;
	for (i = 0; i < s->npatterns; i++) {
		words[i + 1] = s->patterns[i];
		lens[i + 1] = s->lens[i];
	}
	if (redis_conn_append(s->conn, (int)s->npatterns + 1, words, lens) ==
		-1 ||
	    redis_conn_append(s->conn, 3, control, NULL) == -1 ||
	    redis_conn_flush(s->conn) == -1) {
		snprintf(error, error_size, "%s", redis_conn_error(s->conn));
		return -1;
	}
	/* one confirmation for each; messages may come between */
	for (i = 0; i < s->npatterns + 2;) {
		redis_conn_wait(s->conn, &a);
		if (a.kind != ANSWER_LIST) {
			snprintf(error, error_size, "cannot subscribe: %s",
			    a.kind == ANSWER_ERROR ? a.text
						   : redis_conn_error(s->conn));
			return -1;
		}
		i += redis_answer_item(&a, 2, &count) == ANSWER_NUMBER;
	}
	return 0;
}

int
record_sub_open(struct record_sub *s, struct redis_conn *conn,
    const char *token, char *error, size_t error_size)
{
	s->conn = conn;
	if (subscribe(s, token, error, error_size) == 0)
		return 0;
	record_sub_close(s);
	return -1;
}

int
record_sub_fd(const struct record_sub *s)
{
	return s->conn != NULL ? redis_conn_fd(s->conn) : -1;
}

/* What came before the connection ended counts.  0, or -1. */
static int
flush(struct record_sub *s)
{
	if (redis_conn_flush(s->conn) == 0)
		return 0;
	hear_all(s);
	return -1;
}

int
record_sub_ping(struct record_sub *s)
{
	static char ballast[BALLAST_LEN];
	const char *argv[] = { "PING", ballast };
	const size_t lens[] = { 4, sizeof(ballast) };

	if (redis_conn_append(s->conn, s->heard_bytes >= MUCH_BYTES ? 2 : 1,
		argv, lens) == -1)
		return -1;
	s->heard_bytes = 0;
	return flush(s);
}

const char *
record_sub_error(const struct record_sub *s)
{
	return redis_conn_error(s->conn);
}

int
record_sub_show_relay(struct record_sub *s, bool is_relaying)
{
	char name[PRESENCE_SIZE];
	const char *argv[] = { is_relaying ? "SUBSCRIBE" : "UNSUBSCRIBE",
		name };

	if (is_relaying == s->is_to_show_relay)
		return 0;
	put_relay_name(s, name);
	s->is_to_show_relay = is_relaying;
	s->lease->shows_relay = false;
	if (redis_conn_append(s->conn, 2, argv, NULL) == -1)
		return -1;
	return flush(s);
}
