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
#include "bench/steps.h"
#include "bench/streams.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Up to three; -> how many there were. */
static int
take_numbers(const char *text, double *numbers)
{
	char *end;
	int n;

	for (n = 0; n < 3; n++, text = end) {
		numbers[n] = strtod(text, &end);
		if (end == text)
			break;
	}
	return n;
}

static void
do_command(const char *line)
{
	char word[16] = "";
	double numbers[3] = { 0 };
	size_t len = strcspn(line, " \n");
	int n = take_numbers(line + len, numbers) + 1;
	double a = numbers[0], b = numbers[1], c = numbers[2];

	if (len < sizeof(word))
		memcpy(word, line, len);

	if (n == 3 && strcmp(word, "open") == 0)
		step_open((unsigned)a, (unsigned)b);
	else if (n == 2 && strcmp(word, "ttfb") == 0)
		step_ttfb((unsigned)a);
	else if (n == 4 && strcmp(word, "latency") == 0)
		step_latency(a, b, (size_t)c);
	else if (n == 3 && strcmp(word, "saturate") == 0)
		step_saturate(a, (size_t)b);
	else if (n == 2 && strcmp(word, "idle") == 0)
		step_idle(a);
	else if (n == 3 && strcmp(word, "storm") == 0)
		step_storm((uint64_t)a, (size_t)b);
	else if (n == 3 && strcmp(word, "publish") == 0)
		step_publish((uint64_t)a, (size_t)b);
	else if (n == 1 && strcmp(word, "close") == 0)
		step_close();
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

struct arguments {
	const char *stream_url, *kind;
	unsigned streams_max;
	uint64_t window;
	struct publishing publishing;
};

static void
take_option(struct arguments *args, int c, char *text)
{
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	if (c == 's')
		args->stream_url = text;
	else if (c == 'k')
		args->kind = text;
	else if (c == 't')
		args->publishing.to = text;
	else if (c == 'c')
		args->publishing.channel = text;
	else if (c == 'l')
		args->publishing.script = text;
	else if (c == 'm' && n > 0)
		args->streams_max = (unsigned)n;
	else if (c == 'p' && n > 0 && n <= PUBLISHERS_MAX)
		args->publishing.connections = (unsigned)n;
	else if (c == 'w' && n > 0)
		args->window = n;
	else
		usage();
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
	struct arguments args = { .streams_max = 10000,
		.window = 256,
		.publishing = { .connections = 8,
		    .script = "lua/publish.lua",
		    .channel = "bench" } };
	unsigned npublishers;
	char line[128];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(&args, c, optarg);
	if (!args.stream_url || !args.kind || !args.publishing.to ||
	    optind != argc)
		usage();
	(void)signal(SIGPIPE, SIG_IGN);
	allow_descriptors(args.streams_max);
	args.publishing.kind = kind_named(args.kind);
	npublishers = publishers_open(&args.publishing);
	/* one more for step_ttfb */
	streams_init(args.stream_url, args.streams_max + 1, npublishers);
	steps_init(npublishers, args.window);
	while (fgets(line, sizeof(line), stdin))
		do_command(line);
	return 0;
}
