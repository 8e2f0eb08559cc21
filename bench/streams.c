/* SPDX-License-Identifier: ISC */
#include "bench/streams.h"

#include "bench/load.h"
#include "bench/net.h"
#include "bench/sse.h"
#include "bench/window.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* streams that one source address carries, of its 28,000 ports: those of the
 * measurement before wait in TIME_WAIT */
#define STREAMS_OF_ADDRESS 4000
#define READ_MAX 262144
#define RETRY_MS 3000

enum stream_state {
	STREAM_CLOSED,
	STREAM_CONNECTING,
	STREAM_ASKED, /* the head of the answer has not come */
	STREAM_OPEN,
	STREAM_WAITS, /* ended by the server; comes back at due_ns */
};

struct stream {
	struct source source;
	enum stream_state state;
	bool has_first_byte;
	int64_t asked_ns, due_ns;
	struct answer answer;
	uint64_t id_high, id_low; /* of the id before */
	struct seen seen[PUBLISHERS_MAX];
};

struct stream_counts stream_counts;
struct samples delivery_times, first_byte_times, catch_up_times;

static struct http_url stream_url;
static struct stream *streams;
static unsigned nstreams_max, nwanted, nopen, nopening, nopening_max;
static unsigned nwaiting, first_closed;
static unsigned npublishers;
static uint32_t step_now;
static bool step_is_sync, step_comes_back;
static uint64_t step_bytes;
static int64_t read_ns, came_back_ns;
static unsigned nsynced;

static void stream_ready(struct source *source, uint32_t events);

void
streams_init(const char *url, unsigned streams_max, unsigned publishers)
{
	stream_url = http_url_parse(url);
	nstreams_max = streams_max;
	npublishers = publishers;
	streams = calloc(streams_max, sizeof(*streams));
	if (!streams)
		die("out of memory");
	for (unsigned i = 0; i < streams_max; i++) {
		streams[i].source = (struct source){ stream_ready, -1 };
		streams[i].answer.retry_ms = RETRY_MS;
	}
}

/* ---- opening and closing */

static void
stream_close(struct stream *s, enum stream_state state)
{
	if (s->state == STREAM_OPEN)
		nopen--;
	if (s->state == STREAM_CONNECTING || s->state == STREAM_ASKED)
		nopening--;
	if (s->state == STREAM_WAITS)
		nwaiting--;
	unwatch(&s->source);
	s->state = state;
	if (state == STREAM_WAITS)
		nwaiting++;
	if (state == STREAM_CLOSED && first_closed > s - streams)
		first_closed = (unsigned)(s - streams);
}

static void
stream_open(struct stream *s)
{
	unsigned i = (unsigned)(s - streams);

	if (s->state == STREAM_WAITS)
		nwaiting--;
	answer_begin(&s->answer);
	s->has_first_byte = false;
	s->asked_ns = now_ns();
	s->source.fd = net_connect(&stream_url, 2 + i / STREAMS_OF_ADDRESS);
	s->state = STREAM_CONNECTING;
	nopening++;
	watch(&s->source, EPOLLOUT);
}

static void
stream_ask(struct stream *s)
{
	char request[1024];
	int len = snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n"
	    "%s%s%s\r\n",
	    stream_url.path, stream_url.host,
	    s->answer.id[0] ? "Last-Event-ID: " : "", s->answer.id,
	    s->answer.id[0] ? "\r\n" : "");

	if (send(s->source.fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		die("a stream's request: %s", strerror(errno));
	s->state = STREAM_ASKED;
	rewatch(&s->source, EPOLLIN);
}

void
streams_want(unsigned n, unsigned opening_max)
{
	if (n > nstreams_max)
		die("more streams than --max");
	for (unsigned i = n; i < nwanted; i++) {
		stream_close(&streams[i], STREAM_CLOSED);
		streams[i].answer.id[0] = '\0';
		streams[i].id_high = streams[i].id_low = 0;
	}
	nwanted = n;
	nopening_max = opening_max;
}

unsigned
streams_wanted(void)
{
	return nwanted;
}

unsigned
streams_open(void)
{
	return nopen;
}

static int64_t
pump_waiting(int64_t now)
{
	int64_t next = now + NS_PER_S;

	for (unsigned i = 0; i < nwanted; i++) {
		struct stream *s = &streams[i];

		if (s->state == STREAM_WAITS && s->due_ns <= now)
			stream_open(s);
		else if (s->state == STREAM_WAITS && s->due_ns < next)
			next = s->due_ns;
	}
	return next;
}

int64_t
streams_pump(int64_t now)
{
	while (first_closed < nwanted && nopening < nopening_max) {
		if (streams[first_closed].state == STREAM_CLOSED)
			stream_open(&streams[first_closed]);
		first_closed++;
	}
	return nwaiting ? pump_waiting(now) : now + NS_PER_S;
}

void
streams_cut(void)
{
	for (unsigned i = 0; i < nwanted; i++)
		stream_close(&streams[i], STREAM_CLOSED);
	nopening_max = 0;
}

void
streams_come_back(void)
{
	nopening_max = nwanted;
	step_comes_back = true;
	came_back_ns = now_ns();
}

/* ---- what a stream gets */

static bool
has_all(const struct stream *s)
{
	for (unsigned p = 0; p < npublishers; p++)
		if (s->seen[p].next <= window_published(p))
			return false;
	return true;
}

static void
count_event(struct stream *s, const struct mark *mark)
{
	struct seen *seen = &s->seen[mark->publisher];

	if (mark->step != step_now) {
		stream_counts.doubled++;
		return;
	}
	if (step_is_sync) {
		if (mark->seq > seen->next - 1) {
			seen->next = mark->seq + 1;
			nsynced += mark->seq == window_published(0);
		}
		return;
	}
	switch (window_arrived(seen, mark->publisher, mark->seq)) {
	case ARRIVED_IN_ORDER:
		break;
	case ARRIVED_LATE:
		stream_counts.lost--;
		stream_counts.swapped++;
		break;
	case ARRIVED_AGAIN:
		stream_counts.doubled++;
		return;
	}
	if (s->answer.data_len < step_bytes)
		stream_counts.short_data++;
	stream_counts.deliveries++;
	samples_add(&delivery_times, read_ns - mark->sent_ns);
	if (step_comes_back && has_all(s))
		samples_add(&catch_up_times, read_ns - came_back_ns);
}

/* "123" or "123:4"; other ids say nothing about their order. */
static void
check_id(struct stream *s)
{
	char *end;
	uint64_t high = strtoull(s->answer.id, &end, 10), low = 0;

	if (end == s->answer.id)
		return;
	if (*end == ':')
		low = strtoull(end + 1, &end, 10);
	if (*end)
		return;
	if (high < s->id_high || (high == s->id_high && low < s->id_low) ||
	    (s->answer.has_mark && high == s->id_high && low == s->id_low))
		stream_counts.ids_back++;
	s->id_high = high;
	s->id_low = low;
}

static void
on_block(void *stream, struct answer *answer)
{
	struct stream *s = stream;

	if (answer->is_reset)
		stream_counts.resets++;
	if (answer->has_id)
		check_id(s);
	if (answer->has_mark)
		count_event(s, &answer->mark);
}

static void
on_comment(void *stream)
{
	(void)stream;
	stream_counts.comments++;
}

static void
on_open(void *stream)
{
	struct stream *s = stream;

	s->state = STREAM_OPEN;
	nopening--;
	nopen++;
	if (s->answer.status != 200)
		stream_counts.refused++;
}

static void
stream_ended(struct stream *s)
{
	stream_counts.ended++;
	stream_close(s, STREAM_WAITS);
	s->due_ns = now_ns() + s->answer.retry_ms * NS_PER_MS;
}

static void
stream_ready(struct source *source, uint32_t events)
{
	static const struct answer_calls calls = { on_open, on_block,
		on_comment };
	static char bytes[READ_MAX];
	struct stream *s = (struct stream *)source;
	ssize_t n;

	if (s->state == STREAM_CONNECTING && !(events & EPOLLERR)) {
		stream_ask(s);
		return;
	}
	n = recv(source->fd, bytes, sizeof(bytes), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		stream_ended(s);
		return;
	}
	read_ns = now_ns();
	if (!s->has_first_byte) {
		s->has_first_byte = true;
		samples_add(&first_byte_times, read_ns - s->asked_ns);
	}
	stream_counts.body_bytes += (uint64_t)n;
	answer_feed(&s->answer, bytes, (size_t)n, &calls, s);
	if (s->answer.part == ANSWER_DONE || s->answer.status >= 300)
		stream_ended(s);
}

/* ---- steps */

void
streams_begin_step(uint32_t step, uint64_t room, bool is_sync, uint64_t bytes)
{
	step_now = step;
	step_is_sync = is_sync;
	step_bytes = bytes;
	step_comes_back = false;
	nsynced = 0;
	stream_counts = (struct stream_counts){ 0 };
	samples_clear(&delivery_times);
	samples_clear(&first_byte_times);
	samples_clear(&catch_up_times);
	window_begin(npublishers, nwanted, room, &stream_counts.lost);
	for (unsigned i = 0; i < nwanted; i++)
		for (unsigned p = 0; p < npublishers; p++)
			streams[i].seen[p] = (struct seen){ .next = 1 };
}

bool
streams_have_all(void)
{
	return window_is_empty();
}

unsigned
streams_synced(void)
{
	return nsynced;
}

bool
streams_have_room(unsigned publisher)
{
	return window_has_room(publisher);
}

uint64_t
streams_outstanding(void)
{
	uint64_t n = 0;

	for (unsigned p = 0; p < npublishers; p++)
		n += window_outstanding(p);
	return n;
}

uint32_t
streams_next_seq(unsigned publisher)
{
	nsynced = 0;
	return window_publish(publisher);
}

void
streams_count_missing(void)
{
	for (unsigned i = 0; i < nwanted; i++)
		for (unsigned p = 0; p < npublishers; p++)
			stream_counts.lost +=
			    window_published(p) + 1 - streams[i].seen[p].next;
}
