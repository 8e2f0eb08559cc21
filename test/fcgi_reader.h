/* SPDX-License-Identifier: ISC */
/*
 * What a web server makes of an answer: FastCGI 1.0, 3.3, 5.3 and 5.5, sharing
 * no code with carrier/fcgi_record.c.  For the unit tests and the fuzzers.
 */
#ifndef FCGI_READER_H
#define FCGI_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct fcgi_reader {
	char *content; /* owned: of all whole records of type STDOUT */
	size_t len, nrecords;
	bool has_eof;	/* STDOUT's end came, */
	bool has_ended; /* and END_REQUEST */
	bool is_bad;	/* something that is not such an answer */
	size_t rest;	/* bytes of a record that is not whole yet */
};

static inline void
fcgi_reader_free(struct fcgi_reader *r)
{
	free(r->content);
}

static inline void
fcgi_reader_take(struct fcgi_reader *r, const unsigned char *record, size_t len)
{
	static const unsigned char complete[8] = { 0 };

	r->nrecords++;
	if (record[1] == 6 && !r->has_eof && len > 0) {
		memcpy(r->content + r->len, record + 8, len);
		r->len += len;
	} else if (record[1] == 6 && !r->has_eof) {
		r->has_eof = true;
	} else if (record[1] == 3 && r->has_eof && !r->has_ended && len == 8 &&
		   memcmp(record + 8, complete, 8) == 0) {
		r->has_ended = true;
	} else {
		r->is_bad = true;
	}
}

/* Read what has come of the answer to request id so far.  End with
 * fcgi_reader_free. */
static inline void
fcgi_reader_read(struct fcgi_reader *r, const char *p, size_t len, unsigned id)
{
	const unsigned char *u = (const unsigned char *)p,
			    *end = len > 0 ? u + len : u;
	size_t content_len;

	memset(r, 0, sizeof(*r));
	r->content = malloc(len + 1);
	if (r->content == NULL)
		abort();
	while (end - u >= 8) {
		content_len = (size_t)u[4] << 8 | u[5];
		r->is_bad |= u[0] != 1 || u[6] != 0 || u[7] != 0 ||
			     ((unsigned)u[2] << 8 | u[3]) != id;
		if ((size_t)(end - u) < 8 + content_len)
			break;
		fcgi_reader_take(r, u, content_len);
		u += 8 + content_len;
	}
	r->rest = (size_t)(end - u);
}

#endif
