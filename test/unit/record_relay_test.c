/* SPDX-License-Identifier: ISC */
/* record_relay.h: what is said to open streams while Redis does not record, and
 * in which order. */
#include "recorder/record_relay.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000

static const struct config cfg = { .prefix = "sse:", .record = "*" };

/* in place of redis_conn.c: what was said since the last look, and no more */

static char said[256];
static int append_result;

int
redis_conn_append(
    struct redis_conn *c, int argc, const char *const *argv, const size_t *lens)
{
	const size_t len = strlen(said);

	assert_null(c);
	assert_int_equal(argc, 3);
	if (append_result == 0)
		snprintf(said + len, sizeof(said) - len, "[%s %.*s]",
		    argv[1] + strlen("sse:"), lens != NULL ? (int)lens[2] : 100,
		    argv[2]);
	return append_result;
}

int
redis_conn_append_script(struct redis_conn *c,
    const struct redis_script *script, int argc, const char *const *argv,
    const size_t *lens)
{
	(void)c;
	(void)script;
	(void)argc;
	(void)argv;
	(void)lens;
	fail();
	return -1;
}

/* the one of publish.lua: a list of one id */
enum answer_kind
redis_answer_item(const struct answer *a, size_t i, struct answer *item)
{
	*item = (struct answer){ .kind = ANSWER_NONE };
	if (a->kind == ANSWER_LIST && i == 0)
		*item = (struct answer){ .kind = ANSWER_TEXT,
			.text = a->reply,
			.len = strlen(a->reply) };
	return item->kind;
}

struct fixture {
	struct lease lease;
	struct record_queue queue;
	struct record_relay relay;
	struct expected_answers expected;
};

static void
set_up(struct fixture *f)
{
	*f = (struct fixture){ .expected = { .n = 0 } };
	lease_init(&f->lease, &cfg);
	lease_begin(&f->lease, "me", NOW_MS);
	f->lease.is_active = f->lease.shows_relay = true;
	record_relay_init(&f->relay, cfg.prefix, &f->lease, &f->queue);
	append_result = 0;
	said[0] = '\0';
}

static void
put(struct fixture *f, const char *frame)
{
	assert_int_equal(
	    record_queue_put(&f->queue, "all", 3, frame, strlen(frame)), 0);
}

/* What it says at this time. */
static void
check_said(struct fixture *f, int64_t now_ms, const char *want)
{
	record_relay_append_forget(&f->relay, NULL, &f->expected);
	record_relay_append(&f->relay, NULL, &f->expected, now_ms);
	assert_string_equal(said, want);
	said[0] = '\0';
}

/* The next answer belongs to this. */
static void
answer(struct fixture *f, enum expected want, enum answer_kind kind)
{
	const struct answer a = { .kind = kind, .text = "ERR" };
	enum expected what;

	assert_true(expected_next(&f->expected, &what));
	assert_int_equal(what, want);
	if (want == EXPECT_RELAYED)
		record_relay_read_relayed(&f->relay, &a, NOW_MS);
	else if (want == EXPECT_FORGOTTEN)
		record_relay_read_forgotten(&f->relay);
}

/* The oldest message is sent; this is the answer: an id, or an error.  Returns
 * whether the lease is still ours. */
static bool
record_oldest(struct fixture *f, enum answer_kind kind, const char *text)
{
	const struct answer a = { .kind = kind, .text = text, .reply = text };

	assert_non_null(record_queue_next(&f->queue));
	record_queue_sent(&f->queue);
	return record_relay_read_recorded(&f->relay, &a, NOW_MS);
}

/* Redis does not record, and streams know that messages are passed on. */
static void
begin(struct fixture *f)
{
	record_relay_begin(&f->relay);
	check_said(f, NOW_MS - 1000, "[recorder 0 0 r\nrelay me]");
	answer(f, EXPECT_NOTHING, ANSWER_NUMBER);
}

static void
answers_say_whether_redis_records(void **state)
{
	/* what was recorded is gone, and Redis records; what was refused goes
	 * again, unless that is for ever; and another's lease is told */
	static const struct {
		const char *what;
		enum answer_kind kind;
		const char *text;
		bool is_ours, is_on;
		size_t left; /* in the queue */
		uint64_t base;
	} table[] = {
		{ "recorded", ANSWER_LIST, "12", true, false, 1, 12 },
		{ "an older id", ANSWER_LIST, "3", true, false, 1, 9 },
		{ "already", ANSWER_TEXT, "SEEN", true, false, 1, 9 },
		{ "another's", ANSWER_TEXT, "LOST", false, true, 2, 9 },
		{ "one is missing", ANSWER_TEXT, "GAP", false, true, 2, 9 },
		{ "full", ANSWER_ERROR, "OOM x", true, true, 2, 9 },
		{ "never", ANSWER_ERROR, "WRONGTYPE x", true, true, 1, 9 },
		{ "odd", ANSWER_NUMBER, NULL, true, true, 1, 9 },
	};
	struct fixture f;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		set_up(&f);
		record_relay_begin(&f.relay);
		record_relay_note_id(&f.relay, 9);
		put(&f, "a\n\n");
		put(&f, "b\n\n");
		if (record_oldest(&f, table[i].kind, table[i].text) !=
			table[i].is_ours ||
		    f.relay.is_on != table[i].is_on ||
		    (f.queue.head->next == NULL) != (table[i].left == 1) ||
		    f.relay.base != table[i].base)
			fail_msg("%s", table[i].what);
		assert_int_equal(f.queue.ndropped,
		    table[i].left == 1 && table[i].is_on ? 1 : 0);
		record_queue_free(&f.queue);
	}
	/* about one that was dropped */
	set_up(&f);
	put(&f, "a\n\n");
	record_queue_sent(&f.queue);
	record_queue_drop_all(&f.queue);
	assert_true(record_relay_read_recorded(&f.relay,
	    &(struct answer){ .kind = ANSWER_TEXT, .text = "LOST" }, NOW_MS));
}

static void
messages_pass_one_by_one(void **state)
{
	/* only while Redis does not record, each with its place, and after the
	 * answer about the one before; after an error it waits */
	struct fixture f;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	put(&f, "b\n\n");
	check_said(&f, NOW_MS, "");
	assert_int_equal(record_relay_due_ms(&f.relay), INT64_MAX);
	record_relay_note_id(&f.relay, 7);
	begin(&f);
	assert_true(record_relay_due_ms(&f.relay) <= NOW_MS);
	check_said(&f, NOW_MS, "[event:all 7 1 r\na\n\n]");
	assert_int_equal(record_relay_due_ms(&f.relay), INT64_MAX);
	check_said(&f, NOW_MS, "");
	answer(&f, EXPECT_RELAYED, ANSWER_ERROR);
	assert_in_range(
	    record_relay_due_ms(&f.relay), NOW_MS + 100, NOW_MS + 1000);
	check_said(&f, NOW_MS, "");
	check_said(&f, NOW_MS + 1000, "[event:all 7 1 r\na\n\n]");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	check_said(&f, NOW_MS + 1000, "[event:all 7 2 r\nb\n\n]");
	/* one that was dropped is answered, too, before the next */
	record_queue_drop_all(&f.queue);
	put(&f, "c\n\n");
	put(&f, "d\n\n");
	check_said(&f, NOW_MS + 1000, "");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	check_said(&f, NOW_MS + 1000, "[event:all 7 1 r\nc\n\n]");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	assert_true(record_oldest(&f, ANSWER_LIST, "12"));
	check_said(&f, NOW_MS + 1000, "");
	record_relay_begin(&f.relay);
	check_said(&f, NOW_MS + 1000, "[event:all 12 1 r\nd\n\n]");
	record_queue_free(&f.queue);
}

static void
lost_relay_goes_again_under_its_base(void **state)
{
	/* without an answer it goes again, so that streams know it; but not
	 * once that would have it look like another one */
	struct fixture f;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	put(&f, "b\n\n");
	begin(&f);
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	record_relay_note_id(&f.relay, 0);
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	record_relay_note_id(&f.relay, 5);
	check_said(&f, NOW_MS, "[event:all 5 2 r\nb\n\n]");
	record_queue_free(&f.queue);
}

static void
streams_look_first(void **state)
{
	/* the presence of the relay stands, streams are told to look, and get a
	 * moment: each time anew */
	struct fixture f;
	int round;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	put(&f, "b\n\n");
	record_relay_begin(&f.relay);
	for (round = 0; round < 2; round++) {
		f.lease.shows_relay = false;
		check_said(&f, NOW_MS, "");
		assert_int_equal(record_relay_due_ms(&f.relay), INT64_MAX);
		f.lease.shows_relay = true;
		append_result = -1;
		check_said(&f, NOW_MS, "");
		append_result = 0;
		check_said(&f, NOW_MS, "[recorder 0 0 r\nrelay me]");
		answer(&f, EXPECT_NOTHING, ANSWER_NUMBER);
		check_said(&f, NOW_MS, "");
		assert_in_range(
		    record_relay_due_ms(&f.relay), NOW_MS + 100, NOW_MS + 1000);
		check_said(&f, NOW_MS + 1000,
		    round == 0 ? "[event:all 0 1 r\na\n\n]"
			       : "[event:all 0 2 r\nb\n\n]");
		answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
		f.relay.due_ms = 0;
	}
	record_queue_free(&f.queue);
}

static void
lease_lets_pass(void **state)
{
	/* nothing passes while messages are not ours, or the lease is asked
	 * for; nor without memory */
	struct fixture f;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	begin(&f);
	f.lease.is_active = false;
	check_said(&f, NOW_MS, "");
	f.lease.is_active = f.lease.is_asking = true;
	check_said(&f, NOW_MS, "");
	f.lease.is_asking = false;
	append_result = -1;
	check_said(&f, NOW_MS, "");
	assert_int_equal(f.expected.n, 0);
	append_result = 0;
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	record_queue_free(&f.queue);
}

static void
oldest_shows_whether_redis_records(void **state)
{
	/* while it does not, one at a time may be sent, some time after the
	 * last one was refused, and not while one is on its way to streams */
	struct fixture f;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	put(&f, "b\n\n");
	assert_true(record_relay_may_record(&f.relay, NOW_MS));
	record_queue_sent(&f.queue);
	assert_true(record_relay_may_record(&f.relay, NOW_MS));
	record_relay_read_recorded(&f.relay,
	    &(struct answer){ .kind = ANSWER_ERROR, .text = "OOM" }, NOW_MS);
	assert_false(record_relay_may_record(&f.relay, NOW_MS));
	assert_in_range(f.relay.retry_ms, NOW_MS + 100, NOW_MS + 1000);
	assert_true(record_relay_may_record(&f.relay, f.relay.retry_ms));
	begin(&f);
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	assert_false(record_relay_may_record(&f.relay, f.relay.retry_ms));
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	record_queue_sent(&f.queue);
	assert_false(record_relay_may_record(&f.relay, f.relay.retry_ms));
	record_queue_free(&f.queue);
}

static void
one_that_fails_is_dropped(void **state)
{
	/* with the rest of what streams have, who are told; or alone, if they
	 * have not got it */
	struct fixture f;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	put(&f, "b\n\n");
	put(&f, "c\n\n");
	assert_true(record_oldest(&f, ANSWER_ERROR, "WRONGTYPE"));
	assert_int_equal(f.queue.ndropped, 1);
	check_said(&f, NOW_MS, "");

	begin(&f);
	check_said(&f, NOW_MS, "[event:all 0 1 r\nb\n\n]");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	check_said(&f, NOW_MS, "[event:all 0 2 r\nc\n\n]");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	put(&f, "d\n\n");
	assert_true(record_oldest(&f, ANSWER_ERROR, "WRONGTYPE"));
	assert_int_equal(f.queue.ndropped, 3);
	check_said(
	    &f, NOW_MS, "[recorder 0 0 r\nforget me][event:all 0 1 r\nd\n\n]");
	record_queue_free(&f.queue);
}

static void
streams_are_told_until_they_know(void **state)
{
	/* once for each reason, and again over another connection, or when
	 * there is memory */
	struct fixture f;

	(void)state;
	set_up(&f);
	check_said(&f, NOW_MS, "");
	record_relay_forget(&f.relay);
	append_result = -1;
	check_said(&f, NOW_MS, "");
	append_result = 0;
	check_said(&f, NOW_MS, "[recorder 0 0 r\nforget me]");
	check_said(&f, NOW_MS, "");
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	check_said(&f, NOW_MS, "[recorder 0 0 r\nforget me]");
	/* another one before the answer, which is not for that */
	record_relay_forget(&f.relay);
	check_said(&f, NOW_MS, "[recorder 0 0 r\nforget me]");
	answer(&f, EXPECT_FORGOTTEN, ANSWER_NUMBER);
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	check_said(&f, NOW_MS, "[recorder 0 0 r\nforget me]");
	answer(&f, EXPECT_FORGOTTEN, ANSWER_NUMBER);
	record_relay_disconnected(&f.relay);
	check_said(&f, NOW_MS, "");
	record_queue_free(&f.queue);
}

static void
half_full_queue_makes_room(void **state)
{
	/* what streams have is dropped then, and they are told; but not while
	 * they may have another one, which they would forget, too */
	const size_t len = QUEUE_BYTES_MAX / 4;
	char *large = calloc(1, len);
	struct fixture f;
	size_t i;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	begin(&f);
	put(&f, "b\n\n");
	check_said(&f, NOW_MS, "[event:all 0 1 r\na\n\n]");
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	check_said(&f, NOW_MS, "[event:all 0 2 r\nb\n\n]");
	for (i = 0; i < 2; i++)
		assert_int_equal(
		    record_queue_put(&f.queue, "all", 3, large, len), 0);
	check_said(&f, NOW_MS, "");
	/* nor when no answer came */
	expected_clear(&f.expected);
	record_relay_disconnected(&f.relay);
	check_said(&f, NOW_MS, "[event:all 0 2 r\nb\n\n]");
	assert_int_equal(f.queue.ndropped, 0);
	answer(&f, EXPECT_RELAYED, ANSWER_NUMBER);
	/* nor with one in flight */
	record_queue_sent(&f.queue);
	check_said(&f, NOW_MS, "");
	assert_non_null(record_queue_answered(&f.queue));
	record_queue_refused(&f.queue);
	record_relay_append_forget(&f.relay, NULL, &f.expected);
	assert_string_equal(said, "[recorder 0 0 r\nforget me]");
	assert_int_equal(f.queue.ndropped, 2);
	said[0] = '\0';
	/* what no stream has is kept */
	answer(&f, EXPECT_FORGOTTEN, ANSWER_NUMBER);
	record_relay_append_forget(&f.relay, NULL, &f.expected);
	assert_string_equal(said, "");
	assert_int_equal(f.queue.ndropped, 2);
	record_queue_free(&f.queue);
	free(large);
}

static void
hanging_redis_is_told_no_more(void **state)
{
	/* with so many answers due nothing more is said */
	struct fixture f;
	size_t i;

	(void)state;
	set_up(&f);
	put(&f, "a\n\n");
	begin(&f);
	record_relay_forget(&f.relay);
	for (i = 0; i <= INFLIGHT_MAX; i++)
		expected_add(&f.expected, EXPECT_NOTHING);
	check_said(&f, NOW_MS, "");
	expected_clear(&f.expected);
	check_said(
	    &f, NOW_MS, "[recorder 0 0 r\nforget me][event:all 0 1 r\na\n\n]");
	record_queue_free(&f.queue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_say_whether_redis_records),
		cmocka_unit_test(messages_pass_one_by_one),
		cmocka_unit_test(lost_relay_goes_again_under_its_base),
		cmocka_unit_test(streams_look_first),
		cmocka_unit_test(lease_lets_pass),
		cmocka_unit_test(oldest_shows_whether_redis_records),
		cmocka_unit_test(one_that_fails_is_dropped),
		cmocka_unit_test(streams_are_told_until_they_know),
		cmocka_unit_test(half_full_queue_makes_room),
		cmocka_unit_test(hanging_redis_is_told_no_more),
	};

	return cmocka_run_group_tests_name("record_relay", tests, NULL, NULL);
}
