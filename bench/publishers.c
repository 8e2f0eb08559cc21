/* SPDX-License-Identifier: ISC */
#include "bench/publishers.h"

#include "bench/net.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* in flight on one connection to Redis: a batch, not a flood */
#define PIPELINED_MAX 64
#define OUT_ROOM (PIPELINED_MAX * (EVENT_BYTES_MAX + 1024))
#define ANSWER_MAX 8192

struct publisher {
	struct source source;
	unsigned in_flight;
	redisReader *reader;
	char *out;
	size_t out_len, out_sent;
	bool wants_out;
	char answer[ANSWER_MAX];
	size_t answer_len;
};

static struct publisher publishers[PUBLISHERS_MAX];
static unsigned npublishers;
static struct publishing settings;
static char sha[41];
static struct http_url post_url;

static void
read_script(char *text, size_t room)
{
	FILE *file = fopen(settings.script, "r");
	size_t len;

	if (!file)
		die("%s: %s", settings.script, strerror(errno));
	len = fread(text, 1, room - 1, file);
	text[len] = '\0';
	fclose(file);
}

/* SCRIPT LOAD on a connection of its own that waits. */
static void
load_script(void)
{
	static char text[65536];
	redisContext *redis = redisConnectUnix(settings.to);
	redisReply *reply;

	if (!redis || redis->err)
		die("Redis: %s", redis ? redis->errstr : "out of memory");
	read_script(text, sizeof(text));
	reply = redisCommand(redis, "SCRIPT LOAD %s", text);
	if (!reply || reply->type != REDIS_REPLY_STRING || reply->len != 40)
		die("SCRIPT LOAD failed");
	memcpy(sha, reply->str, sizeof(sha));
	freeReplyObject(reply);
	redisFree(redis);
}

static void
answered(struct publisher *p)
{
	if (!p->in_flight)
		die("an answer without a question");
	p->in_flight--;
}

static void
read_redis(struct publisher *p, const char *bytes, size_t len)
{
	void *reply = NULL;

	if (redisReaderFeed(p->reader, bytes, len) != REDIS_OK)
		die("Redis: %s", p->reader->errstr);
	for (;;) {
		if (redisReaderGetReply(p->reader, &reply) != REDIS_OK)
			die("Redis: %s", p->reader->errstr);
		if (!reply)
			return;
		if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
			die("Redis: an event was refused");
		freeReplyObject(reply);
		answered(p);
	}
}

/* The length of the answer that stands at the start, 0 while it is not whole. */
static size_t
http_answer_len(const char *bytes)
{
	const char *end = strstr(bytes, "\r\n\r\n"), *field;
	size_t head, body = 0;

	if (!end)
		return 0;
	head = (size_t)(end - bytes) + 4;
	field = strcasestr(bytes, "\r\ncontent-length:");
	if (field && field < end)
		body = strtoul(field + 17, NULL, 10);
	else if (strncmp(bytes + 9, "204", 3) != 0)
		die("an answer to a POST has no Content-Length");
	return strlen(bytes) >= head + body ? head + body : 0;
}

static void
read_http(struct publisher *p, const char *bytes, size_t len)
{
	size_t whole;

	if (p->answer_len + len >= sizeof(p->answer))
		die("too long an answer to a POST");
	memcpy(p->answer + p->answer_len, bytes, len);
	p->answer_len += len;
	p->answer[p->answer_len] = '\0';
	while ((whole = http_answer_len(p->answer)) > 0) {
		if (strncmp(p->answer, "HTTP/1.1 2", 10) != 0)
			die("a POST was refused: %.12s", p->answer);
		p->answer_len -= whole;
		memmove(p->answer, p->answer + whole, p->answer_len + 1);
		answered(p);
	}
}

static void
flush(struct publisher *p)
{
	while (p->out_sent < p->out_len) {
		ssize_t n = send(p->source.fd, p->out + p->out_sent,
		    p->out_len - p->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			die("a publisher's send: %s", strerror(errno));
		p->out_sent += (size_t)n;
	}
	if (p->out_sent == p->out_len)
		p->out_sent = p->out_len = 0;
	if (p->wants_out != (p->out_len > 0)) {
		p->wants_out = p->out_len > 0;
		rewatch(&p->source, EPOLLIN | (p->wants_out ? EPOLLOUT : 0U));
	}
}

static void
publisher_ready(struct source *source, uint32_t events)
{
	struct publisher *p = (struct publisher *)source;
	static char bytes[65536];
	ssize_t n;

	if (events & EPOLLOUT)
		flush(p);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = recv(source->fd, bytes, sizeof(bytes), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("a publisher's connection is gone");
	if (settings.kind == PUBLISH_POST)
		read_http(p, bytes, (size_t)n);
	else
		read_redis(p, bytes, (size_t)n);
}

unsigned
publishers_open(const struct publishing *how)
{
	settings = *how;
	npublishers = how->kind == PUBLISH_POST ? how->connections : 1;
	if (how->kind == PUBLISH_POST)
		post_url = http_url_parse(how->to);
	if (how->kind == PUBLISH_SCRIPT)
		load_script();
	for (unsigned i = 0; i < npublishers; i++) {
		struct publisher *p = &publishers[i];

		p->source.ready = publisher_ready;
		if (how->kind == PUBLISH_POST) {
			p->source.fd = net_connect(&post_url, 0);
		} else {
			p->source.fd = net_connect_unix(how->to);
			p->reader = redisReaderCreate();
		}
		p->out = malloc(OUT_ROOM);
		if (!p->out || (how->kind != PUBLISH_POST && !p->reader))
			die("out of memory");
		watch(&p->source, EPOLLIN);
	}
	return npublishers;
}

bool
publisher_is_free(unsigned publisher)
{
	const struct publisher *p = &publishers[publisher];

	if (settings.kind == PUBLISH_POST)
		return p->in_flight == 0;
	/* while the last batch is being written there is no room for more */
	return p->in_flight < PIPELINED_MAX && !p->wants_out;
}

static void
put(struct publisher *p, const void *bytes, size_t len)
{
	if (len > OUT_ROOM - p->out_len)
		die("too much in flight");
	memcpy(p->out + p->out_len, bytes, len);
	p->out_len += len;
}

static void
put_command(struct publisher *p, int argc, const char **argv, size_t *lens)
{
	char *command = NULL;
	int len = redisFormatCommandArgv(&command, argc, argv, lens);

	if (len < 0)
		die("out of memory");
	put(p, command, (size_t)len);
	redisFreeCommand(command);
}

/* The call of publish.lua: see the comment at its head. */
static void
put_script(struct publisher *p, const char *payload, size_t bytes)
{
	static char history[160], meta[160], frame[EVENT_BYTES_MAX + 16];
	const char *argv[] = { "EVALSHA", sha, "6", "sse:clock", "sse:epoch",
		"sse:limits", "sse:recorder", history, meta, "sse:event:", "p",
		"", "", frame, settings.channel };
	size_t lens[sizeof(argv) / sizeof(argv[0])];
	int argc = (int)(sizeof(argv) / sizeof(argv[0]));

	(void)snprintf(
	    history, sizeof(history), "sse:history:%s", settings.channel);
	(void)snprintf(meta, sizeof(meta), "sse:meta:%s", settings.channel);
	(void)snprintf(
	    frame, sizeof(frame), "data: %.*s\n\n", (int)bytes, payload);
	for (int i = 0; i < argc; i++)
		lens[i] = strlen(argv[i]);
	put_command(p, argc, argv, lens);
}

static void
put_post(struct publisher *p, const char *payload, size_t bytes)
{
	char head[512];
	int len = snprintf(head, sizeof(head),
	    "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    post_url.path, post_url.host, bytes);

	if (len < 0 || (size_t)len >= sizeof(head))
		die("too long a URL");
	put(p, head, (size_t)len);
	put(p, payload, bytes);
}

void
publisher_send(unsigned publisher, struct mark mark, size_t bytes)
{
	struct publisher *p = &publishers[publisher];
	static char payload[EVENT_BYTES_MAX];
	int len = snprintf(payload, sizeof(payload), "~%u.%u.%u.%lld~",
	    mark.step, publisher, mark.seq, (long long)now_ns());

	if (bytes > sizeof(payload))
		bytes = sizeof(payload);
	if (bytes < (size_t)len)
		bytes = (size_t)len;
	memset(payload + len, 'x', bytes - (size_t)len);
	if (settings.kind == PUBLISH_POST) {
		put_post(p, payload, bytes);
	} else if (settings.kind == PUBLISH_SCRIPT) {
		put_script(p, payload, bytes);
	} else {
		const char *argv[] = { "PUBLISH", settings.channel, payload };
		size_t lens[] = { 7, strlen(settings.channel), bytes };

		put_command(p, 3, argv, lens);
	}
	p->in_flight++;
}

void
publishers_flush(void)
{
	for (unsigned i = 0; i < npublishers; i++)
		if (publishers[i].out_len && !publishers[i].wants_out)
			flush(&publishers[i]);
}

bool
publishers_are_idle(void)
{
	for (unsigned i = 0; i < npublishers; i++)
		if (publishers[i].in_flight)
			return false;
	return true;
}
