/* SPDX-License-Identifier: ISC */
/*
 * buf.h: the content, the ceiling, and that a refusal changes nothing.
 */
#include "base/buf.h"
#include "test/unit/unit.h"

static void
assert_holds(const struct buf *b, const char *want)
{
	assert_int_equal(b->len, strlen(want));
	if (b->len != 0)
		assert_memory_equal(b->bytes, want, b->len);
}

static void
new_is_empty(void **state)
{
	/* a new buffer is empty, owns nothing and knows its limit */
	struct buf b;

	(void)state;
	buf_init(&b, 7);
	assert_null(b.bytes);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	assert_int_equal(b.limit_len, 7);
	buf_free(&b);
}

static void
each_way_appends_at_the_end(void **state)
{
	/* each way to append puts its bytes at the end, NUL among them */
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_put(&b, "a\0b", 3), 0);
	assert_int_equal(buf_puts(&b, "cd"), 0);
	assert_int_equal(buf_putc(&b, '\0'), 0);
	assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.bytes, "a\0bcd\00042-x", 10);
	buf_free(&b);
}

static void
nothing_can_be_appended(void **state)
{
	/* appending nothing works, from NULL, to an empty and to a full one */
	static const size_t limits[] = { 0, 3 };
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		buf_init(&b, limits[i]);
		assert_int_equal(buf_put(&b, "abc", limits[i]), 0);
		assert_int_equal(buf_put(&b, NULL, 0), 0);
		assert_int_equal(buf_puts(&b, ""), 0);
		assert_int_equal(buf_printf(&b, "%s", ""), 0);
		assert_int_equal(b.len, limits[i]);
		buf_free(&b);
	}
}

static void
limit_is_exact(void **state)
{
	/* the limit can be reached by each way to append, and not passed;
	 * what was there stays */
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_puts(&b, "abcd"), 0);
	assert_int_equal(buf_puts(&b, "xy"), -1);
	assert_int_equal(buf_put(&b, "xy", 2), -1);
	assert_int_equal(buf_printf(&b, "%d", 12), -1);
	assert_holds(&b, "abcd");
	assert_int_equal(buf_printf(&b, "%d", 7), 0);
	assert_holds(&b, "abcd7");
	assert_int_equal(buf_putc(&b, 'x'), -1);
	assert_holds(&b, "abcd7");
	buf_reset(&b);
	assert_int_equal(buf_puts(&b, "abcde"), 0);
	assert_int_equal(buf_putc(&b, 'x'), -1);
	assert_holds(&b, "abcde");
	buf_free(&b);
}

static void
sums_do_not_overflow(void **state)
{
	/* lengths near SIZE_MAX are refused, not added up; p is not read */
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_put(&b, "a", SIZE_MAX), -1);
	assert_int_equal(buf_putc(&b, 'a'), 0);
	assert_int_equal(buf_put(&b, "a", SIZE_MAX), -1);
	assert_int_equal(buf_put(&b, "a", SIZE_MAX - 1), -1);
	assert_int_equal(buf_put(&b, "a", SIZE_MAX / 2), -1);
	assert_holds(&b, "a");
	buf_free(&b);
}

static void
content_survives_growing(void **state)
{
	/* the content survives growing, and memory stops at the limit */
	enum { LIMIT = 100000 };
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, LIMIT);
	for (i = 0; i < LIMIT; i++)
		assert_int_equal(buf_putc(&b, (char)('a' + i % 26)), 0);
	assert_int_equal(buf_putc(&b, 'x'), -1);
	assert_int_equal(b.len, LIMIT);
	assert_true(b.cap <= LIMIT);
	for (i = 0; i < LIMIT; i++)
		assert_int_equal(b.bytes[i], 'a' + (int)(i % 26));
	buf_free(&b);
}

static void
long_format_is_whole(void **state)
{
	/* a format longer than what is allocated is whole */
	char text[3000];
	struct buf b;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buf_init(&b, 3001);
	assert_int_equal(buf_putc(&b, '<'), 0);
	assert_int_equal(buf_printf(&b, "%s>", text), 0);
	assert_int_equal(b.len, 3001);
	assert_int_equal(b.bytes[0], '<');
	assert_memory_equal(b.bytes + 1, text, 2999);
	assert_int_equal(b.bytes[3000], '>');
	buf_free(&b);
}

static void
reset_keeps_memory_and_free_does_not(void **state)
{
	/* reset keeps the memory, free does not; both keep the limit, and the
	 * buffer can be used again */
	struct buf b;
	char *bytes;

	(void)state;
	buf_init(&b, 3);
	assert_int_equal(buf_puts(&b, "abc"), 0);
	bytes = b.bytes;
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_puts(&b, "xyz"), 0);
	assert_ptr_equal(b.bytes, bytes);
	assert_holds(&b, "xyz");
	buf_free(&b);
	assert_null(b.bytes);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_puts(&b, "abcd"), -1);
	assert_int_equal(buf_puts(&b, "abc"), 0);
	assert_holds(&b, "abc");
	buf_free(&b);
	buf_free(&b); /* twice does no harm */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_is_empty),
		cmocka_unit_test(each_way_appends_at_the_end),
		cmocka_unit_test(nothing_can_be_appended),
		cmocka_unit_test(limit_is_exact),
		cmocka_unit_test(sums_do_not_overflow),
		cmocka_unit_test(content_survives_growing),
		cmocka_unit_test(long_format_is_whole),
		cmocka_unit_test(reset_keeps_memory_and_free_does_not),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
