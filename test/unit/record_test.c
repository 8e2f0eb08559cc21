/* SPDX-License-Identifier: ISC */
/*
 * record.h: which bytes are a record, a relay, or an announcement.  Inputs are copied
 * into memory of exactly their length, so that the sanitizers see a look
 * beyond.
 */
#include "redis/record.h"
#include "test/unit/unit.h"

static void
record_is_taken_apart(void **state)
{
	/* a record gives its numbers, its origin, its frame and its body */
	static const struct {
		struct str bytes;
		uint64_t id, prev;
		enum record_origin origin;
		struct str frame, body;
	} table[] = {
		{ S("1700000000000001 0 p\nid: 1700000000000001\ndata: x\n\n"),
		    UINT64_C(1700000000000001), 0, ORIGIN_PUBLISHED,
		    S("id: 1700000000000001\ndata: x\n\n"), S("data: x\n\n") },
		{ S("1700000000000002 1700000000000001 r\n"
		    "id: 1700000000000002\nevent: a\ndata: x\ndata: y\n\n"),
		    UINT64_C(1700000000000002), UINT64_C(1700000000000001),
		    ORIGIN_RECORDED,
		    S("id: 1700000000000002\nevent: a\ndata: x\ndata: y\n\n"),
		    S("event: a\ndata: x\ndata: y\n\n") },
		{ S("1 0 p\nid: 1\n\n"), 1, 0, ORIGIN_PUBLISHED, S("id: 1\n\n"),
		    S("\n") },
		/* after a fail-over or a clock that was set, prev may be newer */
		{ S("5 9 p\nid: 5\ndata: \n\n"), 5, 9, ORIGIN_PUBLISHED,
		    S("id: 5\ndata: \n\n"), S("data: \n\n") },
		{ S("9007199254740992 9007199254740991 r\n"
		    "id: 9007199254740992\ndata: x\0\n\n"),
		    UINT64_C(1) << 53, (UINT64_C(1) << 53) - 1, ORIGIN_RECORDED,
		    S("id: 9007199254740992\ndata: x\0\n\n"),
		    S("data: x\0\n\n") },
	};
	struct record rec;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].bytes);
		memset(&rec, 0, sizeof(rec));
		if (record_parse(&rec, copy, table[i].bytes.len) != 0 ||
		    rec.id != table[i].id || rec.prev != table[i].prev ||
		    rec.origin != table[i].origin ||
		    !is_equal(rec.frame, rec.frame_len, table[i].frame) ||
		    !is_equal(rec.body, rec.body_len, table[i].body))
			fail_msg("row %zu", i);
		assert_true(rec.frame >= copy && rec.frame + rec.frame_len ==
						     copy + table[i].bytes.len);
		assert_true(record_has_header(copy, table[i].bytes.len));
		free(copy);
	}
}

static void
summons_are_told_from_records(void **state)
{
	/* a comment of one number, and no more than publish.lua writes */
	static const struct {
		struct str bytes;
		int64_t spread_ms; /* -1: it is none */
	} table[] = {
		{ S("1 0 p\nid: 1\n: 0\n\n"), 0 },
		{ S("1 0 p\nid: 1\n: 10000\n\n"), 10000 },
		{ S("1 0 p\nid: 1\n: 10001\n\n"), -1 },
		{ S("1 0 p\nid: 1\n: \n\n"), -1 },
		{ S("1 0 p\nid: 1\n: 1\n: 1\n\n"), -1 },
		{ S("1 0 p\nid: 1\n:1\n\n"), -1 },
		{ S("1 0 p\nid: 1\ndata: 1\n\n"), -1 },
		{ S("1 0 p\nid: 1\n\n"), -1 },
	};
	struct record rec;
	int64_t spread_ms;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].bytes);
		spread_ms = -1;
		assert_int_equal(
		    record_parse(&rec, copy, table[i].bytes.len), 0);
		if (record_is_summons(&rec, &spread_ms) !=
			(table[i].spread_ms != -1) ||
		    spread_ms != table[i].spread_ms)
			fail_msg("row %zu", i);
		free(copy);
	}
}

/* what record_parse must not touch when there is no record */
static const struct record untouched = {
	.id = 77, .prev = 66, .frame_len = 55
};

static bool
is_untouched(const struct record *rec)
{
	return rec->id == 77 && rec->prev == 66 && rec->origin == 0 &&
	       rec->frame == NULL && rec->frame_len == 55 &&
	       rec->body == NULL && rec->body_len == 0;
}

#define FRAME "id: 12\ndata: x\n\n"

static void
bad_headers_are_refused(void **state)
{
	/* a header of another form is none, and nothing is told about it */
	static const struct str table[] = {
		S(""),
		S("\n"),
		S("hello"),
		S("[\"a\",\"b\"]"),
		S(FRAME),
		S("12"),
		S("12 "),
		S("12 5"),
		S("12 5 "),
		S("12 5 p"),
		S("12 5 p " FRAME),
		S("12 5\n" FRAME),
		S("12 5 x\n" FRAME),
		S("12 5 P\n" FRAME),
		S("12 5 pr\n" FRAME),
		S("12 5 \n" FRAME),
		S("12 5 p\r\n" FRAME),
		S("12  5 p\n" FRAME),
		S("12 5  p\n" FRAME),
		S(" 12 5 p\n" FRAME),
		S("12\t5 p\n" FRAME),
		S("12 p\n" FRAME),
		S("12 5 6 p\n" FRAME),
		S("+12 5 p\n" FRAME),
		S("12 -5 p\n" FRAME),
		S("12 5. p\n" FRAME),
		S("1.2e1 5 p\n" FRAME),
		S("0xc 5 p\n" FRAME),
		S("012 5 p\nid: 012\ndata: x\n\n"),
		S("12 05 p\n" FRAME),
		S("12 00 p\n" FRAME),
		S("12\0 5 p\n" FRAME),
		/* numbers past 2^53, past 64 bits, and endless ones */
		S("9007199254740993 5 p\nid: 9007199254740993\n\n"),
		S("12 9007199254740993 p\n" FRAME),
		S("18446744073709551628 5 p\n" FRAME), /* 12 + 2^64 */
		S("12 18446744073709551616 p\n" FRAME),
		S("99999999999999999999999999999999999999 5 p\n" FRAME),
		S("1111111111111111111111111111111111111111"),
	};
	struct record rec = untouched;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i]);
		if (record_parse(&rec, copy, table[i].len) != -1 ||
		    !is_untouched(&rec))
			fail_msg("<%s> is taken", table[i].p);
		if (record_has_header(copy, table[i].len))
			fail_msg("<%s> has a header", table[i].p);
		free(copy);
	}
}

static void
bad_frames_are_refused(void **state)
{
	/* a header with another frame after it is no record, but has the
	 * header that a recorder leaves alone */
	static const struct str table[] = {
		S("12 5 p\n"),
		S("12 5 p\n\n"),
		S("12 5 p\n\n\n"),
		S("12 5 p\ndata: x\n\n"),
		S("12 5 p\nid: 13\ndata: x\n\n"),
		S("12 5 p\nid: 1\ndata: x\n\n"),
		S("12 5 p\nid: 123\ndata: x\n\n"),
		S("12 5 p\nid:12\ndata: x\n\n"),
		S("12 5 p\nid: 12"),
		S("12 5 p\nid: 12\n"),
		S("12 5 p\nid: 12\r\ndata: x\n\n"),
		S("12 5 p\nid: 12\ndata: x"),
		S("12 5 p\nid: 12\ndata: x\n"),
		S("12 5 p\nid: 12\ndata: x\n\r"),
		S("12 5 p\nid: 12\ndata: x\n\nx"),
		S("12 5 p\nID: 12\ndata: x\n\n"),
		S("12 5 p\nid"),
		/* no event has the id 0; recorders announce themselves so */
		S("0 0 p\nid: 0\ndata: x\n\n"),
		S("0 0 r\nup 1 abc"),
		S("0 0 r\ndown abc"),
		S("0 0 r\nabc"),
	};
	struct record rec = untouched;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i]);
		if (record_parse(&rec, copy, table[i].len) != -1 ||
		    !is_untouched(&rec))
			fail_msg("<%s> is taken", table[i].p);
		if (!record_has_header(copy, table[i].len))
			fail_msg("<%s> has no header", table[i].p);
		free(copy);
	}
}

static void
relay_is_taken_apart(void **state)
{
	/* a message that is passed on live: after which id it is in which
	 * place, and its frame, without an id.  It is no record, but has a header that a recorder leaves alone;
	 * other forms are none */
	static const struct {
		struct str bytes;
		uint64_t base, place; /* 0: it is none */
		struct str frame;
	} table[] = {
		{ S("0 1 r\ndata: x\n\n"), 0, 1, S("data: x\n\n") },
		{ S("7 12 r\nevent: a\ndata: x\0\n\n"), 7, 12,
		    S("event: a\ndata: x\0\n\n") },
		{ S("9007199254740992 1048576 r\ndata: \n\n"),
		    UINT64_C(1) << 53, 1048576, S("data: \n\n") },
		{ S("7 1048577 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 0 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 0 r\nup 1 abc"), 0, 0, S("") },
		{ S("0 1 p\ndata: x\n\n"), 0, 0, S("") },
		{ S("2 1 r\nid: 2\ndata: x\n\n"), 0, 0, S("") },
		{ S("2 1 r\nid: 3\ndata: x\n\n"), 0, 0, S("") },
		{ S("2 1 r\nid: \n\n"), 0, 0, S("") },
		{ S("02 1 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 01 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 -1 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 9007199254740993 r\ndata: x\n\n"), 0, 0, S("") },
		{ S("0 1 r\ndata: x\n"), 0, 0, S("") },
		{ S("0 1 r\ndata: x"), 0, 0, S("") },
		{ S("0 1 r\n\n\n"), 0, 0, S("") },
		{ S("0 1 r\n\n"), 0, 0, S("") },
		{ S("0 1 r\n"), 0, 0, S("") },
		{ S("0 1 r"), 0, 0, S("") },
		{ S("0 1"), 0, 0, S("") },
		{ S("data: x\n\n"), 0, 0, S("") },
		{ S(""), 0, 0, S("") },
	};
	struct record rec = untouched;
	struct relay r;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].bytes);
		r = (struct relay){ .place = 0 };
		if (relay_parse(&r, copy, table[i].bytes.len) !=
			(table[i].place == 0 ? -1 : 0) ||
		    r.base != table[i].base || r.place != table[i].place ||
		    !is_equal(r.frame, r.frame_len, table[i].frame))
			fail_msg("<%s>", table[i].bytes.p);
		if (table[i].place != 0) {
			assert_ptr_equal(
			    r.frame + r.frame_len, copy + table[i].bytes.len);
			assert_true(
			    record_has_header(copy, table[i].bytes.len));
			assert_int_equal(
			    record_parse(&rec, copy, table[i].bytes.len), -1);
		}
		free(copy);
	}
}

static void
announcements_are_taken_apart(void **state)
{
	/* who comes with which attempt, who goes, and who will not record what
	 * it passed on; other forms say nothing */
	static const struct {
		struct str bytes;
		enum notice_kind kind;
		uint64_t attempt;
		struct str token;
	} table[] = {
		{ S("0 0 r\nup 1 abc"), NOTICE_UP, 1, S("abc") },
		{ S("0 0 r\nup 12 a"), NOTICE_UP, 12, S("a") },
		{ S("0 0 r\nup 18446744073709551615 a"), NOTICE_UP, UINT64_MAX,
		    S("a") },
		{ S("0 0 r\ndown abc"), NOTICE_DOWN, 0, S("abc") },
		{ S("0 0 r\ndown 1"), NOTICE_DOWN, 0, S("1") },
		{ S("0 0 r\nforget abc"), NOTICE_FORGET, 0, S("abc") },
		{ S("0 0 r\nforget 1"), NOTICE_FORGET, 0, S("1") },
		{ S("0 0 r\nforget"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nforget "), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nforget a b"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 p\nforget abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 1 r\nforget abc"), NOTICE_OTHER, 0, S("") },
		{ S(""), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\n"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nabc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 p\nup 1 abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r up 1 abc"), NOTICE_OTHER, 0, S("") },
		{ S("up 1 abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup "), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup 1"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup 1 "), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup  abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup x abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup -1 abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nup 18446744073709551616 a"), NOTICE_OTHER, 0,
		    S("") },
		{ S("0 0 r\nup 1 a b"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\ndown"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\ndown "), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\ndown a b"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nrelay abc"), NOTICE_OTHER, 0, S("") },
		{ S("0 0 r\nover 1 abc"), NOTICE_OTHER, 0, S("") },
	};
	struct notice n;
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].bytes);
		n = (struct notice){ 0 };
		if (notice_parse(&n, copy, table[i].bytes.len) !=
			table[i].kind ||
		    (table[i].kind != NOTICE_OTHER &&
			(n.attempt != table[i].attempt ||
			    !is_equal(n.token, n.token_len, table[i].token))))
			fail_msg("<%s>", table[i].bytes.p);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_is_taken_apart),
		cmocka_unit_test(summons_are_told_from_records),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(bad_frames_are_refused),
		cmocka_unit_test(relay_is_taken_apart),
		cmocka_unit_test(announcements_are_taken_apart),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
