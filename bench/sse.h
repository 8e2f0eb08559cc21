/* SPDX-License-Identifier: ISC */
/*
 * The bytes of one answer: HTTP's head, its chunks, the lines of
 * text/event-stream in it.  No line is kept longer than what is looked at; the
 * rest is only counted.  (HTML 9.2.6, RFC 9112 7.1)
 */
#ifndef BENCH_SSE_H
#define BENCH_SSE_H

#include "bench/load.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_KEPT 128
#define ID_MAX 40

enum answer_part {
	ANSWER_STATUS,
	ANSWER_HEAD,
	ANSWER_BODY, /* not chunked */
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK,
	ANSWER_CHUNK_END,
	ANSWER_DONE, /* its last chunk has come */
};

struct answer {
	enum answer_part part;
	int status;
	bool is_chunked;
	uint64_t chunk_left;
	/* a line that is not whole yet */
	char line[LINE_KEPT];
	size_t line_len; /* of which LINE_KEPT at most are in line[] */
	/* the block that is not whole yet */
	bool has_mark, has_id, is_reset;
	struct mark mark;
	size_t data_len; /* from the mark on */
	/* these live on when the stream comes back */
	char id[ID_MAX];
	uint32_t retry_ms;
};

/* What the answer's reader is told. */
struct answer_calls {
	/* the head is whole: status is set */
	void (*opened)(void *stream);
	/* an empty line: what the block held is in the answer */
	void (*block)(void *stream, struct answer *answer);
	void (*comment)(void *stream);
};

/* A new answer; id and retry_ms stay. */
void answer_begin(struct answer *answer);

/* Feed bytes as they came. */
void answer_feed(struct answer *answer, const char *bytes, size_t len,
    const struct answer_calls *calls, void *stream);

#endif
