/* SPDX-License-Identifier: ISC */
/* cookie.h: which value a name has, and how often it stands there. */
#include "cookie.h"
#include "test/unit/unit.h"

static const struct {
	const char *what;
	const char *env[4];
	size_t count;
	const char *value;
	size_t nth;
} rows[] = {
	{ "no header", { "A=b" }, 0, NULL, 0 },
	{ "an empty header", { "HTTP_COOKIE=" }, 0, NULL, 0 },
	{ "alone", { "HTTP_COOKIE=sid=abc" }, 1, "abc", 0 },
	{ "among others", { "HTTP_COOKIE=a=1; sid=abc; b=2" }, 1, "abc", 0 },
	{ "without blanks", { "HTTP_COOKIE=a=1;sid=abc;b=2" }, 1, "abc", 0 },
	{ "quoted", { "HTTP_COOKIE=sid=\"abc\"" }, 1, "abc", 0 },
	{ "one quote stays", { "HTTP_COOKIE=sid=\"abc" }, 1, "\"abc", 0 },
	{ "two quotes are empty", { "HTTP_COOKIE=sid=\"\"" }, 1, "", 0 },
	{ "an equals sign in it", { "HTTP_COOKIE=sid=a=b=" }, 1, "a=b=", 0 },
	{ "no value", { "HTTP_COOKIE=sid" }, 0, NULL, 0 },
	{ "an empty value", { "HTTP_COOKIE=sid=" }, 1, "", 0 },
	{ "another's name ends so", { "HTTP_COOKIE=xsid=1" }, 0, NULL, 0 },
	{ "another's name begins so", { "HTTP_COOKIE=sidx=1" }, 0, NULL, 0 },
	{ "another's value", { "HTTP_COOKIE=a=sid=1" }, 0, NULL, 0 },
	{ "case counts", { "HTTP_COOKIE=Sid=1" }, 0, NULL, 0 },
	{ "twice, the first", { "HTTP_COOKIE=sid=1; sid=2" }, 2, "1", 0 },
	{ "twice, the second", { "HTTP_COOKIE=sid=1; sid=2" }, 2, "2", 1 },
	{ "twice the same", { "HTTP_COOKIE=sid=1; sid=1" }, 2, "1", 0 },
	{ "in two headers", { "HTTP_COOKIE=sid=1", "HTTP_COOKIE=sid=2" }, 2,
	    "2", 1 },
	{ "in the second header", { "HTTP_COOKIE=a=1", "HTTP_COOKIE=sid=2" }, 1,
	    "2", 0 },
	{ "only semicolons", { "HTTP_COOKIE=;;; ;" }, 0, NULL, 0 },
};

static void
cookie_is_found_by_its_whole_name(void **state)
{
	/* each spelling of a Cookie header gives the value, and the count */
	const char *value;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *env[5] = { NULL };
		size_t n;

		for (n = 0; n < 4 && rows[i].env[n] != NULL; n++)
			env[n] = strdup(rows[i].env[n]);
		value = NULL;
		len = 0;
		if (cookie_find(env, "sid", rows[i].nth, &value, &len) !=
		    rows[i].count)
			fail_msg("%s: count", rows[i].what);
		if (rows[i].count > 0 &&
		    (len != strlen(rows[i].value) ||
			memcmp(value, rows[i].value, len) != 0))
			fail_msg("%s: value", rows[i].what);
		while (n > 0)
			free(env[--n]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookie_is_found_by_its_whole_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
