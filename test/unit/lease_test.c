/* SPDX-License-Identifier: ISC */
/* lease.h: when this recorder is the active one, and what it asks when. */
#include "recorder/lease.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000
#define UP(attempt, token) "0 0 r\nup " attempt " " token
#define DOWN(token) "0 0 r\ndown " token

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
	};
	const struct answer a = {
		.kind = ANSWER_LIST, .number = 3, .reply = items
	};

	return lease_read_acquired(l, &a, recorded);
}

/* into memory of exactly its length */
static void
hear(struct lease *l, struct str payload)
{
	char *copy = exact_copy(payload);

	lease_heard(l, copy, payload.len, NOW_MS + 10, NOW_MS + 40);
	free(copy);
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
		{ LEASE_ACQUIRE, "1 sse:recorder acquire me a*,b 7 2000 1",
		    true },
		{ LEASE_FORCE, "1 sse:recorder force me a*,b 7 2000 2", true },
		{ LEASE_RENEW, "1 sse:recorder renew me a*,b 7 2000 3", false },
	};
	struct lease l;
	size_t i;

	(void)state;
	append_result = 0;
	lease_init(&l, &cfg, "me", NOW_MS);
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(
		    lease_ask(&l, NULL, table[i].request, 7, NOW_MS), 0);
		assert_string_equal(words, table[i].want);
		assert_int_equal(l.is_asking, table[i].is_asking);
		assert_int_equal(l.due_ms, NOW_MS + LEASE_RENEW_MS);
	}
	assert_int_equal(lease_append_release(&l, NULL, "dead"), 0);
	assert_string_equal(words, "1 sse:recorder release dead a*,b 0 2000 4");

	/* without memory no answer is due, and it is tried again */
	append_result = -1;
	assert_int_equal(lease_ask(&l, NULL, LEASE_ACQUIRE, 7, NOW_MS + 1), -1);
	assert_false(l.is_asking);
	assert_int_equal(l.due_ms, NOW_MS + 1 + LEASE_RENEW_MS);
	append_result = 0;
}

static void
holder_renews_and_others_ask(void **state)
{
	/* who holds the lease renews it; others ask for it, by force when its
	 * holder was not heard for more than LEASE_SILENCE_MS */
	static const struct {
		bool is_held;
		int64_t after_ms;
		enum lease_request want;
	} table[] = {
		{ false, 0, LEASE_ACQUIRE },
		{ false, LEASE_SILENCE_MS, LEASE_ACQUIRE },
		{ false, LEASE_SILENCE_MS + 1, LEASE_FORCE },
		{ true, 0, LEASE_RENEW },
		{ true, LEASE_SILENCE_MS + 1, LEASE_RENEW },
	};
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		lease_init(&l, &cfg, "me", 0);
		lease_heard_alive(&l, NOW_MS);
		l.is_held = table[i].is_held;
		assert_int_equal(
		    lease_next_request(&l, NOW_MS + table[i].after_ms),
		    table[i].want);
	}
}

static void
answer_says_who_holds_it(void **state)
{
	/* who holds it, by Redis' answer */
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
		lease_init(&l, &cfg, "me", NOW_MS);
		lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
		recorded = 0;
		assert_int_equal(
		    read_acquired(&l, table[i].verdict, 5, 1, &recorded),
		    table[i].want);
		assert_int_equal(l.is_held, table[i].want != LEASE_OTHERS);
		assert_true(l.is_known);
		assert_false(l.is_asking);
		if (table[i].want == LEASE_KEPT)
			assert_int_equal(recorded, 5);
	}
	/* an error says nothing, but is an answer */
	lease_init(&l, &cfg, "me", NOW_MS);
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	assert_int_equal(
	    lease_read_acquired(&l, &error, &recorded), LEASE_UNKNOWN);
	assert_false(l.is_held || l.is_known || l.is_asking);
}

static void
lost_lease_asks_at_once(void **state)
{
	/* it is kept by a renewal that says 1, and lost by any other; then it
	 * is asked for at once, but not twice at a time */
	static const struct {
		struct answer a;
		bool is_held;
	} table[] = {
		{ { .kind = ANSWER_NUMBER, .number = 1 }, true },
		{ { .kind = ANSWER_NUMBER, .number = 0 }, false },
		{ { .kind = ANSWER_ERROR, .number = 1, .text = "ERR" }, false },
	};
	uint64_t recorded;
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		lease_init(&l, &cfg, "me", NOW_MS);
		read_acquired(&l, "NEW", 0, 1, &recorded);
		lease_postpone(&l, NOW_MS);
		lease_read_renewed(&l, &table[i].a, NOW_MS + 2);
		assert_int_equal(l.is_held, table[i].is_held);
		assert_int_equal(l.due_ms,
		    table[i].is_held ? NOW_MS + LEASE_RENEW_MS : NOW_MS + 2);
	}
	lease_ask(&l, NULL, LEASE_ACQUIRE, 0, NOW_MS);
	lease_lost(&l, NOW_MS + 3);
	assert_true(l.is_asking);
	/* without its connection no answer comes */
	lease_disconnected(&l, NOW_MS + 4);
	assert_false(l.is_held || l.is_asking);
	assert_int_equal(l.due_ms, NOW_MS + 4);
}

static void
announcement_says_who_is_active(void **state)
{
	/* who is active is who was announced last; "down" lets all ask but
	 * the active one; what is neither changes nothing */
	static const struct {
		struct str payload;
		bool was_active, is_active;
		bool is_alive, is_due;
	} table[] = {
		{ S(UP("1", "me")), false, true, true, false },
		{ S(UP("1", "me")), true, true, true, false },
		{ S(UP("1", "you")), true, false, true, false },
		{ S(UP("1", "you")), false, false, true, false },
		{ S(UP("1", "m")), true, false, true, false },
		{ S(UP("1", "mee")), true, false, true, false },
		{ S(UP("1", "")), true, true, false, false },
		{ S(DOWN("you")), false, false, false, true },
		{ S(DOWN("me")), true, true, false, false },
		{ S(""), false, false, false, false },
		{ S("0 0 r\nup "), false, false, false, false },
		{ S("0 0 r\nover"), false, false, false, false },
		{ S(UP("x", "me")), false, false, false, false },
		{ S(UP("", "you")), true, true, false, false },
		{ S("0 0 r\nup 1"), true, true, false, false },
		{ S(UP("99999999999999999999", "you")), true, true, false,
		    false },
	};
	struct lease l;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		lease_init(&l, &cfg, "me", NOW_MS);
		l.due_ms = NOW_MS;
		l.is_active = table[i].was_active;
		hear(&l, table[i].payload);
		if (l.is_active != table[i].is_active ||
		    l.alive_ms != NOW_MS + (table[i].is_alive ? 10 : 0) ||
		    l.due_ms != NOW_MS + (table[i].is_due ? 40 : 0))
			fail_msg("<%s>: active %d, alive %jd, due %jd",
			    table[i].payload.p, l.is_active,
			    (intmax_t)l.alive_ms, (intmax_t)l.due_ms);
	}
}

static void
records_when_answer_and_announcement_agree(void **state)
{
	/* messages may be sent when the answer and the announcement that was
	 * heard last are of the same attempt, whichever comes first */
	uint64_t recorded;
	struct lease l;

	(void)state;
	lease_init(&l, &cfg, "me", NOW_MS);
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
	hear(&l, (struct str)S(UP("2", "me")));
	assert_true(lease_may_record(&l));

	/* asked for again and held still: the attempt that got it */
	lease_disconnected(&l, NOW_MS);
	assert_false(lease_may_record(&l));
	read_acquired(&l, "HELD", 0, 2, &recorded);
	assert_true(lease_may_record(&l));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_with_a_number_of_its_own),
		cmocka_unit_test(holder_renews_and_others_ask),
		cmocka_unit_test(answer_says_who_holds_it),
		cmocka_unit_test(lost_lease_asks_at_once),
		cmocka_unit_test(announcement_says_who_is_active),
		cmocka_unit_test(records_when_answer_and_announcement_agree),
	};

	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
