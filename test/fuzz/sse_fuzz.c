/* SPDX-License-Identifier: ISC */
/*
 * sse.h under a fuzzer: whatever is published, by whatever way, a browser reads
 * exactly one event of that name and data; and what is taken for a record, a relay
 * or an announcement, is one to the byte.  Input: a byte that picks the way,
 * and what it is given.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "redis/record.h"
#include "redis/sse.h"
#include "test/sse_reader.h"

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

/* data as a browser has it: repaired, each line end an LF */
static void
put_as_read(struct buf *b, const char *p, size_t len)
{
	struct buf repaired;
	size_t i;

	buf_init(&repaired, 3 * len);
	assert(utf8_put_repaired(&repaired, p, len) == 0);
	for (i = 0; i < repaired.len; i++) {
		if (repaired.bytes[i] != '\r')
			(void)buf_putc(b, repaired.bytes[i]);
		else if (i + 1 == repaired.len || repaired.bytes[i + 1] != '\n')
			(void)buf_putc(b, '\n');
	}
	buf_free(&repaired);
}

static void
check_frame(const char *p, size_t len, const struct event *ev, size_t ids)
{
	const char *name = ev->name_len == 0 ? "message" : ev->name;
	size_t name_len = ev->name_len == 0 ? 7 : ev->name_len;
	struct sse_reader r;
	struct buf want;

	sse_reader_read(&r, p, len);
	assert(r.events == 1 && r.blank == 0 && r.strangers == 0);
	assert(r.ids == ids && !r.pending);
	assert(r.name_len == name_len && memcmp(r.name, name, name_len) == 0);
	buf_init(&want, 3 * ev->data_len + 1);
	put_as_read(&want, ev->data, ev->data_len);
	assert(r.data_len == want.len);
	assert(want.len == 0 || memcmp(r.data, want.bytes, want.len) == 0);
	assert(utf8_is_valid(p, len));
	buf_free(&want);
	sse_reader_free(&r);
}

static void
fuzz_put(const struct event *ev)
{
	static const char header[] = "1700000000000002 1700000000000001 r\n"
				     "id: 1700000000000002\n";
	size_t header_len = sizeof(header) - 1, limit;
	struct record rec;
	struct buf b, tight;

	buf_init(&b, header_len + 20 + ev->name_len + 10 * ev->data_len);
	assert(buf_put(&b, header, header_len) == 0);
	if (event_name_error(ev->name, ev->name_len) != NULL) {
		assert(sse_put_event(&b, ev) == -1);
		assert(b.len == header_len);
		buf_free(&b);
		return;
	}
	assert(sse_put_event(&b, ev) == 0);
	check_frame(b.bytes + header_len, b.len - header_len, ev, 0);
	assert(record_parse(&rec, b.bytes, b.len) == 0);
	assert(rec.body == b.bytes + header_len);
	check_frame(rec.frame, rec.frame_len, ev, 1);

	/* in a buffer that is too small nothing is left of it */
	limit = (b.len - header_len) / 2;
	buf_init(&tight, limit);
	assert(sse_put_event(&tight, ev) == -1 && tight.len == 0);
	buf_free(&tight);
	buf_free(&b);
}

static void
fuzz_payload(const char *p, size_t len)
{
	struct event ev;

	event_from_payload(&ev, p, len);
	assert(event_name_error(ev.name, ev.name_len) == NULL);
	fuzz_put(&ev);
	event_free(&ev);
}

/* name and data as they come; the first byte says where one ends */
static void
fuzz_event(const char *p, size_t len)
{
	struct event ev = { .name = p };

	if (len == 0)
		return;
	ev.name = p + 1;
	ev.name_len = (unsigned char)*p % len;
	ev.data = ev.name + ev.name_len;
	ev.data_len = len - 1 - ev.name_len;
	fuzz_put(&ev);
}

static void
fuzz_record(const char *p, size_t len)
{
	struct record rec;
	struct buf b;

	if (record_parse(&rec, p, len) == -1)
		return;
	assert(record_has_header(p, len));
	buf_init(&b, len);
	assert(buf_printf(&b, "%" PRIu64 " %" PRIu64 " %c\nid: %" PRIu64 "\n",
		   rec.id, rec.prev, (int)rec.origin, rec.id) == 0);
	assert(buf_put(&b, rec.body, rec.body_len) == 0);
	assert(b.len == len && memcmp(b.bytes, p, len) == 0);
	assert(rec.frame + rec.frame_len == p + len);
	assert(rec.body + rec.body_len == p + len && rec.body_len != 0);
	assert(rec.id > 0 && rec.id <= UINT64_C(1) << 53);
	assert(rec.prev <= UINT64_C(1) << 53);
	assert(memcmp(p + len - 2, "\n\n", 2) == 0);
	buf_free(&b);
}

static void
fuzz_notice(const char *p, size_t len)
{
	struct notice n;
	enum notice_kind kind = notice_parse(&n, p, len);
	size_t rest_len;

	if (kind == NOTICE_OTHER)
		return;
	assert(record_has_header(p, len)); /* recorders leave it alone */
	assert(n.token_len > 0 && n.token + n.token_len == p + len);
	rest_len = len - n.token_len;
	assert(memchr(n.token, ' ', n.token_len) == NULL);
	assert(p[rest_len - 1] == ' ');
	assert(kind != NOTICE_DOWN || rest_len == strlen("0 0 r\ndown "));
	assert(kind != NOTICE_FORGET || rest_len == strlen("0 0 r\nforget "));
}

/* The relay's parts are its bytes. */
static void
fuzz_relay(const char *p, size_t len)
{
	struct record rec;
	struct relay r;
	struct buf b;

	if (relay_parse(&r, p, len) == -1)
		return;
	assert(record_has_header(p, len)); /* recorders leave it alone */
	assert(record_parse(&rec, p, len) == -1);
	buf_init(&b, len);
	assert(buf_printf(&b, "%" PRIu64 " %" PRIu64 " r\n", r.base, r.place) ==
	       0);
	assert(buf_put(&b, r.frame, r.frame_len) == 0);
	assert(b.len == len && memcmp(b.bytes, p, len) == 0);
	assert(r.frame + r.frame_len == p + len);
	assert(r.place > 0 && r.place <= UINT64_C(1) << 53);
	assert(r.frame_len >= 2 && memcmp(p + len - 2, "\n\n", 2) == 0);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	static void (*const functions[])(const char *p, size_t len) = {
		fuzz_payload, fuzz_event, fuzz_record, fuzz_notice, fuzz_relay
	};

	if (size == 0)
		return 0;
	functions[input[0] % 5]((const char *)input + 1, size - 1);
	return 0;
}
