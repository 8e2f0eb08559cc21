/* SPDX-License-Identifier: ISC */
/* snapshot.h: what Redis sends for lua/snapshot.lua, read by hiredis' own
 * parser, as a take; and that another answer is none. */
#include <hiredis/hiredis.h>

#include "redis/record.h"
#include "redis/snapshot.h"
#include "test/unit/unit.h"

/* The reply in these bytes of RESP.  The caller frees it. */
static redisReply *
reply_of(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	assert_non_null(reader);
	assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return reply;
}

#define RECORD "7 5 p\nid: 7\ndata: x\n\n" /* 21 bytes */

static void
whole_answer_becomes_a_take(void **state)
{
	redisReply *r = reply_of(
	    "*12\r\n:7\r\n:3\r\n:99\r\n:1\r\n:1\r\n"
	    "$3\r\na,*\r\n*2\r\n$2\r\n{}\r\n$-1\r\n"
	    "*4\r\n:7\r\n:5\r\n:0\r\n:-1\r\n"
	    "*4\r\n:1\r\n$21\r\n" RECORD "\r\n:0\r\n$4\r\njunk\r\n:6291456\r\n"
	    "$3\r\nabc\r\n:1\r\n");
	struct taken_channel found[2];
	struct taken_grant grants[2];
	struct record rec;
	struct take t;
	size_t channel;

	(void)state;
	assert_true(snapshot_is_valid(r));
	snapshot_read(r, found, 2, grants, 2, &t);
	assert_int_equal(t.clock, 7);
	assert_int_equal(t.epoch, 3);
	assert_int_equal(t.now_us, 99);
	assert_true(t.is_replica);
	assert_true(t.has_more);
	assert_true(t.has_relays);
	assert_string_equal(t.patterns, "a,*");
	assert_string_equal(t.token, "abc");
	assert_int_equal(t.ngrants, 2);
	assert_string_equal(t.grants[0].text, "{}");
	assert_int_equal(t.grants[0].len, 2);
	assert_null(t.grants[1].text);
	assert_ptr_equal(t.channels, found);
	assert_int_equal(found[0].last, 7);
	assert_int_equal(found[0].oldest_prev, 5);
	assert_int_equal(found[1].last, 0);
	assert_int_equal(found[1].oldest_prev, 0);
	assert_int_equal(t.next_bytes, 6291456);
	assert_int_equal(t.nrecords, 2);
	assert_int_equal(snapshot_record(r, 0, 2, &channel, &rec), 0);
	assert_int_equal(channel, 1);
	assert_int_equal(rec.id, 7);
	/* junk in a list is no record, nor is a channel that we did not ask */
	assert_int_equal(snapshot_record(r, 1, 2, &channel, &rec), -1);
	assert_int_equal(snapshot_record(r, 0, 1, &channel, &rec), -1);
	freeReplyObject(r);
}

static void
empty_store_has_nothing(void **state)
{
	redisReply *r =
	    reply_of("*12\r\n:0\r\n:0\r\n:99\r\n:0\r\n:0\r\n"
		     "$-1\r\n*0\r\n*0\r\n*0\r\n:0\r\n$-1\r\n:0\r\n");
	struct taken_channel found[1] = { { 1, 1 } };
	struct take t;

	(void)state;
	assert_true(snapshot_is_valid(r));
	snapshot_read(r, found, 1, NULL, 0, &t);
	assert_null(t.patterns);
	assert_null(t.token);
	assert_int_equal(t.ngrants, 0);
	assert_false(
	    t.has_relays || t.is_replica || t.has_more || t.is_not_atomic);
	assert_int_equal(t.nrecords, 0);
	assert_int_equal(found[0].last, 0);
	freeReplyObject(r);
}

static void
other_answers_are_invalid(void **state)
{
	static const char *const table[] = { "+OK\r\n", "$-1\r\n", "*-1\r\n",
		"*0\r\n", "-ERR no\r\n",
		/* eleven members, and thirteen */
		"*11\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n$-1\r\n*0\r\n"
		"*0\r\n*0\r\n:0\r\n$-1\r\n",
		"*13\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n$-1\r\n*0\r\n"
		"*0\r\n*0\r\n:0\r\n$-1\r\n:0\r\n:0\r\n",
		/* no array where there should be one */
		"*12\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n$-1\r\n$-1\r\n"
		"*0\r\n*0\r\n:0\r\n$-1\r\n:0\r\n",
		"*12\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n$-1\r\n*0\r\n"
		":0\r\n*0\r\n:0\r\n$-1\r\n:0\r\n",
		"*12\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n$-1\r\n*0\r\n"
		"*0\r\n$1\r\nx\r\n:0\r\n$-1\r\n:0\r\n" };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		redisReply *r = reply_of(table[i]);

		if (snapshot_is_valid(r))
			fail_msg("row %zu", i);
		freeReplyObject(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_answer_becomes_a_take),
		cmocka_unit_test(empty_store_has_nothing),
		cmocka_unit_test(other_answers_are_invalid),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
