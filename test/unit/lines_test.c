/* SPDX-License-Identifier: ISC */
/* lines.h: pieces in, lines out. */
#include "lines.h"
#include "test/unit/unit.h"

#define MAX 4
#define PIECE_MAX 8

static const struct {
	const char *what;
	const char *pieces[6];
	const char *want; /* each line in brackets; "!": too long */
} rows[] = {
	{ "nothing", { "" }, "" },
	{ "one", { "a\n" }, "[a]" },
	{ "no end", { "a" }, "[a]" },
	{ "empty ones", { "\n\n" }, "[][]" },
	{ "CRLF", { "a\r\n\r\n" }, "[a][]" },
	{ "CR within", { "a\rb\n" }, "[a\rb]" },
	{ "CR twice", { "a\r\r\n" }, "[a\r]" },
	{ "CR at the end of all", { "a\r" }, "[a]" },
	{ "in pieces", { "a", "b", "\n", "c\nd" }, "[ab][c][d]" },
	{ "CRLF in pieces", { "a\r", "\n" }, "[a]" },
	{ "just long enough", { "abcd\n" }, "[abcd]" },
	{ "and CRLF", { "abcd\r", "\nx\n" }, "[abcd][x]" },
	{ "and no end", { "abcd" }, "[abcd]" },
	{ "too long", { "abcde\nx\n" }, "![x]" },
	{ "too long, no end", { "abcde" }, "!" },
	{ "much too long", { "abcdefg", "hijkl", "mn", "o\nx\n" }, "![x]" },
	{ "much too long, no end", { "abcdefgh", "ijklmnop", "" }, "!" },
	{ "its end alone", { "abcdefgh", "\n", "x" }, "![x]" },
	{ "twice", { "abcdefg\n", "abcdefg\n" }, "!!" },
};

static void
read_lines(struct lines *l, struct buf *got)
{
	enum line_kind kind;
	const char *line;
	size_t len;

	while ((kind = lines_next(l, &line, &len)) != LINE_NONE) {
		assert_int_equal(
		    buf_puts(got, kind == LINE_WHOLE ? "[" : "!"), 0);
		if (kind != LINE_WHOLE)
			continue;
		assert_int_equal(buf_put(got, line, len), 0);
		assert_int_equal(buf_putc(got, ']'), 0);
	}
}

/* Lines come out as they went in, whatever the pieces; what is too long is told
 * once. */
static void
test_lines(void **state)
{
	struct lines l;
	struct buf got;
	size_t i, n;

	(void)state;
	for (i = 0; i < ROWS(rows); i++) {
		lines_init(&l, MAX, PIECE_MAX);
		buf_init(&got, 1000);
		for (n = 0; n < 6 && rows[i].pieces[n] != NULL; n++) {
			assert_int_equal(lines_put(&l, rows[i].pieces[n],
					     strlen(rows[i].pieces[n])),
			    0);
			read_lines(&l, &got);
		}
		lines_end(&l);
		read_lines(&l, &got);
		if (got.len != strlen(rows[i].want) ||
		    memcmp(got.len > 0 ? got.bytes : "", rows[i].want,
			got.len) != 0)
			fail_msg("%s: %.*s", rows[i].what, (int)got.len,
			    got.len > 0 ? got.bytes : "");
		buf_free(&got);
		lines_free(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
