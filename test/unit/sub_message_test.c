/* SPDX-License-Identifier: ISC */
/* sub_message.h: what comes on a subscription, read by hiredis' own parser, by
 * kind; and that what is none of a stream's business is none. */
#include <hiredis/hiredis.h>

#include "redis/sub_message.h"
#include "test/unit/unit.h"

static char all[] = "all", foo[] = "foo";
static struct channel two[] = { { all, 3 }, { foo, 3 } };
static const struct channel_set channels = { two, 2, 2, NULL, 0 };
static char key[] = "p:session:ab", other_key[] = "p:session:cd";
static struct channel key_items[] = { { key, 12 }, { other_key, 12 } };
static const struct channel_set keys = { key_items, 2, 2, NULL, 0 };

/* The reply of three strings.  The caller frees it. */
static redisReply *
push_of(const char *kind, const char *channel, const char *payload)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;
	char resp[400];
	int len = snprintf(resp, sizeof(resp),
	    "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(kind),
	    kind, strlen(channel), channel, strlen(payload), payload);

	assert_non_null(reader);
	assert_int_equal(redisReaderFeed(reader, resp, (size_t)len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	redisReaderFree(reader);
	assert_non_null(reply);
	return reply;
}

static void
messages_are_told_apart_by_their_channel(void **state)
{
	static const char record[] = "7 5 p\nid: 7\ndata: x\n\n";
	static const char relay[] = "7 2 r\ndata: x\n\n";
	static const struct {
		const char *kind, *channel, *payload;
		enum sub_kind want;
		size_t number;
	} table[] = {
		{ "message", "p:event:all", record, SUB_RECORD, 0 },
		{ "message", "p:event:foo", record, SUB_RECORD, 1 },
		{ "message", "p:event:foo", relay, SUB_RELAY, 1 },
		{ "message", "p:event:foo", "junk", SUB_NONE, 1 },
		{ "message", "p:event:other", record, SUB_NONE, 0 },
		{ "message", "p:event:", record, SUB_NOTICE, 0 },
		{ "message", "foo", "x", SUB_PLAIN, 1 },
		/* a record on a plain channel is a plain message */
		{ "message", "all", record, SUB_PLAIN, 0 },
		{ "message", "other", "x", SUB_NONE, 0 },
		{ "message", "p:recorder", "0 0 r\nup 1 x", SUB_NOTICE, 0 },
		{ "message", "p:session:ab", "", SUB_SESSION, 0 },
		{ "message", "p:session:cd", "", SUB_SESSION, 1 },
		{ "message", "p:session:abc", "", SUB_NOTICE, 0 },
		{ "subscribe", "p:event:all", record, SUB_NONE, 0 },
		{ "pmessage", "all", "x", SUB_NONE, 0 },
		{ "", "all", "x", SUB_NONE, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		redisReply *r =
		    push_of(table[i].kind, table[i].channel, table[i].payload);
		struct sub_message m = { .channel = 0 };

		assert_true(sub_message_is_push(r));
		if (sub_message_read(&m, r, "p:", &channels, &keys) !=
			table[i].want ||
		    (table[i].want != SUB_NONE && m.channel != table[i].number))
			fail_msg("row %zu", i);
		freeReplyObject(r);
	}
}

static void
answers_are_no_pushes(void **state)
{
	static const char *const table[] = { "+OK\r\n", ":1\r\n", "$-1\r\n",
		"*0\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n",
		"*2\r\n$1\r\na\r\n:1\r\n" };
	struct sub_message m;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		redisReader *reader = redisReaderCreate();
		void *r = NULL;

		redisReaderFeed(reader, table[i], strlen(table[i]));
		assert_int_equal(redisReaderGetReply(reader, &r), REDIS_OK);
		assert_false(sub_message_is_push(r));
		assert_int_equal(
		    sub_message_read(&m, r, "p:", &channels, &keys), SUB_NONE);
		freeReplyObject(r);
		redisReaderFree(reader);
	}
}

static void
pong_is_a_push(void **state)
{
	/* it brings what PING took along */
	redisReader *reader = redisReaderCreate();
	struct sub_message m;
	void *r = NULL;

	(void)state;
	redisReaderFeed(reader, "*2\r\n$4\r\npong\r\n$2\r\n17\r\n", 22);
	assert_int_equal(redisReaderGetReply(reader, &r), REDIS_OK);
	assert_non_null(r);
	assert_true(sub_message_is_push(r));
	assert_int_equal(
	    sub_message_read(&m, r, "p:", &channels, &keys), SUB_PONG);
	assert_int_equal(m.payload_len, 2);
	assert_memory_equal(m.payload, "17", 2);
	freeReplyObject(r);
	redisReaderFree(reader);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_told_apart_by_their_channel),
		cmocka_unit_test(answers_are_no_pushes),
		cmocka_unit_test(pong_is_a_push),
	};

	return cmocka_run_group_tests_name("sub_message", tests, NULL, NULL);
}
