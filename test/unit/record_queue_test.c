/* SPDX-License-Identifier: ISC */
/* record_queue.h: what is sent in which order, under which number, and again;
 * and what is passed on meanwhile, with which place. */
#include "recorder/record_queue.h"
#include "test/unit/unit.h"

/* Messages "a", "b", ... on the channel "all". */
static void
put(struct record_queue *q, const char *texts)
{
	for (; *texts != '\0'; texts++)
		assert_int_equal(record_queue_put(q, "all", 3, texts, 1), 0);
}

/* What is next: its text and number; '-' for nothing. */
static void
check_next(const struct record_queue *q, char text, uint64_t number)
{
	const struct queued_message *m = record_queue_next(q);

	assert_int_equal(m == NULL ? '-' : m->frame[0], text);
	if (m != NULL)
		assert_int_equal(record_queue_next_number(q), number);
}

static void
send_n(struct record_queue *q, int n)
{
	for (; n > 0; n--) {
		assert_non_null(record_queue_next(q));
		record_queue_sent(q);
	}
}

/* The next answer is about this message; '-': it does not matter. */
static void
check_answered(struct record_queue *q, char text)
{
	const struct queued_message *m = record_queue_answered(q);

	assert_int_equal(m == NULL ? '-' : m->frame[0], text);
}

static void
messages_go_out_in_order(void **state)
{
	/* messages go out and are recorded in the order in which they came,
	 * under numbers without a gap */
	struct record_queue q = { 0 };

	(void)state;
	check_next(&q, '-', 0);
	put(&q, "ab");
	check_next(&q, 'a', 1);
	check_next(&q, 'a', 1); /* until it is sent */
	send_n(&q, 1);
	check_next(&q, 'b', 2);
	check_answered(&q, 'a');
	record_queue_recorded(&q);
	check_next(&q, 'b', 2);
	send_n(&q, 1);
	check_next(&q, '-', 0);
	put(&q, "c");
	check_next(&q, 'c', 3);
	check_answered(&q, 'b');
	record_queue_recorded(&q);
	assert_int_equal(q.recorded, 2);
	check_next(&q, 'c', 3);
	assert_int_equal(q.ndropped, 0);
	record_queue_free(&q);
}

static void
channel_and_frame_are_copied(void **state)
{
	/* channel and frame are copies, the channel with a NUL after it; a
	 * frame may be empty or hold NUL */
	char channel[] = "news", frame[] = "x\0y";
	struct record_queue q = { 0 };
	const struct queued_message *m;

	(void)state;
	assert_int_equal(record_queue_put(&q, channel, 4, frame, 3), 0);
	assert_int_equal(record_queue_put(&q, channel, 3, frame, 0), 0);
	memset(channel, '-', sizeof(channel));
	memset(frame, '-', sizeof(frame));
	m = record_queue_next(&q);
	assert_string_equal(m->channel.name, "news");
	assert_int_equal(m->channel.len, 4);
	assert_int_equal(m->frame_len, 3);
	assert_memory_equal(m->frame, "x\0y", 3);
	record_queue_sent(&q);
	m = record_queue_next(&q);
	assert_string_equal(m->channel.name, "new");
	assert_int_equal(m->frame_len, 0);
	record_queue_free(&q);
}

static void
flight_has_so_many_messages(void **state)
{
	/* INFLIGHT_MAX messages are in flight at a time */
	struct record_queue q = { 0 };
	int i;

	(void)state;
	for (i = 0; i <= INFLIGHT_MAX; i++)
		put(&q, "x");
	send_n(&q, INFLIGHT_MAX);
	check_next(&q, '-', 0);
	check_answered(&q, 'x');
	record_queue_recorded(&q);
	check_next(&q, 'x', INFLIGHT_MAX + 1);
	record_queue_free(&q);
}

static void
flight_has_so_many_bytes(void **state)
{
	/* from INFLIGHT_BYTES_MAX on nothing more is sent; a message that is
	 * larger goes alone */
	char *large = calloc(1, INFLIGHT_BYTES_MAX + 1);
	struct record_queue q = { 0 };

	(void)state;
	large[0] = 'L';
	assert_int_equal(
	    record_queue_put(&q, "all", 3, large, INFLIGHT_BYTES_MAX - 1), 0);
	put(&q, "yz");
	send_n(&q, 2);
	check_next(&q, '-', 0);
	check_answered(&q, 'L');
	record_queue_recorded(&q);
	check_next(&q, 'z', 3);
	send_n(&q, 1);
	assert_int_equal(
	    record_queue_put(&q, "all", 3, large, INFLIGHT_BYTES_MAX + 1), 0);
	put(&q, "z");
	send_n(&q, 1);
	check_next(&q, '-', 0);
	record_queue_free(&q);
	free(large);
}

static void
resent_bytes_count_once(void **state)
{
	/* what goes out again, or was dropped, does not count twice */
	char *large = calloc(1, INFLIGHT_BYTES_MAX);
	struct record_queue q = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(record_queue_put(&q, "all", 3, large,
				     INFLIGHT_BYTES_MAX / 2),
		    0);
	send_n(&q, 2);
	assert_non_null(record_queue_answered(&q));
	record_queue_refused(&q);
	assert_null(record_queue_answered(&q));
	send_n(&q, 2);
	assert_null(record_queue_next(&q));
	record_queue_settle(&q, 1);
	send_n(&q, 2);
	assert_null(record_queue_next(&q));
	record_queue_drop_all(&q);
	put(&q, "ab");
	assert_null(record_queue_answered(&q));
	assert_null(record_queue_answered(&q));
	send_n(&q, 2);
	record_queue_free(&q);
	free(large);
}

static void
full_queue_drops_and_counts(void **state)
{
	/* past QUEUE_BYTES_MAX a message is dropped and counted; one fits
	 * again when another has gone */
	const size_t len = QUEUE_BYTES_MAX / 4;
	char *large = calloc(1, len);
	struct record_queue q = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(record_queue_put(&q, "all", 3, large, len), 0);
	assert_int_equal(record_queue_put(&q, "all", 3, large, len), -1);
	assert_int_equal(q.ndropped, 1);
	put(&q, "z");
	send_n(&q, 1);
	assert_non_null(record_queue_answered(&q));
	record_queue_recorded(&q);
	assert_int_equal(record_queue_put(&q, "all", 3, large, len), 0);
	assert_int_equal(record_queue_drop_all(&q), 4);
	assert_int_equal(q.ndropped, 5);
	assert_int_equal(q.bytes, 0);
	free(large);
}

static void
refused_one_goes_out_again(void **state)
{
	/* one that is refused goes out again under its number, with those
	 * after it, when all that were in flight are answered */
	struct record_queue q = { 0 };

	(void)state;
	put(&q, "abcd");
	send_n(&q, 3);
	check_answered(&q, 'a');
	record_queue_recorded(&q);
	check_answered(&q, 'b');
	record_queue_refused(&q);
	check_next(&q, '-', 0);
	check_answered(&q, '-');
	check_next(&q, 'b', 2);
	send_n(&q, 3);
	check_next(&q, '-', 0);
	check_answered(&q, 'b');
	record_queue_recorded(&q);
	check_answered(&q, 'c');
	record_queue_recorded(&q);
	check_answered(&q, 'd');
	record_queue_refused(&q); /* the last one in flight: at once */
	check_next(&q, 'd', 4);
	record_queue_free(&q);
}

static void
dropped_one_leaves_its_number(void **state)
{
	/* one that can not be recorded leaves its number to the next */
	struct record_queue q = { 0 };

	(void)state;
	put(&q, "abc");
	send_n(&q, 3);
	check_answered(&q, 'a');
	record_queue_drop(&q);
	check_answered(&q, '-');
	check_answered(&q, '-');
	check_next(&q, 'b', 1);
	send_n(&q, 1);
	check_answered(&q, 'b');
	record_queue_drop(&q);
	check_next(&q, 'c', 1);
	assert_int_equal(q.ndropped, 2);
	record_queue_free(&q);
}

static void
answers_to_the_dropped_do_not_matter(void **state)
{
	/* when all are dropped, answers to those in flight do not matter, and
	 * nothing new goes out before them */
	struct record_queue q = { 0 };

	(void)state;
	put(&q, "abc");
	send_n(&q, 2);
	assert_int_equal(record_queue_drop_all(&q), 3);
	put(&q, "d");
	check_next(&q, '-', 0);
	check_answered(&q, '-');
	check_next(&q, '-', 0);
	check_answered(&q, '-');
	check_next(&q, 'd', 1);
	send_n(&q, 1);
	check_answered(&q, 'd');
	record_queue_recorded(&q);

	/* also while one waits to go out again */
	put(&q, "ef");
	send_n(&q, 2);
	check_answered(&q, 'e');
	record_queue_refused(&q);
	assert_int_equal(record_queue_drop_all(&q), 2);
	put(&q, "g");
	check_answered(&q, '-');
	check_next(&q, 'g', 2);
	assert_int_equal(record_queue_drop_all(&q), 1);
	assert_int_equal(q.ndropped, 6);
	assert_int_equal(record_queue_drop_all(&q), 0);
}

static void
lost_connection_settles_by_number(void **state)
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
	struct record_queue q;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		q = (struct record_queue){ 0 };
		put(&q, "abcde");
		send_n(&q, table[i].nrecorded + table[i].nsent);
		for (n = table[i].nrecorded; n > 0; n--) {
			assert_non_null(record_queue_answered(&q));
			record_queue_recorded(&q);
		}
		record_queue_settle(&q, table[i].recorded);
		check_next(&q, table[i].next, table[i].number);
		assert_int_equal(q.recorded, table[i].recorded);
		assert_int_equal(q.ndropped, 0);
		record_queue_free(&q);
	}
}

static void
dropped_ones_are_not_settled(void **state)
{
	/* those that were dropped in flight are not counted off from those
	 * that came after them */
	struct record_queue q = { 0 };

	(void)state;
	put(&q, "ab");
	send_n(&q, 2);
	record_queue_drop_all(&q);
	put(&q, "c");
	record_queue_settle(&q, 2);
	check_next(&q, 'c', 3);

	/* also while one waits to go out again */
	put(&q, "d");
	send_n(&q, 2);
	check_answered(&q, 'c');
	record_queue_refused(&q);
	record_queue_settle(&q, 2);
	check_next(&q, 'c', 3);
	record_queue_free(&q);
}

static void
doubtful_ones_are_dropped_alone(void **state)
{
	/* those in flight can be dropped alone */
	struct record_queue q = { 0 };

	(void)state;
	put(&q, "abcd");
	assert_int_equal(record_queue_drop_inflight(&q), 0);
	send_n(&q, 3);
	check_answered(&q, 'a');
	record_queue_recorded(&q);
	assert_int_equal(record_queue_drop_inflight(&q), 2);
	assert_int_equal(q.ndropped, 2);
	check_next(&q, 'd', 2);
	record_queue_drop_all(&q);

	/* of those that were dropped already none is counted twice */
	put(&q, "ef");
	send_n(&q, 2);
	record_queue_drop_all(&q);
	put(&q, "g");
	assert_int_equal(record_queue_drop_inflight(&q), 0);
	check_next(&q, 'g', 2);
	record_queue_free(&q);
}

/* --- passed on live ----------------------------------------------------- */

/* Which is to be passed on next, and its place; '-' for none. */
static void
check_relay(const struct record_queue *q, char text, uint64_t place)
{
	const struct queued_message *m = record_queue_to_relay(q);

	assert_int_equal(m == NULL ? '-' : m->frame[0], text);
	if (m != NULL)
		assert_int_equal(record_queue_place(m), place);
}

/* The next ones are passed on: these. */
static void
relay(struct record_queue *q, const char *texts)
{
	for (; *texts != '\0'; texts++) {
		assert_int_equal(record_queue_to_relay(q)->frame[0], *texts);
		record_queue_relaying(q);
		record_queue_relayed(q);
	}
}

/* The next one is sent and recorded. */
static void
record_one(struct record_queue *q)
{
	send_n(q, 1);
	assert_non_null(record_queue_answered(q));
	record_queue_recorded(q);
}

static void
put_to(struct record_queue *q, const char *channel, char text)
{
	assert_int_equal(
	    record_queue_put(q, channel, strlen(channel), &text, 1), 0);
}

static void
places_are_counted_by_channel(void **state)
{
	/* a message's place is among those of its channel that are not recorded
	 * yet: from 1, one less for each that goes */
	static const struct {
		const char *channel;
		char text;
		uint64_t place;
	} table[] = {
		{ "all", 'a', 1 },
		{ "foo", 'b', 1 },
		{ "all", 'c', 2 },
		{ "allx", 'd', 1 },
		{ "all", 'e', 3 },
		{ "foo", 'f', 2 },
	};
	struct record_queue q = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++)
		put_to(&q, table[i].channel, table[i].text);
	for (i = 0; i < ROWS(table); i++) {
		check_relay(&q, table[i].text, table[i].place);
		relay(&q, (char[]){ table[i].text, '\0' });
	}
	check_relay(&q, '-', 0);
	record_one(&q); /* a */
	record_one(&q); /* b */
	put_to(&q, "foo", 'g');
	check_relay(&q, 'g', 2);
	relay(&q, "g");
	put_to(&q, "all", 'h');
	check_relay(&q, 'h', 3);
	/* a channel that had none left begins anew */
	record_queue_drop_all(&q);
	put_to(&q, "all", 'i');
	check_relay(&q, 'i', 1);
	record_queue_free(&q);
}

static void
counts_are_freed_with_their_messages(void **state)
{
	/* no channel is remembered that has no message: the sanitizer sees it
	 * at the end, and the tree is empty before */
	char name[CHANNEL_LEN_MAX + 2], *large = calloc(1, QUEUE_BYTES_MAX + 1);
	struct record_queue q = { 0 };

	(void)state;
	put_to(&q, "all", 'a');
	put_to(&q, "foo", 'b');
	assert_non_null(q.waiting);
	record_one(&q);
	send_n(&q, 1);
	check_answered(&q, 'b');
	record_queue_drop(&q);
	assert_null(q.waiting);
	put_to(&q, "all", 'a');
	record_queue_drop_unrelayed(&q);
	assert_null(q.waiting);
	/* nor one whose message found no room, or whose name is none */
	assert_int_equal(
	    record_queue_put(&q, "new", 3, large, QUEUE_BYTES_MAX + 1), -1);
	assert_null(q.waiting);
	memset(name, 'x', sizeof(name));
	assert_int_equal(
	    record_queue_put(&q, name, CHANNEL_LEN_MAX + 1, "x", 1), -1);
	assert_null(q.waiting);
	assert_int_equal(q.ndropped, 4);
	put_to(&q, "all", 'a');
	record_queue_free(&q);
	assert_null(q.waiting);
	free(large);
}

static void
oldest_is_passed_on(void **state)
{
	/* the oldest that was not passed on, while none is in flight; it is the
	 * same again if that was refused, or no answer comes */
	struct record_queue q = { 0 };

	(void)state;
	check_relay(&q, '-', 0);
	put(&q, "abc");
	check_relay(&q, 'a', 1);
	check_relay(&q, 'a', 1); /* until streams have it */
	record_queue_relaying(&q);
	check_relay(&q, 'a', 1);
	record_queue_relayed(&q);
	check_relay(&q, 'b', 2);
	record_queue_relaying(&q);
	record_queue_relay_refused(&q);
	record_queue_relayed(&q); /* of none */
	assert_false(q.head->next->is_relayed);
	check_relay(&q, 'b', 2);
	/* not while one is in flight, nor while one waits to go again */
	send_n(&q, 2);
	check_relay(&q, '-', 0);
	check_answered(&q, 'a');
	record_queue_refused(&q);
	check_relay(&q, '-', 0);
	check_answered(&q, '-');
	check_relay(&q, 'b', 2);
	/* it is recorded before it was passed on */
	record_one(&q);
	record_one(&q);
	check_relay(&q, 'c', 1);
	relay(&q, "c");
	check_relay(&q, '-', 0);
	put(&q, "d");
	check_relay(&q, 'd', 2);
	record_queue_free(&q);
}

static void
relay_of_a_dropped_one_does_not_matter(void **state)
{
	/* the answer about one that was dropped meanwhile is about no other */
	static const struct {
		bool is_there; /* another one, when the answer comes */
		bool is_refused;
	} table[] = {
		{ false, false },
		{ false, true },
		{ true, false },
		{ true, true },
	};
	struct record_queue q = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		put(&q, "ab");
		record_queue_relaying(&q);
		assert_int_equal(record_queue_drop_all(&q), 2);
		if (table[i].is_there)
			put(&q, "c");
		if (table[i].is_refused)
			record_queue_relay_refused(&q);
		else
			record_queue_relayed(&q);
		if (!table[i].is_there)
			put(&q, "c");
		assert_false(q.head->is_relayed);
		check_relay(&q, 'c', 1);
		record_queue_drop_all(&q);
	}
}

static void
passed_on_ones_make_room(void **state)
{
	/* those that were passed on are dropped, and the places of the others
	 * step forward; none while streams may have another, or one is in
	 * flight */
	static const struct {
		const char *relayed; /* of "abcd" */
		bool is_relaying, is_sending;
		size_t want;
		char next;
		uint64_t place;
	} table[] = {
		{ "", false, false, 0, 'a', 1 },
		{ "a", false, false, 1, 'b', 1 },
		{ "abc", false, false, 3, 'd', 1 },
		{ "abcd", false, false, 4, '-', 0 },
		{ "ab", true, false, 0, 'd', 4 },
		{ "ab", false, true, 0, 'c', 3 },
	};
	struct record_queue q;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		q = (struct record_queue){ 0 };
		put(&q, "abcd");
		relay(&q, table[i].relayed);
		if (table[i].is_relaying)
			record_queue_relaying(&q);
		if (table[i].is_sending)
			send_n(&q, 1);
		assert_int_equal(record_queue_drop_relayed(&q), table[i].want);
		assert_int_equal(q.ndropped, table[i].want);
		record_queue_relayed(&q);
		if (table[i].is_sending) {
			check_answered(&q, 'a');
			record_queue_refused(&q);
		}
		check_relay(&q, table[i].next, table[i].place);
		check_next(
		    &q, table[i].want == 4 ? '-' : "abcd"[table[i].want], 1);
		record_queue_free(&q);
	}
}

static void
others_are_dropped_alone(void **state)
{
	/* those that no stream can have are dropped, from the tail: places go on
	 * after what is left.  With some in flight all are dropped */
	static const struct {
		const char *relayed; /* of "abcd" */
		bool is_relaying, is_sending;
		size_t want;
		const char *left;
	} table[] = {
		{ "", false, false, 4, "" },
		{ "a", false, false, 3, "a" },
		{ "abc", false, false, 1, "abc" },
		{ "abcd", false, false, 0, "abcd" },
		{ "a", true, false, 2, "ab" },
		{ "", true, false, 3, "a" },
		{ "ab", false, true, 4, "" },
	};
	struct record_queue q;
	const char *text;
	size_t i, bytes;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		q = (struct record_queue){ 0 };
		put(&q, "abcd");
		bytes = q.bytes / 4;
		relay(&q, table[i].relayed);
		if (table[i].is_relaying)
			record_queue_relaying(&q);
		if (table[i].is_sending)
			send_n(&q, 1);
		assert_int_equal(
		    record_queue_drop_unrelayed(&q), table[i].want);
		assert_int_equal(q.ndropped, table[i].want);
		assert_int_equal(q.bytes, bytes * strlen(table[i].left));
		/* of the one that was on its way or in flight the answer */
		record_queue_relayed(&q);
		if (table[i].is_sending)
			check_answered(&q, '-');
		check_relay(&q, '-', 0);
		put(&q, "z");
		check_relay(&q, 'z', strlen(table[i].left) + 1);
		for (text = table[i].left; *text != '\0'; text++) {
			assert_true(q.head->is_relayed);
			check_next(&q, *text, q.recorded + 1);
			record_one(&q);
		}
		check_next(&q, 'z', q.recorded + 1);
		record_queue_free(&q);
	}
}

/* --- as a whole --------------------------------------------------------- */

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
each_is_recorded_once(void **state)
{
	/* whatever is refused, and whenever the connection is lost: in the end
	 * each message is recorded once, in order */
	static const char texts[] = "abcdefghijklmnopqrstuvwxyz";
	uint64_t chance = 1;
	struct model m;
	struct record_queue q;
	const struct queued_message *next;
	bool is_recorded;
	int run;

	(void)state;
	for (run = 0; run < 2000; run++) {
		q = (struct record_queue){ 0 };
		m = (struct model){ 0 };
		put(&q, texts);
		while (q.head != NULL) {
			chance = chance * UINT64_C(6364136223846793005) +
				 UINT64_C(1442695040888963407);
			next = record_queue_next(&q);
			if ((chance >> 60) == 0) {
				/* the answers are lost */
				m.first = m.nanswers = 0;
				record_queue_settle(&q, m.seq);
			} else if ((chance >> 60) < 9 && next != NULL) {
				model_publish(&m, next->frame[0],
				    record_queue_next_number(&q),
				    (chance >> 32) % 8 == 0);
				record_queue_sent(&q);
			} else if (m.first < m.nanswers) {
				is_recorded = m.is_recorded[m.first++];
				next = record_queue_answered(&q);
				if (next != NULL && is_recorded)
					record_queue_recorded(&q);
				else if (next != NULL)
					record_queue_refused(&q);
			}
			if (m.first == m.nanswers)
				m.first = m.nanswers = 0;
		}
		assert_int_equal(m.len, sizeof(texts) - 1);
		assert_memory_equal(m.history, texts, sizeof(texts) - 1);
		assert_int_equal(q.recorded, sizeof(texts) - 1);
		assert_int_equal(q.bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_go_out_in_order),
		cmocka_unit_test(channel_and_frame_are_copied),
		cmocka_unit_test(flight_has_so_many_messages),
		cmocka_unit_test(flight_has_so_many_bytes),
		cmocka_unit_test(resent_bytes_count_once),
		cmocka_unit_test(full_queue_drops_and_counts),
		cmocka_unit_test(refused_one_goes_out_again),
		cmocka_unit_test(dropped_one_leaves_its_number),
		cmocka_unit_test(answers_to_the_dropped_do_not_matter),
		cmocka_unit_test(lost_connection_settles_by_number),
		cmocka_unit_test(dropped_ones_are_not_settled),
		cmocka_unit_test(doubtful_ones_are_dropped_alone),
		cmocka_unit_test(places_are_counted_by_channel),
		cmocka_unit_test(counts_are_freed_with_their_messages),
		cmocka_unit_test(oldest_is_passed_on),
		cmocka_unit_test(relay_of_a_dropped_one_does_not_matter),
		cmocka_unit_test(passed_on_ones_make_room),
		cmocka_unit_test(others_are_dropped_alone),
		cmocka_unit_test(each_is_recorded_once),
	};

	return cmocka_run_group_tests_name("record_queue", tests, NULL, NULL);
}
