/* SPDX-License-Identifier: ISC */
#include "bench/sse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A line, or what is kept of it; full_len is its true length. */
struct line {
	const char *text;
	size_t len, full_len;
};

struct input {
	const char *at;
	size_t left;
};

void
answer_begin(struct answer *a)
{
	a->part = ANSWER_STATUS;
	a->status = 0;
	a->is_chunked = false;
	a->line_len = 0;
	a->has_mark = a->has_id = a->is_reset = false;
	a->data_len = 0;
}

static void
keep(struct answer *a, const char *bytes, size_t len)
{
	if (a->line_len < LINE_KEPT) {
		size_t room = LINE_KEPT - a->line_len;

		memcpy(a->line + a->line_len, bytes, len < room ? len : room);
	}
	a->line_len += len;
}

/* The next whole line, without its end; a part of one is kept. */
static bool
next_line(struct answer *a, struct input *in, struct line *line)
{
	const char *end = memchr(in->at, '\n', in->left);
	size_t len = end ? (size_t)(end - in->at) : in->left;

	if (a->line_len || !end)
		keep(a, in->at, len);
	line->text = a->line_len ? a->line : in->at;
	line->full_len = a->line_len ? a->line_len : len;
	in->at += end ? len + 1 : len;
	in->left -= end ? len + 1 : len;
	if (!end)
		return false;
	line->len = line->full_len;
	if (a->line_len && line->len > LINE_KEPT)
		line->len = LINE_KEPT;
	a->line_len = 0;
	if (line->len && line->len == line->full_len &&
	    line->text[line->len - 1] == '\r') {
		line->len--;
		line->full_len--;
	}
	return true;
}

static bool
starts_with(const struct line *line, const char *word)
{
	size_t len = strlen(word);

	return line->len >= len && strncasecmp(line->text, word, len) == 0;
}

static void
head_line(struct answer *a, const struct line *line,
    const struct answer_calls *calls, void *stream)
{
	char text[LINE_KEPT + 1];

	if (a->part == ANSWER_STATUS) {
		memcpy(text, line->text,
		    line->len < LINE_KEPT ? line->len : LINE_KEPT);
		text[line->len < LINE_KEPT ? line->len : LINE_KEPT] = '\0';
		if (strncmp(text, "HTTP/1.", 7) == 0 && line->len > 12)
			a->status = (int)strtol(text + 9, NULL, 10);
		a->part = ANSWER_HEAD;
	} else if (line->len == 0) {
		a->part = a->is_chunked ? ANSWER_CHUNK_SIZE : ANSWER_BODY;
		a->chunk_left = 0;
		calls->opened(stream);
	} else if (starts_with(line, "transfer-encoding: chunked")) {
		a->is_chunked = true;
	}
}

/* A number that ends with this byte. */
static bool
take_number(const char **at, const char *end, char last, uint64_t *number)
{
	uint64_t n = 0;
	const char *p = *at;

	while (p < end && *p >= '0' && *p <= '9')
		n = n * 10 + (uint64_t)(*p++ - '0');
	if (p == *at || p == end || *p != last)
		return false;
	*at = p + 1;
	*number = n;
	return true;
}

static void
take_mark(struct answer *a, const struct line *line)
{
	const char *end = line->text + line->len;
	const char *at = memchr(line->text, '~', line->len);
	uint64_t step, publisher, seq, time;

	if (!at)
		return;
	a->data_len = line->full_len - (size_t)(at - line->text);
	at++;
	if (!take_number(&at, end, '.', &step) ||
	    !take_number(&at, end, '.', &publisher) ||
	    !take_number(&at, end, '.', &seq) ||
	    !take_number(&at, end, '~', &time) || publisher >= PUBLISHERS_MAX)
		return;
	a->has_mark = true;
	a->mark = (struct mark){ (uint32_t)step, (uint32_t)publisher,
		(uint32_t)seq, (int64_t)time };
}

static void
take_id(struct answer *a, const struct line *line)
{
	const char *text = line->text + 3;
	size_t len = line->len - 3;

	if (len && *text == ' ') {
		text++;
		len--;
	}
	if (len > ID_MAX - 1)
		die("an id is too long for the load generator");
	memcpy(a->id, text, len);
	a->id[len] = '\0';
	a->has_id = true;
}

static void
body_line(struct answer *a, const struct line *line,
    const struct answer_calls *calls, void *stream)
{
	char number[16] = "";

	if (line->len == 0) {
		calls->block(stream, a);
		a->has_mark = a->has_id = a->is_reset = false;
	} else if (starts_with(line, "data:")) {
		take_mark(a, line);
	} else if (starts_with(line, "id:")) {
		take_id(a, line);
	} else if (line->text[0] == ':') {
		calls->comment(stream);
	} else if (starts_with(line, "event: stream-reset")) {
		a->is_reset = true;
	} else if (starts_with(line, "retry:") && line->len < 20) {
		memcpy(number, line->text + 6, line->len - 6);
		a->retry_ms = (uint32_t)strtoul(number, NULL, 10);
	}
}

static void
feed_lines(struct answer *a, const char *bytes, size_t len,
    const struct answer_calls *calls, void *stream)
{
	struct input in = { bytes, len };
	struct line line;

	while (in.left && next_line(a, &in, &line))
		body_line(a, &line, calls, stream);
}

/* "1a\r\n", byte by byte; extensions are skipped. */
static void
take_chunk_size(struct answer *a, struct input *in)
{
	while (in->left) {
		char c = *in->at++;

		in->left--;
		if (c >= '0' && c <= '9')
			a->chunk_left =
			    a->chunk_left * 16 + (uint64_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			a->chunk_left = a->chunk_left * 16 +
					(uint64_t)((c | 32) - 'a') + 10;
		else if (c == '\n') {
			a->part = a->chunk_left ? ANSWER_CHUNK : ANSWER_DONE;
			return;
		} else if (c != '\r')
			die("no chunk size where one belongs");
	}
}

static void
take_chunk(struct answer *a, struct input *in, const struct answer_calls *calls,
    void *stream)
{
	size_t len = in->left;

	if (len > a->chunk_left)
		len = (size_t)a->chunk_left;
	feed_lines(a, in->at, len, calls, stream);
	in->at += len;
	in->left -= len;
	a->chunk_left -= len;
	if (!a->chunk_left)
		a->part = ANSWER_CHUNK_END;
}

void
answer_feed(struct answer *a, const char *bytes, size_t len,
    const struct answer_calls *calls, void *stream)
{
	struct input in = { bytes, len };
	struct line line;

	while (in.left) {
		switch (a->part) {
		case ANSWER_STATUS:
		case ANSWER_HEAD:
			if (next_line(a, &in, &line))
				head_line(a, &line, calls, stream);
			break;
		case ANSWER_BODY:
			feed_lines(a, in.at, in.left, calls, stream);
			return;
		case ANSWER_CHUNK_SIZE:
			take_chunk_size(a, &in);
			break;
		case ANSWER_CHUNK:
			take_chunk(a, &in, calls, stream);
			break;
		case ANSWER_CHUNK_END:
			if (*in.at == '\n')
				a->part = ANSWER_CHUNK_SIZE;
			in.at++;
			in.left--;
			break;
		case ANSWER_DONE:
			return;
		}
	}
}
