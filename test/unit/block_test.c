/* SPDX-License-Identifier: ISC */
/* block.h: the blocks of a stream that are no record's. */
#include "block.h"
#include "test/unit/unit.h"

static void
check(struct buf *b, const char *want)
{
	if (!is_equal(b->bytes, b->len, (struct str){ want, strlen(want) }))
		fail_msg("<%.*s> is not <%s>", (int)b->len, b->bytes, want);
	buf_free(b);
}

static void
blocks_are_whole(void **state)
{
	/* each ends with the line that dispatches it, but for a comment; only a
	 * position has an id */
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	block_put_position(&b, 42);
	check(&b, "id: 42\nevent: stream-position\ndata: 42\n\n");
	block_put_position(&b, UINT64_MAX);
	check(&b, "id: 18446744073709551615\nevent: stream-position\n"
		  "data: 18446744073709551615\n\n");
	block_put_heartbeat(&b, 0);
	check(&b, ":\n");
	block_put_heartbeat(&b, 15);
	check(&b, "event: stream-heartbeat\ndata: 15\n\n");
	block_put_end(&b, "session");
	check(&b, "event: stream-end\ndata: {\"reason\":\"session\"}\n\n");
}

static void
reset_names_its_channels(void **state)
{
	/* those that are affected, in JSON: of what has to be escaped a name can
	 * hold quotes only */
	static const struct {
		bool is_affected[4];
		enum reset_reason reason;
		uint64_t id;
		const char *want; /* after "data: " */
	} table[] = {
		{ { true, false, false, false }, RESET_TRIMMED, 7,
		    "{\"channels\":[\"a\"],\"reason\":\"trimmed\","
		    "\"id\":\"7\"}" },
		{ { true, true, false, true }, RESET_FLUSHED, UINT64_MAX,
		    "{\"channels\":[\"a\",\"b\\\"c\\\"\",\"d\"],"
		    "\"reason\":\"flushed\","
		    "\"id\":\"18446744073709551615\"}" },
		{ { false, false, true, false }, RESET_OVERSIZED, 0,
		    "{\"channels\":[\"caf\xc3\xa9/'\"],"
		    "\"reason\":\"oversized\",\"id\":\"0\"}" },
		{ { false, false, false, false }, RESET_TRIMMED, 1,
		    "{\"channels\":[],\"reason\":\"trimmed\","
		    "\"id\":\"1\"}" },
	};
	static const char *const names[] = { "a", "b\"c\"", "caf\xc3\xa9/'",
		"d" };
	struct channel_set channels;
	struct buf b, want;
	size_t i;

	(void)state;
	channel_set_init(&channels);
	for (i = 0; i < ROWS(names); i++)
		assert_int_equal(
		    channel_set_add(&channels, names[i], strlen(names[i])), 0);
	buf_init(&b, 1000);
	buf_init(&want, 1000);
	for (i = 0; i < ROWS(table); i++) {
		block_put_reset(&b, &channels, table[i].is_affected,
		    table[i].reason, table[i].id);
		buf_reset(&want);
		buf_printf(&want, "event: stream-reset\ndata: %s\n\n%c",
		    table[i].want, '\0');
		check(&b, want.bytes);
	}
	buf_free(&want);
	channel_set_free(&channels);
}

static void
blocks_are_appended(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_puts(&b, "-");
	block_put_heartbeat(&b, 0);
	block_put_heartbeat(&b, 0);
	check(&b, "-:\n:\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_whole),
		cmocka_unit_test(reset_names_its_channels),
		cmocka_unit_test(blocks_are_appended),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
