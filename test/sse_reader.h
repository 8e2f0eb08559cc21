/* SPDX-License-Identifier: ISC */
/*
 * What a browser makes of a stream: HTML 9.2.6, step by step, sharing no code
 * with sse.c.  For the unit tests and the fuzzers: whatever was published, the
 * frame must read back as exactly one event with that name and that data.
 */
#ifndef SSE_READER_H
#define SSE_READER_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sse_reader {
	size_t events;	  /* dispatched; name and data are the last one's */
	size_t blank;	  /* blocks that dispatched nothing */
	size_t ids;	  /* id fields seen */
	size_t strangers; /* comments, and fields but event, data and id */
	bool pending;	  /* lines stand after the last blank line */
	char *name, *data, *id; /* owned */
	size_t name_len, data_len, id_len;
};

static inline void
sse_reader_free(struct sse_reader *r)
{
	free(r->name);
	free(r->data);
	free(r->id);
}

static inline bool
sse_field_is(const char *field, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(field, name, len) == 0;
}

static inline void
sse_append(char *to, size_t *at, const char *p, size_t len)
{
	if (len != 0)
		memcpy(to + *at, p, len);
	*at += len;
}

/* Read a whole stream of len bytes.  End with sse_reader_free. */
static inline void
sse_reader_read(struct sse_reader *r, const char *p, size_t len)
{
	char *name, *data;
	const char *end = p + len, *line, *colon, *value;
	size_t name_len = 0, data_len = 0, line_len, field_len, value_len;

	memset(r, 0, sizeof(*r));
	r->name = malloc(len + 8);
	r->data = malloc(len + 1);
	r->id = malloc(len + 1);
	name = malloc(len + 1);
	data = malloc(len + 1);
	if (!r->name || !r->data || !r->id || !name || !data)
		abort();
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while (p < end) {
		line = p;
		while (p < end && *p != '\r' && *p != '\n')
			p++;
		if (p == end) {
			r->pending = true; /* a line without an end */
			break;
		}
		line_len = (size_t)(p - line);
		p += *p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1;
		if (line_len == 0) {
			r->pending = false;
			if (data_len == 0) {
				r->blank++;
				name_len = 0;
				continue;
			}
			r->events++;
			r->data_len = 0;
			sse_append(r->data, &r->data_len, data, data_len - 1);
			r->name_len = 0;
			if (name_len == 0)
				sse_append(r->name, &r->name_len, "message", 7);
			else
				sse_append(
				    r->name, &r->name_len, name, name_len);
			name_len = data_len = 0;
			continue;
		}
		r->pending = true;
		colon = memchr(line, ':', line_len);
		field_len = colon == NULL ? line_len : (size_t)(colon - line);
		value = colon == NULL ? line + line_len : colon + 1;
		if (value < line + line_len && *value == ' ')
			value++;
		value_len = (size_t)(line + line_len - value);
		if (sse_field_is(line, field_len, "event")) {
			name_len = 0;
			sse_append(name, &name_len, value, value_len);
		} else if (sse_field_is(line, field_len, "data")) {
			sse_append(data, &data_len, value, value_len);
			sse_append(data, &data_len, "\n", 1);
		} else if (sse_field_is(line, field_len, "id")) {
			r->ids++;
			if (value_len == 0 ||
			    memchr(value, '\0', value_len) == NULL) {
				r->id_len = 0;
				sse_append(r->id, &r->id_len, value, value_len);
			}
		} else {
			r->strangers++;
		}
	}
	free(name);
	free(data);
}

#endif
