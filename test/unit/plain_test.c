/* SPDX-License-Identifier: ISC */
/* plain.h: where plain messages are heard, what they are as frames, and which
 * records are known by them. */
#include "plain.h"
#include "redis/record.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000
#define UP "0 0 r\nup "

static void
coverage_tells_what_changed(void **state)
{
	/* plain messages are heard where no recorder's pattern matches */
	static const struct {
		const char *patterns;
		bool all, foo; /* heard on these channels */
	} table[] = {
		{ NULL, true, true },
		{ "", true, true },
		{ "all", false, true },
		{ "foo", true, false },
		{ "all,foo", false, false },
		{ "bar, foo", true, false },
		{ " all ,bar", false, true },
		{ ",,foo,", true, false },
		{ "*", false, false },
		{ "f*,a?", true, false },
		{ "all foo", true, true },
	};
	static char all_name[] = "all", foo_name[] = "foo";
	static struct channel items[] = { { all_name, 3 }, { foo_name, 3 } };
	static const struct channel_set channels = { items, 2, 2 };
	struct position positions[2];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		memset(positions, 0, sizeof(positions));
		if (plain_update_coverage(positions, &channels,
			table[i].patterns) != (table[i].all || table[i].foo) ||
		    positions[0].hears_plain != table[i].all ||
		    positions[1].hears_plain != table[i].foo)
			fail_msg("row %zu", i);
		/* the second time nothing is new */
		assert_false(plain_update_coverage(
		    positions, &channels, table[i].patterns));
	}
	/* a recorder that came is a change, too */
	positions[0].hears_plain = positions[1].hears_plain = true;
	assert_true(plain_update_coverage(positions, &channels, "all"));
	assert_false(positions[0].hears_plain);
}

static int
put(struct plain *p, struct buf *frame, const char *payload)
{
	buf_reset(frame);
	return plain_put_frame(p, frame, 0, payload, strlen(payload), NOW_MS);
}

static bool
was_passed(struct plain *p, enum record_origin origin, const char *body)
{
	struct record rec = {
		.origin = origin, .body = body, .body_len = strlen(body)
	};

	return plain_was_passed(p, 0, &rec, NOW_MS);
}

static void
message_becomes_a_frame(void **state)
{
	/* a message is framed as its record would be, and that record is known,
	 * once; a published one never is */
	static const struct {
		const char *payload, *want;
	} table[] = {
		{ "x", "data: x\n\n" },
		{ "[\"news\",{\"a\":1}]", "event: news\ndata: {\"a\":1}\n\n" },
		{ "", "data: \n\n" },
	};
	struct plain p = { .recorder = "" };
	struct buf frame;
	size_t i;

	(void)state;
	buf_init(&frame, 1000);
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(put(&p, &frame, table[i].payload), 0);
		assert_true(is_equal(frame.bytes, frame.len,
		    (struct str){ table[i].want, strlen(table[i].want) }));
		assert_false(was_passed(&p, ORIGIN_PUBLISHED, table[i].want));
		assert_true(was_passed(&p, ORIGIN_RECORDED, table[i].want));
		assert_false(was_passed(&p, ORIGIN_RECORDED, table[i].want));
	}
	/* after other bytes it is the same frame */
	assert_int_equal(put(&p, &frame, "y"), 0);
	assert_int_equal(plain_put_frame(&p, &frame, 0, "x", 1, NOW_MS), 0);
	assert_true(was_passed(&p, ORIGIN_RECORDED, "data: x\n\n"));
	buf_free(&frame);
	plain_free(&p);
}

static void
records_are_refused(void **state)
{
	/* another site's records and announcements, and what finds no room,
	 * are no messages, and are not remembered */
	struct plain p = { .recorder = "" };
	struct buf frame;

	(void)state;
	buf_init(&frame, 100);
	assert_int_equal(put(&p, &frame, "7 5 p\nid: 7\ndata: x\n\n"), -1);
	assert_int_equal(put(&p, &frame, UP "1 token"), -1);
	assert_int_equal(frame.len, 0);
	buf_free(&frame);
	buf_init(&frame, 10);
	assert_int_equal(put(&p, &frame, "xxxxxxxxxx"), -1);
	assert_int_equal(frame.len, 0);
	assert_int_equal(p.recent.n, 0);
	buf_free(&frame);
	plain_free(&p);
}

static void
another_recorder_makes_it_forget(void **state)
{
	/* only another recorder's coming makes messages forgotten: it cannot
	 * have heard them */
	static const struct {
		const char *what, *notice;
		bool is_forgotten;
	} table[] = {
		{ "the first one", UP "1 first", true },
		{ "the same one again", UP "2 first", false },
		{ "it goes", "0 0 r\ndown first", false },
		{ "another one", UP "1 second", true },
		{ "one whose token begins likewise", UP "1 secon", true },
		{ "one whose token goes on", UP "1 second", true },
		{ "no token", UP, false },
		{ "another notice", "0 0 r\nup", false },
		{ "nothing", "", false },
		{ "39 bytes", UP "1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		    true },
		{ "40 bytes are no token",
		    UP "1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false },
	};
	struct plain p = { .recorder = "" };
	struct buf frame;
	size_t i, len;
	char *copy;

	(void)state;
	buf_init(&frame, 1000);
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(put(&p, &frame, "x"), 0);
		len = strlen(table[i].notice);
		copy = exact_copy((struct str){ table[i].notice, len });
		plain_hear_notice(&p, copy, len);
		free(copy);
		if (was_passed(&p, ORIGIN_RECORDED, "data: x\n\n") ==
		    table[i].is_forgotten)
			fail_msg("%s", table[i].what);
	}
	buf_free(&frame);
	plain_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coverage_tells_what_changed),
		cmocka_unit_test(message_becomes_a_frame),
		cmocka_unit_test(records_are_refused),
		cmocka_unit_test(another_recorder_makes_it_forget),
	};

	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
