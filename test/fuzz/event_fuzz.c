/* SPDX-License-Identifier: ISC */
/*
 * event_from_payload under a fuzzer: what comes out is either the payload or a
 * pair that a publisher may send, and written as JSON again it reads back the
 * same.  Input: a payload.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "redis/event.h"

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

static void
put_json_string(struct buf *b, const char *p, size_t len)
{
	size_t i;

	(void)buf_putc(b, '"');
	for (i = 0; i < len; i++) {
		if ((unsigned char)p[i] < 0x20)
			(void)buf_printf(b, "\\u%04x", (unsigned int)p[i]);
		else if (p[i] == '"' || p[i] == '\\')
			(void)buf_printf(b, "\\%c", p[i]);
		else
			(void)buf_putc(b, p[i]);
	}
	(void)buf_putc(b, '"');
}

static void
check_same_again(const struct event *ev)
{
	struct event again;
	struct buf b;

	buf_init(&b, 6 * (ev->name_len + ev->data_len) + 16);
	(void)buf_putc(&b, '[');
	put_json_string(&b, ev->name, ev->name_len);
	(void)buf_putc(&b, ',');
	put_json_string(&b, ev->data, ev->data_len);
	(void)buf_putc(&b, ']');
	event_from_payload(&again, b.bytes, b.len);
	assert(again.name_len == ev->name_len);
	assert(memcmp(again.name, ev->name, ev->name_len) == 0);
	assert(again.data_len == ev->data_len);
	assert(memcmp(again.data, ev->data, ev->data_len) == 0);
	event_free(&again);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	const char *payload = (const char *)input;
	struct event ev;

	event_from_payload(&ev, payload, size);
	if (ev.data == payload) {
		assert(ev.name_len == 0 && ev.data_len == size);
	} else {
		assert(event_name_error(ev.name, ev.name_len) == NULL);
		assert(memchr(payload, '\0', size) == NULL);
		assert(ev.name_len + ev.data_len <= size);
		if (ev.owned[0] == NULL)
			assert(ev.name > payload && ev.name < payload + size);
		if (ev.owned[1] == NULL)
			assert(ev.data > payload &&
			       ev.data + ev.data_len < payload + size);
		check_same_again(&ev);
	}
	event_free(&ev);
	return 0;
}
