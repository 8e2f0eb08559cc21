/* SPDX-License-Identifier: ISC */
/*
 * The load generator: it opens streams, publishes, and checks and times what
 * arrives.  Commands come on stdin, one a line; each is answered by one line of
 * JSON when it is done, so that the driver can look at the processes in between.
 *
 *	open N AT_A_TIME      have N streams open, each with an event
 *	ttfb COUNT            open and close one more, again and again
 *	latency SECONDS RATE BYTES
 *	saturate SECONDS BYTES
 *	idle SECONDS
 *	storm MISSED BYTES    cut all; they come back at once and have missed so many
 *	publish COUNT BYTES   until all are answered; streams are not waited for
 *	close
 */
#include "bench/load.h"
#include "bench/publishers.h"
#include "bench/streams.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SYNC_EVERY_NS (200 * NS_PER_MS)
#define SYNC_ROOM 100000
/* after a step, for what is on its way */
#define DRAIN_NS (60 * NS_PER_S)
#define TTFB_NS (10 * NS_PER_S)
/* between the cut and the return of the streams: the server sees them leave */
#define STORM_PAUSE_NS NS_PER_S

static struct publishing publishing = {
	.connections = 8, .script = "lua/publish.lua", .channel = "bench"
};
static unsigned npublishers;
static uint64_t window = 256;
static uint32_t step;

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

/* Publish until every stream has the newest event: now each is known to hear. */
static bool
synchronize(int64_t deadline)
{
	begin(SYNC_ROOM, true, 0);
	while (now_ns() < deadline) {
		int64_t until = now_ns() + SYNC_EVERY_NS;

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

static void
do_open(unsigned n, unsigned at_a_time)
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

static void
do_ttfb(unsigned count)
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

static void
do_latency(double duration_s, double rate, size_t bytes)
{
	int64_t start, tick = (int64_t)(NS_PER_S / rate);
	unsigned long n = (unsigned long)(duration_s * rate), late = 0;

	begin(SYNC_ROOM, false, bytes);
	start = now_ns();
	for (unsigned long i = 0; i < n; i++) {
		while (turn_until(start + (int64_t)i * tick))
			continue;
		/* who is two seconds behind need not be asked for more */
		if (publisher_is_free(0) &&
		    streams_outstanding(0) <= (uint64_t)(2 * rate))
			send_one(0, bytes);
		else
			late++;
	}
	drain();
	printf("{\"step\":\"latency\",\"seconds\":%.4f,\"bytes\":%zu"
	       ",\"rate\":%.1f,\"not_sent\":%lu",
	    seconds(now_ns() - start), bytes, rate, late);
	print_times("latency", &delivery_times);
	print_counts();
}

/* Everybody who may, publishes. */
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

static void
do_saturate(double duration_s, size_t bytes)
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

static void
do_idle(double duration_s)
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

static void
do_storm(uint64_t missed, size_t bytes)
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

static void
do_publish(uint64_t count, size_t bytes)
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

static void
do_close(void)
{
	begin(1, false, 0);
	streams_want(0, 0);
	printf("{\"step\":\"close\"");
	print_counts();
}

static void
do_command(const char *line)
{
	char word[16];
	double a = 0, b = 0, c = 0;
	int n = sscanf(line, "%15s %lf %lf %lf", word, &a, &b, &c);

	if (n == 3 && strcmp(word, "open") == 0)
		do_open((unsigned)a, (unsigned)b);
	else if (n == 2 && strcmp(word, "ttfb") == 0)
		do_ttfb((unsigned)a);
	else if (n == 4 && strcmp(word, "latency") == 0)
		do_latency(a, b, (size_t)c);
	else if (n == 3 && strcmp(word, "saturate") == 0)
		do_saturate(a, (size_t)b);
	else if (n == 2 && strcmp(word, "idle") == 0)
		do_idle(a);
	else if (n == 3 && strcmp(word, "storm") == 0)
		do_storm((uint64_t)a, (size_t)b);
	else if (n == 3 && strcmp(word, "publish") == 0)
		do_publish((uint64_t)a, (size_t)b);
	else if (n == 1 && strcmp(word, "close") == 0)
		do_close();
	else
		die("not a command of load");
}

/* ---- start */

static enum publish_kind
kind_named(const char *name)
{
	if (strcmp(name, "redis-script") == 0)
		return PUBLISH_SCRIPT;
	if (strcmp(name, "redis-publish") == 0)
		return PUBLISH_PLAIN;
	if (strcmp(name, "http-post") == 0)
		return PUBLISH_POST;
	die("no way to publish is named %s", name);
}

/* As many descriptors as there are streams. */
static void
allow_descriptors(unsigned long streams)
{
	struct rlimit limit;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= streams + 100)
		return;
	limit.rlim_cur = streams + 100;
	if (limit.rlim_max < limit.rlim_cur)
		limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("%lu streams need more descriptors than are allowed",
		    streams);
}

static void
usage(void)
{
	fputs("usage: load --stream=URL --kind=redis-script|redis-publish|"
	      "http-post --to=SOCKET|URL\n"
	      "    [--channel=bench] [--script=lua/publish.lua] [--max=10000]\n"
	      "    [--publishers=8] [--window=256] <commands\n",
	    stderr);
	exit(64);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stream", required_argument, NULL, 's' },
		{ "kind", required_argument, NULL, 'k' },
		{ "to", required_argument, NULL, 't' },
		{ "channel", required_argument, NULL, 'c' },
		{ "script", required_argument, NULL, 'l' },
		{ "max", required_argument, NULL, 'm' },
		{ "publishers", required_argument, NULL, 'p' },
		{ "window", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	const char *stream_url = NULL, *kind = NULL;
	unsigned streams_max = 10001;
	char line[128];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (c == 's')
			stream_url = optarg;
		else if (c == 'k')
			kind = optarg;
		else if (c == 't')
			publishing.to = optarg;
		else if (c == 'c')
			publishing.channel = optarg;
		else if (c == 'l')
			publishing.script = optarg;
		else if (c == 'm')
			streams_max = (unsigned)n + 1;
		else if (c == 'p' && n > 0 && n <= PUBLISHERS_MAX)
			publishing.connections = (unsigned)n;
		else if (c == 'w' && n > 0)
			window = n;
		else
			usage();
	}
	if (!stream_url || !kind || !publishing.to || optind != argc)
		usage();
	(void)signal(SIGPIPE, SIG_IGN);
	allow_descriptors(streams_max);
	publishing.kind = kind_named(kind);
	npublishers = publishers_open(&publishing);
	streams_init(stream_url, streams_max, npublishers);
	while (fgets(line, sizeof(line), stdin))
		do_command(line);
	return 0;
}
