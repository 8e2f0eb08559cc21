/* SPDX-License-Identifier: ISC */
/*
 * main() of sse-publish: an event from the command line or standard input, or
 * one for each line of it, into Redis.  Prints the ids that they got.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "redis/channel.h"
#include "redis/event.h"
#include "redis/publish.h"
#include "redis/redis_conn.h"
#include "redis/sse.h"

#define INFLIGHT_MAX 512 /* events sent and not yet answered */
#define READ_LEN 65536

struct publisher {
	const struct config *cfg;
	struct channel_set channels;
	struct redis_conn *conn;
	struct buf frame;
	struct buf input; /* of --lines: what has no line end yet */
	size_t ninflight;
	unsigned long long nlines, npublished;
	bool at_end, skipping; /* within a line that is too long */
	int code;	       /* what to exit with */
};

static int __attribute__((format(printf, 2, 3)))
fail(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("sse-publish: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return code;
}

/* Put one event into the pipeline.  0, or an exit code, said. */
static int
send_event(struct publisher *p, const char *bytes, size_t len)
{
	struct event ev = {
		.name = p->cfg->event, .data = bytes, .data_len = len
	};

	ev.name_len = ev.name != NULL ? strlen(ev.name) : 0;
	buf_reset(&p->frame);
	if (sse_put_event(&p->frame, &ev) == -1)
		return fail(EX_DATAERR,
		    "%s not published: with a field name in front of each line "
		    "it is longer than twice --event-bytes (%llu)",
		    p->cfg->lines ? "a line was" : "the event was",
		    (unsigned long long)p->cfg->event_bytes);
	if (publish_append(p->conn, p->cfg->prefix, &p->channels,
		p->frame.bytes, p->frame.len, NULL) == -1)
		return fail(EX_OSERR, "out of memory");
	p->ninflight++;
	return 0;
}

/* Say why it stops, and with --lines how far it came. */
static int
stop(const struct publisher *p, int code, const char *why)
{
	if (!p->cfg->lines)
		return fail(code, "not published: %s", why);
	return fail(
	    code, "%llu lines were published, then: %s", p->npublished, why);
}

static int
print_ids(struct publisher *p, const struct answer *a)
{
	struct answer id;
	size_t i;

	if (a->kind == ANSWER_BROKEN)
		return stop(p, EX_UNAVAILABLE, redis_conn_error(p->conn));
	if (a->kind != ANSWER_LIST)
		return stop(p, EX_TEMPFAIL,
		    a->kind == ANSWER_ERROR ? a->text : "unexpected reply");
	for (i = 0; redis_answer_item(a, i, &id) == ANSWER_TEXT; i++)
		printf("%s%s", i > 0 ? " " : "", id.text);
	putchar('\n');
	p->ninflight--;
	p->npublished++;
	return 0;
}

/* --- one event ---------------------------------------------------------- */

static int
read_all(struct publisher *p)
{
	char chunk[READ_LEN];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		if (buf_put(&p->input, chunk, (size_t)n) == -1)
			return fail(EX_DATAERR,
			    "standard input is longer than %llu bytes "
			    "(--event-bytes)",
			    (unsigned long long)p->cfg->event_bytes);
	if (n == -1)
		return fail(EX_IOERR, "standard input: %s", strerror(errno));
	return 0;
}

static int
publish_one(struct publisher *p, const char *text)
{
	struct answer a;
	int code;

	if (text == NULL) {
		if ((code = read_all(p)) != 0)
			return code;
	} else if (buf_puts(&p->input, text) == -1) {
		return fail(EX_DATAERR,
		    "the event is longer than %llu bytes (--event-bytes)",
		    (unsigned long long)p->cfg->event_bytes);
	}
	if ((code = send_event(p, p->input.bytes, p->input.len)) != 0)
		return code;
	if (redis_conn_flush(p->conn) == -1)
		return stop(p, EX_UNAVAILABLE, redis_conn_error(p->conn));
	redis_conn_wait(p->conn, &a);
	return print_ids(p, &a);
}

/* --- one event a line --------------------------------------------------- */

static int
line_ended(struct publisher *p)
{
	size_t len = p->input.len;
	int code = 0;

	p->nlines++;
	if (p->skipping) {
		p->code = fail(EX_DATAERR,
		    "line %llu was not published: it is longer than %llu bytes "
		    "(--event-bytes)",
		    p->nlines, (unsigned long long)p->cfg->event_bytes);
	} else {
		if (len > 0 && p->input.bytes[len - 1] == '\r')
			len--;
		code = send_event(p, len > 0 ? p->input.bytes : "", len);
		if (code == EX_DATAERR) { /* of this line alone */
			p->code = code;
			code = 0;
		}
	}
	p->skipping = false;
	buf_reset(&p->input);
	return code;
}

static int
read_lines(struct publisher *p)
{
	char chunk[READ_LEN];
	const char *at = chunk, *end, *lf;
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
	int code;

	if (n == -1)
		return errno == EINTR ? 0
				      : fail(EX_IOERR, "standard input: %s",
					    strerror(errno));
	if (n == 0) {
		p->at_end = true;
		return p->input.len > 0 || p->skipping ? line_ended(p) : 0;
	}
	for (end = chunk + n; at < end; at = lf + 1) {
		lf = memchr(at, '\n', (size_t)(end - at));
		if (buf_put(&p->input, at,
			(size_t)((lf != NULL ? lf : end) - at)) == -1)
			p->skipping = true;
		if (lf == NULL)
			break;
		if ((code = line_ended(p)) != 0)
			return code;
	}
	return 0;
}

static int
read_answers(struct publisher *p)
{
	struct answer a;
	int code;

	if (redis_conn_fill(p->conn) == -1)
		return stop(p, EX_UNAVAILABLE, redis_conn_error(p->conn));
	while (redis_conn_try(p->conn, &a) != ANSWER_NONE)
		if ((code = print_ids(p, &a)) != 0)
			return code;
	fflush(stdout);
	return 0;
}

/* Lines go out as they come, without waiting for the answers before. */
static int
publish_lines(struct publisher *p)
{
	struct pollfd fds[2] = { { .events = POLLIN },
		{ .fd = redis_conn_fd(p->conn), .events = POLLIN } };
	int code = 0, n, wait_ms;

	while (code == 0 && (!p->at_end || p->ninflight > 0)) {
		fds[0].fd = p->at_end || p->ninflight >= INFLIGHT_MAX
				? -1
				: STDIN_FILENO;
		wait_ms = p->ninflight > 0 ? REDIS_COMMAND_TIMEOUT_MS : -1;
		n = poll(fds, 2, wait_ms);
		if (n == 0)
			return stop(p, EX_UNAVAILABLE, "Redis does not answer");
		if (n == -1)
			continue;
		if (fds[1].revents != 0)
			code = read_answers(p);
		if (code == 0 && fds[0].fd != -1 && fds[0].revents != 0)
			code = read_lines(p);
		if (code == 0 && redis_conn_flush(p->conn) == -1)
			code =
			    stop(p, EX_UNAVAILABLE, redis_conn_error(p->conn));
	}
	return code;
}

/* --- the command line --------------------------------------------------- */

static void
print_help(void)
{
	printf("usage: sse-publish [OPTION...] CHANNEL[,CHANNEL...] [DATA]\n"
	       "Publish an event; its data is DATA, else standard input.\n"
	       "Prints its id, one for each channel.\n\n");
	config_print_options(stdout, PROGRAM_SSE_PUBLISH);
	printf("\nAll but --event and --lines can be set in the environment: "
	       "FCGI_SSE_REDIS=unix:///run/redis.sock.\n");
}

/* What the command line says, checked.  0, or an exit code, said. */
static int
check(struct publisher *p, int noperands, char *const operands[])
{
	const struct config *cfg = p->cfg;
	const char *why;
	char error[256];

	if (noperands < 1 || noperands > 2)
		return fail(EX_USAGE,
		    "name the channels, and perhaps the event's data in "
		    "quotes; see --help");
	if (cfg->lines && noperands == 2)
		return fail(
		    EX_USAGE, "--lines reads standard input: leave DATA out");
	if (cfg->event != NULL &&
	    (why = event_name_error(cfg->event, strlen(cfg->event))) != NULL)
		return fail(EX_USAGE, "the event name %s", why);
	if (channel_set_add_list(&p->channels, operands[0], strlen(operands[0]),
		cfg->prefix, error, sizeof(error)) == -1)
		return fail(EX_USAGE, "%s", error);
	if (p->channels.n == 0)
		return fail(EX_USAGE, "no channel is named");
	return 0;
}

static int
run(struct config *cfg, int noperands, char *const operands[])
{
	struct publisher p = { .cfg = cfg };
	char error[256];
	int code;

	buf_init(&p.frame, SSE_FRAME_LEN_MAX(cfg->event_bytes));
	/* one byte more: a carriage return at a line's end is not its */
	buf_init(&p.input, cfg->event_bytes + (cfg->lines ? 1 : 0));
	channel_set_init(&p.channels);
	if ((code = check(&p, noperands, operands)) != 0)
		goto out;
	if (config_read_password(cfg) == -1) {
		code = fail(EX_NOINPUT, "%s", cfg->error);
		goto out;
	}
	p.conn = redis_conn_open(&cfg->redis, error, sizeof(error));
	if (p.conn == NULL)
		code = stop(&p, EX_UNAVAILABLE, error);
	else if (cfg->lines)
		code = publish_lines(&p);
	else
		code = publish_one(&p, noperands == 2 ? operands[1] : NULL);
	if (code == 0)
		code = p.code;
out:
	redis_conn_close(p.conn);
	channel_set_free(&p.channels);
	buf_free(&p.frame);
	buf_free(&p.input);
	return code;
}

int
main(int argc, char *argv[])
{
	struct config cfg;
	int code;

	signal(
	    SIGPIPE, SIG_IGN); /* a lost Redis is an error, with a sentence */
	if (config_read(&cfg, PROGRAM_SSE_PUBLISH, argc, argv) == -1)
		return fail(EX_USAGE, "%s", cfg.error);
	if (cfg.help) {
		print_help();
		return EX_OK;
	}
	if (cfg.version) {
		printf("sse-publish %s\n", FCGI_SSE_VERSION);
		return EX_OK;
	}
	code = run(&cfg, argc - cfg.operand_index, argv + cfg.operand_index);
	config_free(&cfg);
	if (fflush(stdout) == EOF && code == 0)
		code =
		    fail(EX_IOERR, "cannot print the ids: %s", strerror(errno));
	return code;
}
