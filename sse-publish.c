/* SPDX-License-Identifier: ISC */
/*
 * main() of sse-publish: an event from the command line or standard input, or
 * one for each line of it, into Redis.  Prints the ids that they got.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/config.h"
#include "complain.h"
#include "publish_lines.h"
#include "redis/channel.h"
#include "redis/event.h"
#include "redis/publish.h"
#include "redis/redis_conn.h"
#include "redis/sse.h"

#define READ_LEN 65536

/* --- one event ---------------------------------------------------------- */

static int
read_all(const struct config *cfg, struct buf *input)
{
	char chunk[READ_LEN];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		if (buf_put(input, chunk, (size_t)n) == -1)
			return complain(EX_DATAERR,
			    "not published: standard input is longer than %llu "
			    "bytes (--event-bytes)",
			    (unsigned long long)cfg->event_bytes);
	if (n == -1)
		return complain(EX_IOERR, "not published: standard input: %s",
		    strerror(errno));
	return 0;
}

/* The event as it goes to the streams: of text, NULL: of standard input.  0, or
 * an exit code, said. */
static int
make_frame(const struct config *cfg, const char *text, struct buf *input,
    struct buf *frame)
{
	struct event ev = { .name = cfg->event };
	int code;

	if (text == NULL) {
		if ((code = read_all(cfg, input)) != 0)
			return code;
	} else if (buf_puts(input, text) == -1) {
		return complain(EX_DATAERR,
		    "not published: the event is longer than %llu bytes "
		    "(--event-bytes)",
		    (unsigned long long)cfg->event_bytes);
	}
	ev.name_len = ev.name != NULL ? strlen(ev.name) : 0;
	ev.data = input->bytes;
	ev.data_len = input->len;
	if (sse_put_event(frame, &ev) == -1)
		return complain(EX_DATAERR,
		    "not published: with a field name in front of each line "
		    "the event is longer than twice --event-bytes (%llu)",
		    (unsigned long long)cfg->event_bytes);
	return 0;
}

/* Redis' answer, said.  None came: the command had left, so it may be carried
 * out when Redis goes on. */
static int
print_answer(
    const struct config *cfg, struct redis_conn *conn, const struct answer *a)
{
	struct answer id;
	size_t i;

	if (a->kind == ANSWER_BROKEN)
		return complain(EX_UNKNOWN,
		    "nobody knows whether it was published: %s; %s",
		    redis_conn_error(conn),
		    cfg->key != NULL ? "the same command again is safe"
				     : "a --key makes it safe to ask again");
	if (a->kind != ANSWER_LIST)
		return complain(EX_TEMPFAIL, "not published: %s",
		    a->kind == ANSWER_ERROR ? a->text : "unexpected reply");
	for (i = 0; redis_answer_item(a, i, &id) == ANSWER_TEXT; i++)
		printf("%s%s", i > 0 ? " " : "", id.text);
	putchar('\n');
	return 0;
}

static int
send_frame(const struct config *cfg, const struct channel_set *channels,
    const struct buf *frame)
{
	struct redis_conn *conn;
	struct answer a;
	char error[256];
	int code, failed;

	conn = redis_conn_open(&cfg->redis, error, sizeof(error));
	if (conn == NULL)
		return complain(EX_UNAVAILABLE, "not published: %s", error);
	failed = cfg->key != NULL
		     ? publish_append_once(conn, cfg->prefix, channels,
			   frame->bytes, frame->len, cfg->key, 1)
		     : publish_append(conn, cfg->prefix, channels, frame->bytes,
			   frame->len, NULL);
	if (failed) {
		code = complain(EX_OSERR, "not published: out of memory");
	} else if (redis_conn_flush(conn) == -1) {
		/* a command that did not leave whole is none */
		code = complain(EX_UNAVAILABLE, "not published: %s",
		    redis_conn_error(conn));
	} else {
		redis_conn_wait(conn, &a);
		code = print_answer(cfg, conn, &a);
	}
	redis_conn_close(conn);
	return code;
}

static int
publish_one(const struct config *cfg, const struct channel_set *channels,
    const char *text)
{
	struct buf input, frame;
	int code;

	buf_init(&input, cfg->event_bytes);
	buf_init(&frame, SSE_FRAME_LEN_MAX(cfg->event_bytes));
	code = make_frame(cfg, text, &input, &frame);
	if (code == 0)
		code = send_frame(cfg, channels, &frame);
	buf_free(&input);
	buf_free(&frame);
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
	printf("\nAll but --event, --lines and --key can be set in the "
	       "environment: "
	       "FCGI_SSE_REDIS=unix:///run/redis.sock.\n");
}

/* What the command line says, checked.  0, or an exit code, said. */
static int
check(const struct config *cfg, struct channel_set *channels, int noperands,
    char *const operands[])
{
	const char *why;
	char error[256];
	size_t len;

	if (noperands < 1 || noperands > 2)
		return complain(EX_USAGE,
		    "name the channels, and perhaps the event's data in "
		    "quotes; see --help");
	if (cfg->lines && noperands == 2)
		return complain(
		    EX_USAGE, "--lines reads standard input: leave DATA out");
	if (cfg->lines && cfg->key != NULL)
		return complain(EX_USAGE,
		    "--lines sends no line twice by itself, and a --key is one "
		    "event's: leave it out");
	if (cfg->event != NULL &&
	    (why = event_name_error(cfg->event, strlen(cfg->event))) != NULL)
		return complain(EX_USAGE, "the event name %s", why);
	len = cfg->key != NULL ? strlen(cfg->key) : 1;
	if (len < 1 || len > PUBLISH_KEY_LEN_MAX)
		return complain(
		    EX_USAGE, "a key has 1 to %d bytes", PUBLISH_KEY_LEN_MAX);
	if (channel_set_add_list(channels, operands[0], strlen(operands[0]),
		cfg->prefix, error, sizeof(error)) == -1)
		return complain(EX_USAGE, "%s", error);
	if (channels->n == 0)
		return complain(EX_USAGE, "no channel is named");
	return 0;
}

static int
run(struct config *cfg, int noperands, char *const operands[])
{
	struct channel_set channels;
	int code;

	channel_set_init(&channels);
	code = check(cfg, &channels, noperands, operands);
	if (code == 0 && config_read_password(cfg) == -1)
		code = complain(EX_NOINPUT, "%s", cfg->error);
	if (code == 0)
		code = cfg->lines ? publish_lines(cfg, &channels)
				  : publish_one(cfg, &channels,
					noperands == 2 ? operands[1] : NULL);
	channel_set_free(&channels);
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
		return complain(EX_USAGE, "%s", cfg.error);
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
		code = complain(
		    EX_IOERR, "cannot print the ids: %s", strerror(errno));
	return code;
}
