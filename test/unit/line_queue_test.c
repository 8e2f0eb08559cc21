/* SPDX-License-Identifier: ISC */
/* line_queue.h: what is sent, and sent again, and under which numbers. */
#include "line_queue.h"
#include "test/unit/unit.h"

/* Put n events, their numbers as texts. */
static void
put(struct line_queue *q, size_t n)
{
	char text[24];

	for (; n > 0; n--) {
		assert_false(line_queue_is_full(q));
		snprintf(text, sizeof(text), "%d", (int)q->put + 1);
		assert_int_equal(line_queue_put(q, text, strlen(text)), 0);
	}
}

/* Send all that may be sent; each has its own number.  Returns how many. */
static size_t
send_all(struct line_queue *q)
{
	const struct queued_line *line;
	size_t n;
	char text[24];

	for (n = 0; (line = line_queue_next(q)) != NULL; n++) {
		snprintf(text, sizeof(text), "%d", (int)q->sent + 1);
		assert_int_equal(line->len, strlen(text));
		assert_memory_equal(line->frame, text, line->len);
		line_queue_sent(q);
	}
	return n;
}

static void
publish(struct line_queue *q, size_t n)
{
	for (; n > 0; n--) {
		assert_true(line_queue_answered(q));
		line_queue_published(q);
	}
}

/* Published in order; round the ring. */
static void
test_published(void **state)
{
	struct line_queue q = { 0 };
	size_t round;

	(void)state;
	for (round = 0; round < 5; round++) {
		put(&q, 300);
		assert_int_equal(send_all(&q), 300);
		assert_int_equal(line_queue_ninflight(&q), 300);
		publish(&q, 300);
	}
	assert_int_equal(q.bytes, 0);
	assert_null(line_queue_next(&q));
	line_queue_free(&q);
}

/* It is full of as many as publish.lua knows, or of a mebibyte. */
static void
test_full(void **state)
{
	struct line_queue q = { 0 };
	char *big = calloc(1, LINE_QUEUE_BYTES_MAX);

	(void)state;
	assert_non_null(big);
	put(&q, LINE_QUEUE_MAX);
	assert_true(line_queue_is_full(&q));
	send_all(&q);
	publish(&q, 1);
	assert_false(line_queue_is_full(&q));
	line_queue_free(&q);
	memset(&q, 0, sizeof(q));
	assert_int_equal(line_queue_put(&q, big, LINE_QUEUE_BYTES_MAX - 1), 0);
	assert_false(line_queue_is_full(&q));
	assert_int_equal(line_queue_put(&q, big, 1), 0);
	assert_true(line_queue_is_full(&q));
	line_queue_free(&q);
	free(big);
}

/* Refused: it and all after it go again, when all answers have come. */
static void
test_refused(void **state)
{
	struct line_queue q = { 0 };
	size_t i;

	(void)state;
	put(&q, 5);
	send_all(&q);
	publish(&q, 1);
	assert_true(line_queue_answered(&q));
	line_queue_refused(&q);
	assert_int_equal(line_queue_ninflight(&q), 3);
	put(&q, 1);
	for (i = 0; i < 3; i++) {
		assert_null(line_queue_next(&q));
		assert_false(line_queue_answered(&q));
	}
	assert_int_equal(line_queue_nmaybe(&q), 0);
	assert_int_equal(send_all(&q), 5);
	publish(&q, 5);
	line_queue_free(&q);
}

/* The connection is lost: what was sent may be published, until it is answered
 * or refused no more. */
static void
test_lost(void **state)
{
	struct line_queue q = { 0 };

	(void)state;
	put(&q, 3);
	send_all(&q);
	put(&q, 2);
	publish(&q, 1);
	line_queue_lost(&q);
	assert_int_equal(line_queue_ninflight(&q), 0);
	assert_int_equal(line_queue_nmaybe(&q), 2);
	line_queue_lost(&q);
	assert_int_equal(line_queue_nmaybe(&q), 2);
	assert_int_equal(send_all(&q), 4);
	publish(&q, 1);
	assert_int_equal(line_queue_nmaybe(&q), 1);
	line_queue_lost(&q);
	assert_int_equal(line_queue_nmaybe(&q), 3);
	line_queue_free(&q);
}

/* The connection is lost while answers are passed over. */
static void
test_lost_after_a_refusal(void **state)
{
	struct line_queue q = { 0 };

	(void)state;
	put(&q, 3);
	send_all(&q);
	assert_true(line_queue_answered(&q));
	line_queue_refused(&q);
	line_queue_lost(&q);
	assert_int_equal(line_queue_ninflight(&q), 0);
	assert_int_equal(send_all(&q), 3);
	publish(&q, 3);
	line_queue_free(&q);
}

/* What may be published is forgotten; the numbers go on. */
static void
test_drop_maybe(void **state)
{
	struct line_queue q = { 0 };

	(void)state;
	put(&q, 3);
	send_all(&q);
	put(&q, 1);
	line_queue_lost(&q);
	line_queue_drop_maybe(&q);
	assert_int_equal(line_queue_nmaybe(&q), 0);
	assert_int_equal(send_all(&q), 1);
	publish(&q, 1);
	assert_int_equal(q.done, 4);
	line_queue_drop_maybe(&q);
	assert_int_equal(q.done, 4);
	line_queue_free(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_after_a_refusal),
		cmocka_unit_test(test_drop_maybe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
