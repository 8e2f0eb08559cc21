/* SPDX-License-Identifier: ISC */
/* lease.h: when this recorder is the active one, and what it asks when. */
#include "recorder/lease.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000
#define NOW_US 1700000000000000 /* Redis' time */
#define UP(attempt, token) "0 0 r\nup " attempt " " token
#define DOWN(token) "0 0 r\ndown " token
#define FORGET(token) "0 0 r\nforget " token

static const struct config cfg = { .prefix = "sse:", .record = "a*,b" };

/* in place of redis_conn.c: the words of the last call, and lists */

static char words[256];
static int append_result;

int
redis_conn_append_script(struct redis_conn *c,
    const struct redis_script *script, int argc, const char *const *argv,
    const size_t *lens)
{
	size_t len = 0;
	int i;

	assert_null(c);
	assert_non_null(script->text);
	assert_null(lens);
	for (i = 0; i < argc; i++)
		len += (size_t)snprintf(words + len, sizeof(words) - len,
		    "%s%s", i > 0 ? " " : "", argv[i]);
	assert_true(len < sizeof(words));
	return append_result;
}

int
redis_conn_append(
    struct redis_conn *c, int argc, const char *const *argv, const size_t *lens)
{
	static const struct redis_script script = { .text = "" };

	return redis_conn_append_script(c, &script, argc, argv, lens);
}

enum answer_kind
redis_answer_item(const struct answer *a, size_t i, struct answer *item)
{
	*item = (struct answer){ .kind = ANSWER_NONE };
	if (a->kind == ANSWER_LIST && i < (size_t)a->number)
		*item = ((const struct answer *)a->reply)[i];
	return item->kind;
}

/* lease.lua's answer to acquire and force */
static enum lease_holder
read_acquired(struct lease *l, const char *verdict, int64_t seq,
    int64_t attempt, uint64_t *recorded)
{
	const struct answer items[] = {
		{ .kind = ANSWER_TEXT, .text = verdict },
		{ .kind = ANSWER_NUMBER, .number = seq },
		{ .kind = ANSWER_NUMBER, .number = attempt },
		{ .kind = ANSWER_NUMBER, .number = NOW_US },
	};
	const struct answer a = {
		.kind = ANSWER_LIST, .number = 4, .reply = items
	};

	return lease_read_acquired(l, &a, recorded);
}

/* into memory of exactly its length */
static enum lease_news
hear(struct lease *l, struct str payload)
{
	char *copy = exact_copy(payload);
	enum lease_news news = lease_heard(l, copy, payload.len, NOW_MS);

	free(copy);
	return news;
}

/* A recorder with a subscription, whose attempts so far were so many. */
static struct lease
subscribed(uint64_t attempt)
{
	struct lease l;

	lease_init(&l, &cfg);
	lease_begin(&l, "me", NOW_MS);
	l.attempt = attempt;
	return l;
}

static void
asks_with_a_number_of_its_own(void **state)
{
	/* the words of each request, each attempt with a number of its own;
	 * the next request is due LEASE_RENEW_MS later */
	static const struct {
		enum lease_request request;
		const char *want;
		bool is_asking;
	} table[] = {
		{ LEASE_ACQUIRE, "1 sse:recorder acquire me a*,b 7 2000 1 ",
		    true },
		{ LEASE_FORCE, "1 sse:recorder force me a*,b 7 2000 2 ", true },
		{ LEASE_RENEW, "1 sse:recorder renew me a*,b 7 2000 3 ",
		    false },
	};
	struct lease l = subscribed(0);
	size_t i;

	(void)state;
	append_result = 0;
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(
		    lease_ask(&l, NULL, table[i].request, 7, NOW_MS), 0);
		assert_string_equal(words, table[i].want);
		assert_int_equal(l.is_asking, table[i].is_asking);
		assert_int_equal(l.due_ms, NOW_MS + LEASE_RENEW_MS);
	}
	assert_int_equal(lease_append_release(&l, NULL), 0);
	assert_string_equal(words, "1 sse:recorder release me a*,b 0 2000 4 ");
	assert_int_equal(lease_append_notice(&l, NULL, "forget"), 0);
	assert_string_equal(words, "PUBLISH sse:recorder " FORGET("me"));

	/* without memory no answer is due, and it is tried again */
	append_result = -1;
	assert_int_equal(lease_ask(&l, NULL, LEASE_ACQUIRE, 7, NOW_MS + 1), -1);
	assert_false(l.is_asking);
	assert_int_equal(l.due_ms, NOW_MS + 1 + LEASE_RENEW_MS);
	append_result = 0;
}

static void
begins_and_ends_with_its_subscription(void **state)
{
	/* each subscription has its token, names the one before as gone, and
	 * begins without the lease; without one messages are nobody's */
	uint64_t recorded;
	struct lease l;

	(void)state;
	lease_init(&l, &cfg);
	assert_string_equal(l.key, "sse:recorder");
	assert_false(l.is_hearing || l.is_active || lease_may_record(&l) ||
		     lease_may_relay(&l));
	lease_begin(&l, "one", NOW_MS);
	assert_true(l.is_hearing);
	assert_int_equal(l.due_ms, NOW_MS);
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	assert_string_equal(words, "1 sse:recorder acquire one a*,b 0 2000 1 ");
	read_acquired(&l, "NEW", 0, 1, &recorded);
	assert_int_equal(hear(&l, (struct str)S(UP("1", "one"))), LEASE_BEGINS);
	assert_true(lease_may_record(&l));

	l.shows_relay = true; /* of the first one */
	lease_begin(&l, "two", NOW_MS + 7);
	assert_false(
	    l.is_held || l.is_active || l.shows_relay || lease_may_record(&l));
	assert_int_equal(l.due_ms, NOW_MS + 7);
	lease_ask(&l, NULL, LEASE_ACQUIRE, 5, NOW_MS);
	assert_string_equal(
	    words, "1 sse:recorder acquire two a*,b 5 2000 2 one");
	read_acquired(&l, "NEW", 0, 2, &recorded);
	/* what is left of the first one says nothing of this one */
	assert_int_equal(
	    hear(&l, (struct str)S(UP("2", "one"))), LEASE_NO_NEWS);
	assert_false(l.is_active);
	assert_int_equal(hear(&l, (struct str)S(UP("2", "two"))), LEASE_BEGINS);

	l.shows_relay = true;
	lease_end(&l);
	assert_false(l.shows_relay || l.is_hearing || l.is_held ||
		     l.is_active || lease_may_record(&l));
}

static void
holder_renews_and_others_ask(void **state)
{
	/* who holds the lease renews it; others ask for it, and by force when
	 * so many answers in a row said that it was not renewed */
	static const struct {
		int64_t untils[LEASE_SILENT_MAX + 3]; /* of each answer */
		enum lease_request want;
	} table[] = {
		{ { 0 }, LEASE_ACQUIRE },
		{ { 9 }, LEASE_ACQUIRE },
		{ { 9, 9, 9, 9, 9, 9 }, LEASE_ACQUIRE },
		{ { 9, 9, 9, 9, 9, 9, 9 }, LEASE_FORCE },
		{ { 9, 9, 9, 9, 9, 9, 10 }, LEASE_ACQUIRE },
		{ { 9, 9, 9, 10, 10, 10, 10 }, LEASE_ACQUIRE },
		/* another holder's may be earlier */
		{ { 9, 9, 9, 9, 9, 9, 8 }, LEASE_ACQUIRE },
		{ { 8, 9, 9, 9, 9, 9, 9, 9 }, LEASE_FORCE },
	};
	uint64_t recorded;
	struct lease l;
	size_t i, j;

	(void)state;
	assert_int_equal(LEASE_SILENT_MAX, 6);
	for (i = 0; i < ROWS(table); i++) {
		l = subscribed(1);
		for (j = 0; table[i].untils[j] != 0; j++) {
			/* time alone is no silence: Redis may hang */
			lease_postpone(&l, NOW_MS + 100000 * (int64_t)j);
			read_acquired(
			    &l, "OTHER", table[i].untils[j], 0, &recorded);
		}
		if (lease_next_request(&l) != table[i].want)
			fail_msg("row %zu", i);
		/* once it is had nobody is silent */
		read_acquired(&l, "NEW", 0, 1, &recorded);
		assert_int_equal(lease_next_request(&l), LEASE_RENEW);
		lease_lost(&l, NOW_MS);
		assert_int_equal(lease_next_request(&l), LEASE_ACQUIRE);
	}
}

static void
answer_says_who_holds_it(void **state)
{
	/* who holds it, by Redis' answer; as another's it ends what was ours */
	static const struct {
		const char *verdict;
		enum lease_holder want;
	} table[] = {
		{ "OTHER", LEASE_OTHERS },
		{ "HELD", LEASE_KEPT },
		{ "NEW", LEASE_NEW },
	};
	const struct answer error = { .kind = ANSWER_ERROR, .text = "ERR" };
	uint64_t recorded;
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		l = subscribed(0);
		lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
		l.is_active = true;
		recorded = 0;
		assert_int_equal(
		    read_acquired(&l, table[i].verdict, 5, 1, &recorded),
		    table[i].want);
		assert_int_equal(l.is_held, table[i].want != LEASE_OTHERS);
		assert_int_equal(l.is_active, table[i].want != LEASE_OTHERS);
		assert_true(l.is_known);
		assert_false(l.is_asking);
		if (table[i].want == LEASE_KEPT)
			assert_int_equal(recorded, 5);
		if (table[i].want != LEASE_OTHERS)
			assert_int_equal(l.answered_us, NOW_US);
	}
	/* an error says nothing, but is an answer */
	l = subscribed(0);
	l.is_active = true;
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	assert_int_equal(
	    lease_read_acquired(&l, &error, &recorded), LEASE_UNKNOWN);
	assert_false(l.is_held || l.is_known || l.is_asking);
	assert_true(l.is_active);
}

static void
lost_lease_asks_at_once(void **state)
{
	/* it is lost by a renewal that says 0, and not by an error; then it is
	 * asked for at once, but not twice at a time.  Messages are still
	 * ours, until another has it */
	static const struct {
		struct answer a;
		bool is_held;
	} table[] = {
		{ { .kind = ANSWER_NUMBER, .number = 1 }, true },
		{ { .kind = ANSWER_NUMBER, .number = 0 }, false },
		{ { .kind = ANSWER_ERROR, .number = 0, .text = "OOM" }, true },
	};
	uint64_t recorded;
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		l = subscribed(1);
		read_acquired(&l, "NEW", 0, 1, &recorded);
		l.is_active = true;
		lease_postpone(&l, NOW_MS);
		lease_read_renewed(&l, &table[i].a, NOW_MS + 2);
		assert_int_equal(l.is_held, table[i].is_held);
		assert_true(l.is_active);
		assert_int_equal(l.due_ms,
		    table[i].is_held ? NOW_MS + LEASE_RENEW_MS : NOW_MS + 2);
	}
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	lease_lost(&l, NOW_MS + 3);
	assert_true(l.is_asking);
	/* without its connection no answer comes */
	lease_disconnected(&l, NOW_MS + 4);
	assert_false(l.is_held || l.is_asking);
	assert_true(l.is_active);
	assert_int_equal(l.due_ms, NOW_MS + 4);
}

static void
own_announcement_alone_begins(void **state)
{
	/* messages are ours from the announcement of an attempt that this
	 * recorder has made; whatever else is said makes it ask soon, at most */
	static const struct {
		struct str payload;
		bool was_active;
		enum lease_news news;
		bool is_held, is_soon;
	} table[] = {
		{ S(UP("2", "me")), false, LEASE_BEGINS, true, false },
		{ S(UP("3", "me")), false, LEASE_BEGINS, true, false },
		{ S(UP("3", "me")), true, LEASE_BEGINS_ANEW, true, false },
		/* repeated, and guessed */
		{ S(UP("1", "me")), false, LEASE_NO_NEWS, true, false },
		{ S(UP("1", "me")), true, LEASE_NO_NEWS, true, false },
		{ S(UP("0", "me")), false, LEASE_NO_NEWS, true, false },
		{ S(UP("4", "me")), false, LEASE_NO_NEWS, true, false },
		{ S(UP("18446744073709551615", "me")), true, LEASE_NO_NEWS,
		    true, false },
		/* another's: perhaps a lie */
		{ S(UP("2", "you")), true, LEASE_NO_NEWS, true, true },
		{ S(UP("2", "you")), false, LEASE_NO_NEWS, false, true },
		{ S(UP("2", "m")), true, LEASE_NO_NEWS, true, true },
		{ S(UP("2", "mee")), false, LEASE_NO_NEWS, false, true },
		{ S(DOWN("you")), false, LEASE_NO_NEWS, false, true },
		{ S(DOWN("me")), false, LEASE_NO_NEWS, false, true },
		{ S(DOWN("me")), true, LEASE_NO_NEWS, true, false },
		{ S(DOWN("you")), true, LEASE_NO_NEWS, true, false },
		/* no announcements */
		{ S("0 0 r\nrelay me"), true, LEASE_NO_NEWS, true, false },
		{ S(FORGET("me")), true, LEASE_NO_NEWS, true, false },
		{ S(FORGET("you")), false, LEASE_NO_NEWS, false, false },
		{ S(UP("2", "")), true, LEASE_NO_NEWS, true, false },
		{ S(""), false, LEASE_NO_NEWS, false, false },
		{ S("0 0 r\nup "), false, LEASE_NO_NEWS, false, false },
		{ S("0 0 r\nover"), false, LEASE_NO_NEWS, false, false },
		{ S(UP("x", "me")), false, LEASE_NO_NEWS, false, false },
		{ S("0 0 r\nup 2"), true, LEASE_NO_NEWS, true, false },
		{ S(UP("99999999999999999999", "you")), true, LEASE_NO_NEWS,
		    true, false },
	};
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		l = subscribed(3);
		l.heard_attempt = 1;
		lease_postpone(&l, NOW_MS);
		l.is_active = table[i].was_active;
		l.is_held = table[i].is_held;
		if (hear(&l, table[i].payload) != table[i].news ||
		    l.is_active != (table[i].was_active ||
				       table[i].news != LEASE_NO_NEWS) ||
		    l.is_held != table[i].is_held)
			fail_msg("<%s>", table[i].payload.p);
		/* soon, but not at once, nor later than it was */
		if (table[i].is_soon) {
			assert_in_range(l.due_ms, NOW_MS + 1, NOW_MS + 50);
			l.due_ms = NOW_MS - 5;
			hear(&l, table[i].payload);
			assert_int_equal(l.due_ms, NOW_MS - 5);
		} else {
			assert_int_equal(l.due_ms, NOW_MS + LEASE_RENEW_MS);
		}
	}
}

static void
records_when_answer_and_announcement_agree(void **state)
{
	/* messages may be sent when the answer and the announcement that was
	 * heard last are of the same attempt, whichever comes first */
	struct lease l = subscribed(2);
	uint64_t recorded;

	(void)state;
	assert_false(lease_may_record(&l));
	hear(&l, (struct str)S(UP("1", "me")));
	assert_false(lease_may_record(&l));
	read_acquired(&l, "NEW", 0, 1, &recorded);
	assert_true(lease_may_record(&l));

	/* another came and went: its announcement is still to be heard */
	lease_lost(&l, NOW_MS);
	assert_false(lease_may_record(&l));
	read_acquired(&l, "NEW", 0, 2, &recorded);
	assert_false(lease_may_record(&l));
	hear(&l, (struct str)S(UP("2", "you")));
	assert_false(lease_may_record(&l));
	assert_int_equal(
	    hear(&l, (struct str)S(UP("2", "me"))), LEASE_BEGINS_ANEW);
	assert_true(lease_may_record(&l));

	/* asked for again and held still: the attempt that got it */
	lease_disconnected(&l, NOW_MS);
	assert_false(lease_may_record(&l));
	read_acquired(&l, "HELD", 0, 2, &recorded);
	assert_true(lease_may_record(&l));
}

static void
relays_unless_an_announcement_is_due(void **state)
{
	/* live messages may pass while Redis does not say whose the lease is,
	 * but not between a request and the announcement that may follow */
	const struct answer error = { .kind = ANSWER_ERROR, .text = "OOM" };
	struct lease l = subscribed(0);
	uint64_t recorded;

	(void)state;
	assert_false(lease_may_relay(&l));
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	read_acquired(&l, "NEW", 0, 1, &recorded);
	assert_false(lease_may_relay(&l));
	hear(&l, (struct str)S(UP("1", "me")));
	assert_true(lease_may_relay(&l));

	lease_ask(&l, NULL, LEASE_RENEW, 0, NOW_MS);
	assert_true(lease_may_relay(&l));
	lease_lost(&l, NOW_MS);
	assert_true(lease_may_relay(&l));
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	assert_false(lease_may_relay(&l));
	lease_read_acquired(&l, &error, &recorded);
	assert_true(lease_may_relay(&l));
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	read_acquired(&l, "NEW", 0, 4, &recorded);
	assert_false(lease_may_relay(&l));
	hear(&l, (struct str)S(UP("4", "me")));
	assert_true(lease_may_relay(&l));

	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	read_acquired(&l, "OTHER", 9, 0, &recorded);
	assert_false(lease_may_relay(&l));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_with_a_number_of_its_own),
		cmocka_unit_test(begins_and_ends_with_its_subscription),
		cmocka_unit_test(holder_renews_and_others_ask),
		cmocka_unit_test(answer_says_who_holds_it),
		cmocka_unit_test(lost_lease_asks_at_once),
		cmocka_unit_test(own_announcement_alone_begins),
		cmocka_unit_test(records_when_answer_and_announcement_agree),
		cmocka_unit_test(relays_unless_an_announcement_is_due),
	};

	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
