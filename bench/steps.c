/* SPDX-License-Identifier: ISC */
#include "bench/steps.h"

#include "bench/publishers.h"
#include "bench/streams.h"

#include <inttypes.h>
#include <stdio.h>

#define SYNC_EVERY_NS (200 * NS_PER_MS)
#define SYNC_ROOM 100000
/* after a step, for what is on its way */
#define DRAIN_NS (60 * NS_PER_S)
#define TTFB_NS (10 * NS_PER_S)
/* between the cut and the return of the streams: the server sees them leave */
#define STORM_PAUSE_NS NS_PER_S

static unsigned npublishers;
static uint64_t window;
static uint32_t step;

void
steps_init(unsigned publishers, uint64_t most_on_their_way)
{
	npublishers = publishers;
	window = most_on_their_way;
}

static bool
turn_until(int64_t until)
{
	int64_t now = now_ns(), next = streams_pump(now);

	publishers_flush();
	turn(next < until ? next : until);
	return now_ns() < until;
}

static void
begin(uint64_t room, bool is_sync, uint64_t bytes)
{
	streams_begin_step(++step, room, is_sync, bytes);
}

static void
send_one(unsigned publisher, size_t bytes)
{
	struct mark mark = { .step = step, .seq = streams_next_seq(publisher) };

	publisher_send(publisher, mark, bytes);
}

/* What is on its way arrives, or is lost. */
static void
drain(void)
{
	int64_t deadline = now_ns() + DRAIN_NS;

	while (!(streams_have_all() && publishers_are_idle()))
		if (!turn_until(deadline))
			break;
	streams_count_missing();
}

/*
 * Publish until every stream has the newest event: now each is known to hear.
 * One that needs longer for an event to all than from one to the next would
 * never come to an end, so it gets more time each time.
 */
static bool
synchronize(int64_t deadline)
{
	int64_t pause = SYNC_EVERY_NS;

	begin(SYNC_ROOM, true, 0);
	for (; now_ns() < deadline; pause *= 2) {
		int64_t until = now_ns() + pause;

		if (publisher_is_free(0))
			send_one(0, 0);
		while (turn_until(until))
			if (streams_synced() == streams_wanted() &&
			    publishers_are_idle())
				return true;
	}
	return false;
}

static void
print_times(const char *name, struct samples *samples)
{
	printf(",\"%s_p50_ms\":%.4f,\"%s_p99_ms\":%.4f,\"%s_max_ms\":%.4f",
	    name, samples_ms(samples, 0.5), name, samples_ms(samples, 0.99),
	    name, samples_ms(samples, 1));
}

static void
print_counts(void)
{
	const struct stream_counts *c = &stream_counts;

	printf(",\"streams\":%u,\"deliveries\":%" PRIu64
	       ",\"body_bytes\":%" PRIu64 ",\"lost\":%" PRIu64
	       ",\"doubled\":%" PRIu64 ",\"swapped\":%" PRIu64
	       ",\"short_data\":%" PRIu64 ",\"ids_back\":%" PRIu64
	       ",\"resets\":%" PRIu64 ",\"comments\":%" PRIu64
	       ",\"ended\":%" PRIu64 ",\"refused\":%" PRIu64 "}\n",
	    streams_wanted(), c->deliveries, c->body_bytes, c->lost, c->doubled,
	    c->swapped, c->short_data, c->ids_back, c->resets, c->comments,
	    c->ended, c->refused);
	fflush(stdout);
}

static double
seconds(int64_t ns)
{
	return (double)ns / NS_PER_S;
}

/* ---- the commands */

void
step_open(unsigned n, unsigned at_a_time)
{
	unsigned before = streams_open();
	int64_t start, opened, deadline;
	double opening_s;

	begin(1, false, 0);
	start = now_ns();
	deadline = start + DRAIN_NS + n * (50 * NS_PER_MS);
	streams_want(n, at_a_time);
	while (streams_open() < n && turn_until(deadline))
		continue;
	opened = now_ns();
	opening_s = seconds(opened - start);
	if (streams_open() < n)
		die("only %u of %u streams opened", streams_open(), n);
	printf("{\"step\":\"open\",\"seconds\":%.4f,\"per_second\":%.1f",
	    opening_s, n > before ? (n - before) / opening_s : 0);
	print_times("ttfb", &first_byte_times);
	if (stream_counts.ended || stream_counts.refused)
		printf(",\"ended_at_once\":%" PRIu64
		       ",\"refused_at_once\":%" PRIu64,
		    stream_counts.ended, stream_counts.refused);
	if (n && !synchronize(deadline))
		die("only %u of %u streams got an event", streams_synced(), n);
	printf(",\"heard_seconds\":%.4f", seconds(now_ns() - start));
	print_counts();
}

void
step_ttfb(unsigned count)
{
	unsigned n = streams_wanted();

	begin(1, false, 0);
	for (unsigned i = 0; i < count; i++) {
		int64_t deadline = now_ns() + TTFB_NS;

		streams_want(n + 1, 1);
		while (streams_open() < n + 1)
			if (!turn_until(deadline))
				die("a stream did not open");
		streams_want(n, 1);
	}
	printf("{\"step\":\"ttfb\"");
	print_times("ttfb", &first_byte_times);
	print_counts();
}

/* Everybody who may, publishes; no more than so many.  -> how many */
static uint64_t
publish_all(uint64_t most, size_t bytes)
{
	uint64_t n = 0;
	bool goes_on = true;

	while (goes_on) {
		goes_on = false;
		for (unsigned p = 0; p < npublishers && n < most; p++)
			if (publisher_is_free(p) && streams_have_room(p)) {
				send_one(p, bytes);
				n++;
				goes_on = true;
			}
	}
	return n;
}

void
step_latency(double duration_s, double rate, size_t bytes)
{
	int64_t start, tick = (int64_t)(NS_PER_S / rate);
	unsigned long n = (unsigned long)(duration_s * rate), late = 0;

	begin(SYNC_ROOM, false, bytes);
	start = now_ns();
	for (unsigned long i = 0; i < n; i++) {
		while (turn_until(start + (int64_t)i * tick))
			continue;
		/* who is two seconds behind need not be asked for more */
		if (streams_outstanding() > (uint64_t)(2 * rate) ||
		    publish_all(1, bytes) == 0)
			late++;
	}
	drain();
	printf("{\"step\":\"latency\",\"seconds\":%.4f,\"bytes\":%zu"
	       ",\"rate\":%.1f,\"not_sent\":%lu",
	    seconds(now_ns() - start), bytes, rate, late);
	print_times("latency", &delivery_times);
	print_counts();
}

/* How many events may be on their way: 256, fewer of long ones and to many
 * streams, for they all lie in some queue (25 MB of 100 bytes, 64 MB of 4 kB). */
static uint64_t
window_for(size_t bytes)
{
	uint64_t n = window, streams = streams_wanted();

	if (bytes > 1024)
		n = n * 1024 / bytes;
	if (streams > 1000)
		n = n * 1000 / streams;
	return n > npublishers ? n : npublishers;
}

void
step_saturate(double duration_s, size_t bytes)
{
	int64_t start, until;
	uint64_t published = 0;

	begin(window_for(bytes), false, bytes);
	start = now_ns();
	until = start + (int64_t)(duration_s * NS_PER_S);
	do
		published += publish_all(UINT64_MAX, bytes);
	while (turn_until(until));
	drain();
	duration_s = seconds(now_ns() - start);
	printf("{\"step\":\"saturate\",\"seconds\":%.4f,\"bytes\":%zu"
	       ",\"published\":%" PRIu64 ",\"per_second\":%.1f",
	    duration_s, bytes, published,
	    (double)stream_counts.deliveries / duration_s);
	print_times("latency", &delivery_times);
	print_counts();
}

void
step_idle(double duration_s)
{
	int64_t start = now_ns();

	begin(1, false, 0);
	while (turn_until(start + (int64_t)(duration_s * NS_PER_S)))
		continue;
	printf(
	    "{\"step\":\"idle\",\"seconds\":%.4f", seconds(now_ns() - start));
	print_counts();
}

/* Publish so many; -> how long until the last was answered, ns. */
static int64_t
publish_count(uint64_t count, size_t bytes)
{
	int64_t start = now_ns();
	uint64_t n = 0;

	while (n < count || !publishers_are_idle()) {
		n += publish_all(count - n, bytes);
		if (!turn_until(start + 2 * DRAIN_NS))
			die("publishing takes too long");
	}
	return now_ns() - start;
}

void
step_storm(uint64_t missed, size_t bytes)
{
	int64_t start;

	if (!synchronize(now_ns() + DRAIN_NS))
		die("not all streams got an event before the storm");
	begin(missed + npublishers, false, bytes);
	streams_cut();
	(void)publish_count(missed, bytes);
	start = now_ns();
	while (turn_until(start + STORM_PAUSE_NS))
		continue;
	start = now_ns();
	streams_come_back();
	drain();
	printf("{\"step\":\"storm\",\"seconds\":%.4f,\"missed\":%" PRIu64
	       ",\"bytes\":%zu",
	    seconds(now_ns() - start), missed, bytes);
	print_times("ttfb", &first_byte_times);
	print_times("caught_up", &catch_up_times);
	print_counts();
}

void
step_publish(uint64_t count, size_t bytes)
{
	int64_t took;

	begin(count + npublishers, false, 0);
	took = publish_count(count, bytes);
	printf("{\"step\":\"publish\",\"seconds\":%.4f,\"published\":%" PRIu64
	       ",\"per_second\":%.1f",
	    seconds(took), count, (double)count / seconds(took));
	drain();
	print_counts();
}

void
step_close(void)
{
	begin(1, false, 0);
	streams_want(0, 0);
	printf("{\"step\":\"close\"");
	print_counts();
}
