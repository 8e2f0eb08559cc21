/* SPDX-License-Identifier: ISC */
/* redis_address.h: which URLs are addresses, and that no password is told. */
#include "base/redis_address.h"
#include "test/unit/unit.h"

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
address_is_taken_apart(void **state)
{
	/* a host or a path, a port, a user, a password, a database: each
	 * percent-decoded, each with its default */
	static const struct {
		const char *url, *host;
		uint16_t port;
		const char *path, *user, *password;
		unsigned db;
	} table[] = {
		{ "redis://127.0.0.1:6379/0", "127.0.0.1", 6379, NULL, NULL,
		    NULL, 0 },
		{ "redis://", "127.0.0.1", 6379, NULL, NULL, NULL, 0 },
		{ "redis:///5", "127.0.0.1", 6379, NULL, NULL, NULL, 5 },
		{ "redis://:6380", "127.0.0.1", 6380, NULL, NULL, NULL, 0 },
		{ "redis://h", "h", 6379, NULL, NULL, NULL, 0 },
		{ "redis://h/", "h", 6379, NULL, NULL, NULL, 0 },
		{ "redis://h:1/15", "h", 1, NULL, NULL, NULL, 15 },
		{ "redis://h:65535", "h", 65535, NULL, NULL, NULL, 0 },
		{ "redis://[::1]", "::1", 6379, NULL, NULL, NULL, 0 },
		{ "redis://[::1]:6380/2", "::1", 6380, NULL, NULL, NULL, 2 },
		{ "redis://[fe80::1%25eth0]", "fe80::1%eth0", 6379, NULL, NULL,
		    NULL, 0 },
		{ "redis://:secret@[::1]:6380", "::1", 6380, NULL, NULL,
		    "secret", 0 },
		{ "redis://ann:secret@h:6380/2", "h", 6380, NULL, "ann",
		    "secret", 2 },
		{ "redis://:secret@h", "h", 6379, NULL, NULL, "secret", 0 },
		{ "redis://ann:@h", "h", 6379, NULL, "ann", "", 0 },
		{ "redis://:secret@", "127.0.0.1", 6379, NULL, NULL, "secret",
		    0 },
		{ "redis://a%3Ab:%40%2F%3A%25%20@h", "h", 6379, NULL, "a:b",
		    "@/:% ", 0 },
		/* a raw @ or : in a password is meant so */
		{ "redis://:a@b@h", "h", 6379, NULL, NULL, "a@b", 0 },
		{ "redis://ann:a:b@h", "h", 6379, NULL, "ann", "a:b", 0 },
		{ "redis://:a+b@h", "h", 6379, NULL, NULL, "a+b", 0 },
		{ "redis://:\xc3\xa9@h", "h", 6379, NULL, NULL, "\xc3\xa9", 0 },
		{ "unix:///run/redis.sock", NULL, 0, "/run/redis.sock", NULL,
		    NULL, 0 },
		{ "unix:///run/redis.sock?db=3", NULL, 0, "/run/redis.sock",
		    NULL, NULL, 3 },
		{ "unix:///a%20b%3Fc?db=0", NULL, 0, "/a b?c", NULL, NULL, 0 },
		{ "unix:///a@b:c", NULL, 0, "/a@b:c", NULL, NULL, 0 },
	};
	struct redis_address ra;
	char error[200];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		if (redis_address_parse(
			&ra, table[i].url, error, sizeof(error)) != 0)
			fail_msg("%s: %s", table[i].url, error);
		if (!is_same(ra.host, table[i].host) ||
		    ra.port != table[i].port ||
		    !is_same(ra.unix_path, table[i].path) ||
		    !is_same(ra.user, table[i].user) ||
		    !is_same(ra.password, table[i].password) ||
		    ra.db != table[i].db)
			fail_msg("%s: %s %u %s %s %s %u", table[i].url, ra.host,
			    ra.port, ra.unix_path, ra.user, ra.password, ra.db);
		redis_address_free(&ra);
		assert_null(ra.host);
		assert_null(ra.password);
	}
}

static void
bad_address_is_refused(void **state)
{
	/* anything else is refused, in a sentence that does not repeat what
	 * may be a password */
	static const char *const table[] = { "", "redis", "redis:", "redis:/",
		"redis:/h", "REDIS://h", "rediss://h", "http://h", "h:6379",
		"//h", " redis://h", "redis://h:0", "redis://h:65536",
		"redis://h:", "redis://h:x", "redis://h:-1", "redis://h:1:2",
		"redis://h/x", "redis://h/-1", "redis://h/1/2", "redis://h/1 ",
		"redis://h/1?db=2", "redis://h/1000001", "redis://::1",
		"redis://[::1", "redis://[::1]x",
		"redis://[::1]:", "redis://[::1]:0", "redis://ann@h",
		"redis://:%zz@h", "redis://:%4@h", "redis://%00:x@h",
		"redis://:%00@h", "redis://%zz", "redis://:se/cret@h",
		"redis://h:6379?db=2", "unix://", "unix://run/redis.sock",
		"unix:/run/redis.sock", "unix:///a?",
		"unix:///a?db=", "unix:///a?db=x", "unix:///a?db=1&x=2",
		"unix:///a?DB=1", "unix:///a%00b", "unix:///a%",
		"unix:///a?db=-1", "redis://:hunter2@h:notaport" };
	struct redis_address ra;
	char error[200];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		error[0] = '\0';
		if (redis_address_parse(&ra, table[i], error, sizeof(error)) !=
		    -1)
			fail_msg("%s is taken", table[i]);
		assert_non_null(strstr(error, "redis://[user:password@]"));
		assert_null(strstr(error, "hunter2"));
		assert_null(ra.host);
		assert_null(ra.password);
	}
}

static void
error_says_where(void **state)
{
	/* a path, or a host and its port; the password's file where that was
	 * refused, by whatever version of Redis */
	static const char again[] =
	    " (the password is read again from /p before each try)";
	static const struct {
		const char *why;
		bool is_refusal;
	} table[] = {
		{ "WRONGPASS invalid username-password pair or user is "
		  "disabled.",
		    true },
		{ "NOAUTH Authentication required.", true },
		{ "ERR invalid password", true },
		{ "ERR AUTH <password> called without any password configured",
		    true },
		{ "ERR Client sent AUTH, but no password is set", true },
		{ "ERR max number of clients reached", false },
		{ "NOPERM this user has no permissions", false },
		{ "Connection refused", false },
		{ "", false },
	};
	struct redis_address ra;
	char error[200], want[200];
	size_t i;

	(void)state;
	assert_int_equal(
	    redis_address_parse(&ra, "unix:///s", error, sizeof(error)), 0);
	for (i = 0; i < ROWS(table); i++) {
		ra.password_file = NULL;
		snprintf(want, sizeof(want), "Redis at /s: %s", table[i].why);
		redis_address_put_error(
		    &ra, table[i].why, error, sizeof(error));
		assert_string_equal(error, want);
		ra.password_file = "/p";
		if (table[i].is_refusal)
			snprintf(want + strlen(want),
			    sizeof(want) - strlen(want), "%s", again);
		redis_address_put_error(
		    &ra, table[i].why, error, sizeof(error));
		assert_string_equal(error, want);
	}
	redis_address_free(&ra);
	assert_int_equal(
	    redis_address_parse(&ra, "redis://h:7", error, sizeof(error)), 0);
	redis_address_put_error(&ra, "why", error, sizeof(error));
	assert_string_equal(error, "Redis at h port 7: why");
	redis_address_free(&ra);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_is_taken_apart),
		cmocka_unit_test(bad_address_is_refused),
		cmocka_unit_test(error_says_where),
	};

	return cmocka_run_group_tests_name("redis_address", tests, NULL, NULL);
}
