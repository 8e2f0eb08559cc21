/* SPDX-License-Identifier: ISC */
/*
 * sse.h: the bytes of a frame, and what a browser reads back from them, also
 * from within a record.  Inputs are copied into memory of exactly their length,
 * so that the sanitizers see a look beyond.
 */
#include "redis/record.h"
#include "redis/sse.h"
#include "test/sse_reader.h"
#include "test/unit/unit.h"

#define ROOMY 100000 /* bytes, for a buffer that is not to be full */

#define R "\xef\xbf\xbd"

/* Events, their frames, and the data that a browser makes of them. */
static const struct {
	const char *what;
	struct str name, data, frame, read;
} events[] = {
	{ "plain", S(""), S("x"), S("data: x\n\n"), S("x") },
	{ "message needs no name", S("message"), S("x"), S("data: x\n\n"),
	    S("x") },
	{ "a name", S("chat"), S("x"), S("event: chat\ndata: x\n\n"), S("x") },
	{ "nearly message", S("messages"), S("x"),
	    S("event: messages\ndata: x\n\n"), S("x") },
	{ "nearly message", S("messagf"), S("x"),
	    S("event: messagf\ndata: x\n\n"), S("x") },
	{ "name with blanks", S(" a: b "), S("x"),
	    S("event:  a: b \ndata: x\n\n"), S("x") },
	{ "empty", S(""), S(""), S("data: \n\n"), S("") },
	{ "empty with a name", S("a"), S(""), S("event: a\ndata: \n\n"),
	    S("") },
	{ "two lines", S(""), S("a\nb"), S("data: a\ndata: b\n\n"), S("a\nb") },
	{ "trailing LF", S(""), S("a\n"), S("data: a\ndata: \n\n"), S("a\n") },
	{ "trailing CR", S(""), S("a\r"), S("data: a\ndata: \n\n"), S("a\n") },
	{ "trailing CRLF", S(""), S("a\r\n"), S("data: a\ndata: \n\n"),
	    S("a\n") },
	{ "leading LF", S(""), S("\na"), S("data: \ndata: a\n\n"), S("\na") },
	{ "only LF", S(""), S("\n"), S("data: \ndata: \n\n"), S("\n") },
	{ "only CR", S(""), S("\r"), S("data: \ndata: \n\n"), S("\n") },
	{ "only CRLF", S(""), S("\r\n"), S("data: \ndata: \n\n"), S("\n") },
	{ "LFCR is two", S(""), S("a\n\rb"), S("data: a\ndata: \ndata: b\n\n"),
	    S("a\n\nb") },
	{ "CRCRLF is two", S(""), S("a\r\r\nb"),
	    S("data: a\ndata: \ndata: b\n\n"), S("a\n\nb") },
	{ "CRLFLF is two", S(""), S("a\r\n\nb"),
	    S("data: a\ndata: \ndata: b\n\n"), S("a\n\nb") },
	{ "all three", S(""), S("a\rb\nc\r\nd"),
	    S("data: a\ndata: b\ndata: c\ndata: d\n\n"), S("a\nb\nc\nd") },
	{ "blank lines", S(""), S("\n\n\n"),
	    S("data: \ndata: \ndata: \ndata: \n\n"), S("\n\n\n") },
	{ "leading blank", S(""), S(" a"), S("data:  a\n\n"), S(" a") },
	{ "only blank", S(""), S(" "), S("data:  \n\n"), S(" ") },
	{ "colons", S(""), S(":a: b"), S("data: :a: b\n\n"), S(":a: b") },
	{ "an event in the data", S(""), S("x\revent: evil\rid: 9"),
	    S("data: x\ndata: event: evil\ndata: id: 9\n\n"),
	    S("x\nevent: evil\nid: 9") },
	{ "a whole frame in the data", S("a"), S("x\n\nid: 9\ndata: y\n\n"),
	    S("event: a\ndata: x\ndata: \ndata: id: 9\ndata: data: y\ndata: \n"
	      "data: \n\n"),
	    S("x\n\nid: 9\ndata: y\n\n") },
	{ "retry in the data", S(""), S("\r\nretry: 1\r\n:\r\n"),
	    S("data: \ndata: retry: 1\ndata: :\ndata: \n\n"),
	    S("\nretry: 1\n:\n") },
	{ "NUL", S(""), S("a\0b"), S("data: a\0b\n\n"), S("a\0b") },
	{ "NUL alone", S(""), S("\0"), S("data: \0\n\n"), S("\0") },
	{ "U+2028 and U+0085 end no line", S(""),
	    S("a\xe2\x80\xa8"
	      "b\xc2\x85"
	      "c\v\f"),
	    S("data: a\xe2\x80\xa8"
	      "b\xc2\x85"
	      "c\v\f\n\n"),
	    S("a\xe2\x80\xa8"
	      "b\xc2\x85"
	      "c\v\f") },
	{ "BOM", S(""), S("\xef\xbb\xbfx\n\xef\xbb\xbf"),
	    S("data: \xef\xbb\xbfx\ndata: \xef\xbb\xbf\n\n"),
	    S("\xef\xbb\xbfx\n\xef\xbb\xbf") },
	{ "ill-formed", S(""),
	    S("a\xff"
	      "b"),
	    S("data: a" R "b\n\n"), S("a" R "b") },
	{ "ill-formed before a line's end", S(""), S("\xe2\x82\n\x80\r"),
	    S("data: " R "\ndata: " R "\ndata: \n\n"), S(R "\n" R "\n") },
	{ "UTF-8 name", S("caf\xc3\xa9"), S("\xf0\x9f\x98\x80"),
	    S("event: caf\xc3\xa9\ndata: \xf0\x9f\x98\x80\n\n"),
	    S("\xf0\x9f\x98\x80") },
};

static struct event
borrow(struct str name, struct str data)
{
	return (struct event){ .name = name.p,
		.name_len = name.len,
		.data = data.p,
		.data_len = data.len };
}

static void
event_becomes_a_frame(void **state)
{
	/* each event is these very bytes, after what the buffer held */
	struct event ev;
	struct buf b;
	size_t i;
	char *name, *data;

	(void)state;
	for (i = 0; i < ROWS(events); i++) {
		name = exact_copy(events[i].name);
		data = exact_copy(events[i].data);
		ev = (struct event){ .name = name,
			.name_len = events[i].name.len,
			.data = data,
			.data_len = events[i].data.len };
		buf_init(&b, ROOMY);
		assert_int_equal(buf_puts(&b, "<"), 0);
		assert_int_equal(sse_put_event(&b, &ev), 0);
		assert_int_equal(b.bytes[0], '<');
		if (!is_equal(b.bytes + 1, b.len - 1, events[i].frame))
			fail_msg(
			    "%s: <%.*s>", events[i].what, (int)b.len, b.bytes);
		buf_free(&b);
		free(name);
		free(data);
	}
}

static void
frames_read_back(void **state)
{
	/* a browser reads each frame as one event, with its name and its data
	 * (line ends as LF), and nothing else */
	struct sse_reader r;
	struct event ev;
	struct str name;
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(events); i++) {
		ev = borrow(events[i].name, events[i].data);
		buf_init(&b, ROOMY);
		assert_int_equal(sse_put_event(&b, &ev), 0);
		sse_reader_read(&r, b.bytes, b.len);
		name = events[i].name;
		if (name.len == 0)
			name = (struct str)S("message");
		if (r.events != 1 || r.blank != 0 || r.ids != 0 ||
		    r.strangers != 0 || r.pending ||
		    !is_equal(r.name, r.name_len, name) ||
		    !is_equal(r.data, r.data_len, events[i].read))
			fail_msg("%s: %zu events, <%.*s> <%.*s>",
			    events[i].what, r.events, (int)r.name_len, r.name,
			    (int)r.data_len, r.data);
		sse_reader_free(&r);
		buf_free(&b);
	}
}

static void
frames_follow_each_other(void **state)
{
	/* frames put one after the other stay that many events */
	struct sse_reader r;
	struct event ev;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, ROOMY);
	for (i = 0; i < ROWS(events); i++) {
		ev = borrow(events[i].name, events[i].data);
		assert_int_equal(sse_put_event(&b, &ev), 0);
	}
	sse_reader_read(&r, b.bytes, b.len);
	assert_int_equal(r.events, ROWS(events));
	assert_int_equal(r.blank + r.ids + r.strangers, 0);
	sse_reader_free(&r);
	buf_free(&b);
}

static void
event_of_nothing_is_empty(void **state)
{
	/* an event without an address is an empty message */
	struct event ev = { .name = NULL };
	struct buf b;

	(void)state;
	buf_init(&b, ROOMY);
	assert_int_equal(sse_put_event(&b, &ev), 0);
	assert_true(is_equal(b.bytes, b.len, (struct str)S("data: \n\n")));
	buf_free(&b);
}

static void
bad_names_are_refused(void **state)
{
	/* a name that event.h refuses leaves the buffer as it was */
	static const struct str names[] = { S("a\rb"), S("a\nb"), S("a\0b"),
		S("stream-reset"), S("\xff"), S("a\ndata: x\n\n") };
	struct event ev;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, ROOMY);
	assert_int_equal(buf_puts(&b, "before"), 0);
	for (i = 0; i < ROWS(names); i++) {
		ev = borrow(names[i], (struct str)S("x"));
		assert_int_equal(sse_put_event(&b, &ev), -1);
		assert_true(is_equal(b.bytes, b.len, (struct str)S("before")));
	}
	buf_free(&b);
}

static void
full_buffer_stays_as_it_was(void **state)
{
	/* an event that does not fit whole leaves the buffer as it was,
	 * whatever the limit cuts; one that just fits is put */
	static const struct str want =
	    S("event: ab\ndata: x" R "\ndata: y\n\n");
	struct event ev =
	    borrow((struct str)S("ab"), (struct str)S("x\xff\r\ny"));
	struct buf b;
	size_t limit;

	(void)state;
	for (limit = 3; limit <= 3 + want.len; limit++) {
		buf_init(&b, limit);
		assert_int_equal(buf_puts(&b, "old"), 0);
		if (limit < 3 + want.len) {
			assert_int_equal(sse_put_event(&b, &ev), -1);
			assert_int_equal(b.len, 3);
		} else {
			assert_int_equal(sse_put_event(&b, &ev), 0);
			assert_int_equal(b.len, limit);
			assert_memory_equal(b.bytes + 3, want.p, want.len);
		}
		assert_memory_equal(b.bytes, "old", 3);
		buf_free(&b);
	}
}

static void
many_lines_take_linear_time(void **state)
{
	/* a mebibyte of line ends, of one kind or mixed, costs linear time (in
	 * quadratic time this test takes minutes) */
	static const struct {
		const char *unit;
		size_t read_len;
	} table[] = { { "\n", 1 << 20 }, { "\r", 1 << 20 }, { "\r\n", 1 << 19 },
		{ "\n\r", (1 << 19) + 1 }, /* LF, CRLF, ..., CR */
		{ "a\n", 1 << 20 }, { "a\r", 1 << 20 } };
	static const size_t bytes = 1 << 20;
	char *data = malloc(bytes);
	struct event ev = { .name = "" };
	struct sse_reader r;
	size_t i, unit_len, at;
	struct buf b;

	(void)state;
	assert_non_null(data);
	for (i = 0; i < ROWS(table); i++) {
		unit_len = strlen(table[i].unit);
		for (at = 0; at < bytes; at++)
			data[at] = table[i].unit[at % unit_len];
		ev.data = data;
		ev.data_len = bytes;
		buf_init(&b, 16 * bytes);
		assert_int_equal(sse_put_event(&b, &ev), 0);
		sse_reader_read(&r, b.bytes, b.len);
		assert_int_equal(r.events, 1);
		assert_int_equal(r.data_len, table[i].read_len);
		sse_reader_free(&r);
		buf_free(&b);
	}
	free(data);
}

static void
records_of_events_read_back(void **state)
{
	/* what publish.lua makes of an event, id and header in front, reads
	 * back as that record, and its frame as that event with that id */
	struct sse_reader r;
	struct record rec;
	struct event ev;
	struct buf b;
	size_t i, header_len;

	(void)state;
	for (i = 0; i < ROWS(events); i++) {
		ev = borrow(events[i].name, events[i].data);
		buf_init(&b, ROOMY);
		assert_int_equal(buf_puts(&b, "1700000000000002 "
					      "1700000000000001 p\n"),
		    0);
		header_len = b.len;
		assert_int_equal(buf_puts(&b, "id: 1700000000000002\n"), 0);
		assert_int_equal(sse_put_event(&b, &ev), 0);

		assert_int_equal(record_parse(&rec, b.bytes, b.len), 0);
		assert_true(rec.id == UINT64_C(1700000000000002));
		assert_true(rec.prev == UINT64_C(1700000000000001));
		assert_int_equal(rec.frame_len, b.len - header_len);
		assert_true(is_equal(rec.body, rec.body_len, events[i].frame));

		sse_reader_read(&r, rec.frame, rec.frame_len);
		assert_int_equal(r.events, 1);
		assert_int_equal(r.ids, 1);
		assert_true(is_equal(
		    r.id, r.id_len, (struct str)S("1700000000000002")));
		assert_true(is_equal(r.data, r.data_len, events[i].read));
		sse_reader_free(&r);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_becomes_a_frame),
		cmocka_unit_test(frames_read_back),
		cmocka_unit_test(frames_follow_each_other),
		cmocka_unit_test(event_of_nothing_is_empty),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(full_buffer_stays_as_it_was),
		cmocka_unit_test(many_lines_take_linear_time),
		cmocka_unit_test(records_of_events_read_back),
	};

	return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
