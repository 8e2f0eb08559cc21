/* SPDX-License-Identifier: ISC */
/* What all unit tests use: cmocka, tables, and bytes of a known length. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h> /* to here: what cmocka.h wants before itself */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

struct str {
	const char *p;
	size_t len;
};
/* a literal that may hold NUL */
#define S(literal)                                                             \
	{                                                                      \
		literal, sizeof("" literal) - 1                                \
	}

/* Memory of exactly this length, so that the sanitizers see a look beyond.
 * The caller frees it. */
static inline char *
exact_copy(struct str s)
{
	char *copy = malloc(s.len == 0 ? 1 : s.len);

	assert_non_null(copy);
	memcpy(copy, s.p, s.len);
	return copy;
}

static inline bool
is_equal(const char *p, size_t len, struct str want)
{
	return len == want.len && (len == 0 || memcmp(p, want.p, len) == 0);
}

#endif
