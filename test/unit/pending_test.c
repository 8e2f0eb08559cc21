/* SPDX-License-Identifier: ISC */
/* pending.h: what is sent in which order, under which number, and again. */
#include "pending.h"
#include "test/unit/unit.h"

/* Messages "a", "b", ... on the channel "all". */
static void
put(struct pending *p, const char *texts)
{
	for (; *texts != '\0'; texts++)
		assert_int_equal(pending_put(p, "all", 3, texts, 1), 0);
}

/* What is next: its text and number; '-' for nothing. */
static void
check_next(const struct pending *p, char text, uint64_t number)
{
	const struct pending_message *m = pending_next(p);

	assert_int_equal(m == NULL ? '-' : m->frame[0], text);
	if (m != NULL)
		assert_int_equal(pending_next_number(p), number);
}

static void
send_n(struct pending *p, int n)
{
	for (; n > 0; n--) {
		assert_non_null(pending_next(p));
		pending_sent(p);
	}
}

/* The next answer is about this message; '-': it does not matter. */
static void
check_answered(struct pending *p, char text)
{
	const struct pending_message *m = pending_answered(p);

	assert_int_equal(m == NULL ? '-' : m->frame[0], text);
}

static void
in_order(void **state)
{
	/* messages go out and are recorded in the order in which they came,
	 * under numbers without a gap */
	struct pending p = { 0 };

	(void)state;
	check_next(&p, '-', 0);
	put(&p, "ab");
	check_next(&p, 'a', 1);
	check_next(&p, 'a', 1); /* until it is sent */
	send_n(&p, 1);
	check_next(&p, 'b', 2);
	check_answered(&p, 'a');
	pending_recorded(&p);
	check_next(&p, 'b', 2);
	send_n(&p, 1);
	check_next(&p, '-', 0);
	put(&p, "c");
	check_next(&p, 'c', 3);
	check_answered(&p, 'b');
	pending_recorded(&p);
	assert_int_equal(p.recorded, 2);
	check_next(&p, 'c', 3);
	assert_int_equal(p.ndropped, 0);
	pending_free(&p);
}

static void
copies(void **state)
{
	/* channel and frame are copies, the channel with a NUL behind it; a
	 * frame may be empty or hold NUL */
	char channel[] = "news", frame[] = "x\0y";
	struct pending p = { 0 };
	const struct pending_message *m;

	(void)state;
	assert_int_equal(pending_put(&p, channel, 4, frame, 3), 0);
	assert_int_equal(pending_put(&p, channel, 3, frame, 0), 0);
	memset(channel, '-', sizeof(channel));
	memset(frame, '-', sizeof(frame));
	m = pending_next(&p);
	assert_string_equal(m->channel.name, "news");
	assert_int_equal(m->channel.len, 4);
	assert_int_equal(m->frame_len, 3);
	assert_memory_equal(m->frame, "x\0y", 3);
	pending_sent(&p);
	m = pending_next(&p);
	assert_string_equal(m->channel.name, "new");
	assert_int_equal(m->frame_len, 0);
	pending_free(&p);
}

static void
number_in_flight(void **state)
{
	/* INFLIGHT_MAX messages are in flight at a time */
	struct pending p = { 0 };
	int i;

	(void)state;
	for (i = 0; i <= INFLIGHT_MAX; i++)
		put(&p, "x");
	send_n(&p, INFLIGHT_MAX);
	check_next(&p, '-', 0);
	check_answered(&p, 'x');
	pending_recorded(&p);
	check_next(&p, 'x', INFLIGHT_MAX + 1);
	pending_free(&p);
}

static void
bytes_in_flight(void **state)
{
	/* from INFLIGHT_BYTES_MAX on nothing more is sent; a message that is
	 * larger goes alone */
	char *large = calloc(1, INFLIGHT_BYTES_MAX + 1);
	struct pending p = { 0 };

	(void)state;
	large[0] = 'L';
	assert_int_equal(
	    pending_put(&p, "all", 3, large, INFLIGHT_BYTES_MAX - 1), 0);
	put(&p, "yz");
	send_n(&p, 2);
	check_next(&p, '-', 0);
	check_answered(&p, 'L');
	pending_recorded(&p);
	check_next(&p, 'z', 3);
	send_n(&p, 1);
	assert_int_equal(
	    pending_put(&p, "all", 3, large, INFLIGHT_BYTES_MAX + 1), 0);
	put(&p, "z");
	send_n(&p, 1);
	check_next(&p, '-', 0);
	pending_free(&p);
	free(large);
}

static void
bytes_begin_anew(void **state)
{
	/* what goes out again, or was dropped, does not count twice */
	char *large = calloc(1, INFLIGHT_BYTES_MAX);
	struct pending p = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(
		    pending_put(&p, "all", 3, large, INFLIGHT_BYTES_MAX / 2),
		    0);
	send_n(&p, 2);
	assert_non_null(pending_answered(&p));
	pending_refused(&p);
	assert_null(pending_answered(&p));
	send_n(&p, 2);
	assert_null(pending_next(&p));
	pending_settle(&p, 1);
	send_n(&p, 2);
	assert_null(pending_next(&p));
	pending_drop_all(&p);
	put(&p, "ab");
	assert_null(pending_answered(&p));
	assert_null(pending_answered(&p));
	send_n(&p, 2);
	pending_free(&p);
	free(large);
}

static void
full(void **state)
{
	/* past PENDING_BYTES_MAX a message is dropped and counted; one fits
	 * again when another has gone */
	const size_t len = PENDING_BYTES_MAX / 4;
	char *large = calloc(1, len);
	struct pending p = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(pending_put(&p, "all", 3, large, len), 0);
	assert_int_equal(pending_put(&p, "all", 3, large, len), -1);
	assert_int_equal(p.ndropped, 1);
	put(&p, "z");
	send_n(&p, 1);
	assert_non_null(pending_answered(&p));
	pending_recorded(&p);
	assert_int_equal(pending_put(&p, "all", 3, large, len), 0);
	assert_int_equal(pending_drop_all(&p), 4);
	assert_int_equal(p.ndropped, 5);
	assert_int_equal(p.bytes, 0);
	free(large);
}

static void
refused(void **state)
{
	/* one that is refused goes out again under its number, with those
	 * behind it, when all that were in flight are answered */
	struct pending p = { 0 };

	(void)state;
	put(&p, "abcd");
	send_n(&p, 3);
	check_answered(&p, 'a');
	pending_recorded(&p);
	check_answered(&p, 'b');
	pending_refused(&p);
	check_next(&p, '-', 0);
	check_answered(&p, '-');
	check_next(&p, 'b', 2);
	send_n(&p, 3);
	check_next(&p, '-', 0);
	check_answered(&p, 'b');
	pending_recorded(&p);
	check_answered(&p, 'c');
	pending_recorded(&p);
	check_answered(&p, 'd');
	pending_refused(&p); /* the last one in flight: at once */
	check_next(&p, 'd', 4);
	pending_free(&p);
}

static void
dropped(void **state)
{
	/* one that can not be recorded leaves its number to the next */
	struct pending p = { 0 };

	(void)state;
	put(&p, "abc");
	send_n(&p, 3);
	check_answered(&p, 'a');
	pending_drop(&p);
	check_answered(&p, '-');
	check_answered(&p, '-');
	check_next(&p, 'b', 1);
	send_n(&p, 1);
	check_answered(&p, 'b');
	pending_drop(&p);
	check_next(&p, 'c', 1);
	assert_int_equal(p.ndropped, 2);
	pending_free(&p);
}

static void
all_dropped(void **state)
{
	/* when all are dropped, answers to those in flight do not matter, and
	 * nothing new goes out before them */
	struct pending p = { 0 };

	(void)state;
	put(&p, "abc");
	send_n(&p, 2);
	assert_int_equal(pending_drop_all(&p), 3);
	put(&p, "d");
	check_next(&p, '-', 0);
	check_answered(&p, '-');
	check_next(&p, '-', 0);
	check_answered(&p, '-');
	check_next(&p, 'd', 1);
	send_n(&p, 1);
	check_answered(&p, 'd');
	pending_recorded(&p);

	/* also while one waits to go out again */
	put(&p, "ef");
	send_n(&p, 2);
	check_answered(&p, 'e');
	pending_refused(&p);
	assert_int_equal(pending_drop_all(&p), 2);
	put(&p, "g");
	check_answered(&p, '-');
	check_next(&p, 'g', 2);
	assert_int_equal(pending_drop_all(&p), 1);
	assert_int_equal(p.ndropped, 6);
	assert_int_equal(pending_drop_all(&p), 0);
}

static void
settled(void **state)
{
	/* after a lost connection, what was recorded is gone, and the rest
	 * goes out again under its numbers */
	static const struct {
		int nrecorded, nsent; /* of "abcde": before it was lost */
		uint64_t recorded;    /* as Redis says */
		char next;
		uint64_t number;
	} table[] = {
		{ 0, 0, 0, 'a', 1 },
		{ 0, 3, 0, 'a', 1 },
		{ 0, 3, 2, 'c', 3 },
		{ 0, 3, 3, 'd', 4 },
		{ 0, 5, 5, '-', 0 },
		{ 2, 2, 2, 'c', 3 },
		{ 2, 2, 3, 'd', 4 },
		{ 2, 2, 4, 'e', 5 },
		/* Redis lost its memory: its numbers hold */
		{ 2, 2, 0, 'c', 1 },
		/* it knows of more than was sent */
		{ 0, 2, 7, 'c', 8 },
	};
	struct pending p;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		p = (struct pending){ 0 };
		put(&p, "abcde");
		send_n(&p, table[i].nrecorded + table[i].nsent);
		for (n = table[i].nrecorded; n > 0; n--) {
			assert_non_null(pending_answered(&p));
			pending_recorded(&p);
		}
		pending_settle(&p, table[i].recorded);
		check_next(&p, table[i].next, table[i].number);
		assert_int_equal(p.recorded, table[i].recorded);
		assert_int_equal(p.ndropped, 0);
		pending_free(&p);
	}
}

static void
settled_without_the_dropped(void **state)
{
	/* those that were dropped in flight are not counted off from those
	 * that came after them */
	struct pending p = { 0 };

	(void)state;
	put(&p, "ab");
	send_n(&p, 2);
	pending_drop_all(&p);
	put(&p, "c");
	pending_settle(&p, 2);
	check_next(&p, 'c', 3);

	/* also while one waits to go out again */
	put(&p, "d");
	send_n(&p, 2);
	check_answered(&p, 'c');
	pending_refused(&p);
	pending_settle(&p, 2);
	check_next(&p, 'c', 3);
	pending_free(&p);
}

static void
doubtful(void **state)
{
	/* those in flight can be dropped alone */
	struct pending p = { 0 };

	(void)state;
	put(&p, "abcd");
	assert_int_equal(pending_drop_inflight(&p), 0);
	send_n(&p, 3);
	check_answered(&p, 'a');
	pending_recorded(&p);
	assert_int_equal(pending_drop_inflight(&p), 2);
	assert_int_equal(p.ndropped, 2);
	check_next(&p, 'd', 2);
	pending_drop_all(&p);

	/* of those that were dropped already none is counted twice */
	put(&p, "ef");
	send_n(&p, 2);
	pending_drop_all(&p);
	put(&p, "g");
	assert_int_equal(pending_drop_inflight(&p), 0);
	check_next(&p, 'g', 2);
	pending_free(&p);
}

/* What publish.lua does with a number; the answers that are on their way. */
struct model {
	uint64_t seq;
	char history[64];
	size_t len;
	bool is_recorded[INFLIGHT_MAX];
	size_t first, nanswers;
};

static void
model_publish(struct model *m, char text, uint64_t number, bool is_full)
{
	bool is_recorded = number <= m->seq;

	if (number == m->seq + 1 && !is_full) {
		m->seq++;
		m->history[m->len++] = text;
		is_recorded = true;
	}
	m->is_recorded[m->nanswers++] = is_recorded;
}

static void
each_once(void **state)
{
	/* whatever is refused, and whenever the connection is lost: in the end
	 * each message is recorded once, in order */
	static const char texts[] = "abcdefghijklmnopqrstuvwxyz";
	uint64_t chance = 1;
	struct model m;
	struct pending p;
	const struct pending_message *next;
	bool is_recorded;
	int run;

	(void)state;
	for (run = 0; run < 2000; run++) {
		p = (struct pending){ 0 };
		m = (struct model){ 0 };
		put(&p, texts);
		while (p.head != NULL) {
			chance = chance * UINT64_C(6364136223846793005) +
				 UINT64_C(1442695040888963407);
			next = pending_next(&p);
			if ((chance >> 60) == 0) {
				/* the answers are lost */
				m.first = m.nanswers = 0;
				pending_settle(&p, m.seq);
			} else if ((chance >> 60) < 9 && next != NULL) {
				model_publish(&m, next->frame[0],
				    pending_next_number(&p),
				    (chance >> 32) % 8 == 0);
				pending_sent(&p);
			} else if (m.first < m.nanswers) {
				is_recorded = m.is_recorded[m.first++];
				next = pending_answered(&p);
				if (next != NULL && is_recorded)
					pending_recorded(&p);
				else if (next != NULL)
					pending_refused(&p);
			}
			if (m.first == m.nanswers)
				m.first = m.nanswers = 0;
		}
		assert_int_equal(m.len, sizeof(texts) - 1);
		assert_memory_equal(m.history, texts, sizeof(texts) - 1);
		assert_int_equal(p.recorded, sizeof(texts) - 1);
		assert_int_equal(p.bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(copies),
		cmocka_unit_test(number_in_flight),
		cmocka_unit_test(bytes_in_flight),
		cmocka_unit_test(bytes_begin_anew),
		cmocka_unit_test(full),
		cmocka_unit_test(refused),
		cmocka_unit_test(dropped),
		cmocka_unit_test(all_dropped),
		cmocka_unit_test(settled),
		cmocka_unit_test(settled_without_the_dropped),
		cmocka_unit_test(doubtful),
		cmocka_unit_test(each_once),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
