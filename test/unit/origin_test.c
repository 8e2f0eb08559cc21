/* SPDX-License-Identifier: ISC */
/*
 * origin.h: which lists can match what browsers send, and what is to be
 * written in place of those that cannot.
 */
#include "origin.h"
#include "test/unit/unit.h"

static void
what_browsers_send_is_accepted(void **state)
{
	/* each is accepted, and listed as it stands, alone and among others */
	static const char *const table[] = {
		"https://a.example",
		"http://a.example",
		"https://a.example:8443",
		"http://a.example:443", /* not its own port */
		"https://a.example:80",
		"https://a.example:1",
		"https://a.example:65535",
		"http://localhost:8080",
		"http://127.0.0.1:3000",
		"http://[::1]:3000",
		"https://[2001:db8::1]",
		"https://xn--bcher-kva.example",
		"https://a_b.example.",
		"HTTPS://A.Example",
		"chrome-extension://abcdefghijklmnop",
		"capacitor://localhost",
		"x+y-z.1://host:80",
		"file://",
		"null",
		"*",
	};
	char list[200];
	struct verdict v = { .status = HTTP_OK };
	char *alone;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		assert_non_null(alone = strdup(table[i]));
		snprintf(list, sizeof(list), " https://b, %s\thttps://c ,",
		    table[i]);
		if (origin_check_list(alone, &v) == -1 ||
		    origin_check_list(list, &v) == -1)
			fail_msg("%s: %s", table[i], v.sentence);
		if (!origin_is_listed(alone, table[i]) ||
		    !origin_is_listed(list, table[i]) ||
		    origin_is_listed("https://b, https://c", table[i]))
			fail_msg("%s is not found", table[i]);
		free(alone);
	}
	assert_int_equal(v.status, HTTP_OK);
}

#define NO_BROWSER(origin) "SSE_ORIGIN has '" origin "', which no browser sends"
#define FORM                                                                   \
	": write https://HOST or https://HOST:PORT, the host in ASCII "        \
	"(xn--...)"
#define BARE                                                                   \
	"SSE_ORIGIN has brackets or quotes: write the bare origins, with "     \
	"blanks between"
#define PATTERN(origin)                                                        \
	"SSE_ORIGIN has '" origin "', but no patterns: write each origin, or " \
	"* alone for all, without cookies"
#define NOTHING                                                                \
	"SSE_ORIGIN names no origin: write https://HOST, or leave it out"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define EIGHTY TEN TEN TEN TEN TEN TEN TEN TEN

static void
what_can_never_match_is_refused(void **state)
{
	/* each is a mistake of the administrator's, and the sentence is what
	 * there is to be written */
	static const struct {
		const char *list, *want;
	} table[] = {
		{ "https://a.example/",
		    NO_BROWSER("https://a.example/") ": write "
						     "https://a.example" },
		{ "https://a:8443/path?q#f",
		    NO_BROWSER("https://a:8443/path?q#f") ": write "
							  "https://a:8443" },
		{ "https://a?q",
		    NO_BROWSER("https://a?q") ": write https://a" },
		{ "https://a#f",
		    NO_BROWSER("https://a#f") ": write https://a" },
		{ "https://a:443",
		    NO_BROWSER("https://a:443") ": write https://a" },
		{ "HTTPS://a:443",
		    NO_BROWSER("HTTPS://a:443") ": write HTTPS://a" },
		{ "https://a:443/",
		    NO_BROWSER("https://a:443/") ": write https://a" },
		{ "http://a:80", NO_BROWSER("http://a:80") ": write http://a" },
		{ "http://[::1]:80",
		    NO_BROWSER("http://[::1]:80") ": write http://[::1]" },
		{ "https://a:08443",
		    NO_BROWSER("https://a:08443") ": write https://a:8443" },
		{ "https://a:", NO_BROWSER("https://a:") ": write https://a" },
		{ "https://a:0",
		    NO_BROWSER("https://a:0") ": write https://a" },
		{ "https://a:65536", NO_BROWSER("https://a:65536") FORM },
		{ "https://a:x", NO_BROWSER("https://a:x") FORM },
		{ "https://a:1x", NO_BROWSER("https://a:1x") FORM },
		{ "https://", NO_BROWSER("https://") FORM },
		{ "https:///a", NO_BROWSER("https:///a") FORM },
		{ "file:///", NO_BROWSER("file:///") FORM },
		{ "://a", NO_BROWSER("://a") FORM },
		{ "https:/a", NO_BROWSER("https:/a") FORM },
		{ "//a", NO_BROWSER("//a") FORM },
		{ "https://u@a", NO_BROWSER("https://u@a") FORM },
		{ "https://a;https://b",
		    NO_BROWSER("https://a;https://b") FORM },
		{ "https://a\nhttps://b",
		    NO_BROWSER("https://a\nhttps://b") FORM },
		{ "https://b\xc3\xbc"
		  "cher.example",
		    NO_BROWSER("https://b\xc3\xbc"
			       "cher.example") FORM },
		{ "https://[::1", NO_BROWSER("https://[::1") FORM },
		{ "https://[::g]", NO_BROWSER("https://[::g]") FORM },
		{ "a.example", "SSE_ORIGIN has 'a.example', which has no "
			       "scheme: write https://a.example" },
		{ "a:8080", "SSE_ORIGIN has 'a:8080', which has no scheme: "
			    "write https://a:8080" },
		{ "https://*.a.example", PATTERN("https://*.a.example") },
		{ "*.a.example", PATTERN("*.a.example") },
		{ "https://a:*", PATTERN("https://a:*") },
		{ "**", PATTERN("**") },
		{ "[\"https://a\",\"https://b\"]", BARE },
		{ "\"https://a\"", BARE },
		{ "'self'", BARE },
		{ "{\"a\":1}", BARE },
		/* one is enough */
		{ "https://a, https://b/",
		    NO_BROWSER("https://b/") ": write https://b" },
		{ "* https://a https://b:443",
		    NO_BROWSER("https://b:443") ": write https://b" },
		{ ",", NOTHING },
		{ " \t,", NOTHING },
		{ HUNDRED, "SSE_ORIGIN has '" EIGHTY "', which has no scheme: "
			   "write https://" EIGHTY },
	};
	struct verdict v;
	char *list;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		assert_non_null(list = strdup(table[i].list));
		v = (struct verdict){ .status = HTTP_OK };
		if (origin_check_list(list, &v) != -1 ||
		    v.status != HTTP_FORBIDDEN || !v.is_misconfigured ||
		    strcmp(v.sentence, table[i].want) != 0)
			fail_msg("%s: got\n%s\nwant\n%s", table[i].list,
			    v.sentence, table[i].want);
		free(list);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_browsers_send_is_accepted),
		cmocka_unit_test(what_can_never_match_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
