/* SPDX-License-Identifier: ISC */
/* session_grant.h: a grant is understood whole, or not at all. */
#include "session_grant.h"
#include "test/unit/unit.h"

static const struct {
	const char *what, *json, *user, *channels; /* NULL: refused */
} rows[] = {
	{ "whole", "{\"user\":\"tug\",\"channels\":[\"tug\",\"all\"]}", "tug",
	    "tug all " },
	{ "no user", "{\"channels\":[\"all\"]}", NULL, "all " },
	{ "null as user", "{\"user\":null,\"channels\":[\"a\"]}", NULL, "a " },
	{ "blanks", " { \"channels\" : [ \"a\" ] } \n", NULL, "a " },
	{ "other members", "{\"x\":[1,{}],\"channels\":[\"a\"]}", NULL, "a " },
	{ "a channel twice", "{\"channels\":[\"a\",\"a\"]}", NULL, "a " },
	{ "empty", "", NULL, NULL },
	{ "no JSON", "admin", NULL, NULL },
	{ "no object", "[\"a\"]", NULL, NULL },
	{ "no channels", "{\"user\":\"tug\"}", NULL, NULL },
	{ "an empty list", "{\"channels\":[]}", NULL, NULL },
	{ "no list", "{\"channels\":\"a\"}", NULL, NULL },
	{ "a number", "{\"channels\":[\"a\",1]}", NULL, NULL },
	{ "no name", "{\"channels\":[\"a\",\"b,c\"]}", NULL, NULL },
	{ "our own name", "{\"channels\":[\"sse:x\"]}", NULL, NULL },
	{ "NUL", "{\"channels\":[\"a\\u0000b\"]}", NULL, NULL },
	{ "a user that is no string", "{\"user\":1,\"channels\":[\"a\"]}", NULL,
	    NULL },
	{ "text after it", "{\"channels\":[\"a\"]}x", NULL, NULL },
	{ "cut short", "{\"channels\":[\"a\"]", NULL, NULL },
	{ "channels twice", "{\"channels\":[\"a\"],\"channels\":[\"b\"]}", NULL,
	    NULL },
};

static int
parse(const char *json, size_t len, struct channel_set *set, char **user)
{
	/* memory of exactly its length: the sanitizers see a look beyond */
	char error[200] = "", *exact = malloc(len > 0 ? len : 1);
	int failed;

	memcpy(exact, json, len);
	channel_set_init(set);
	failed = session_grant_parse(
	    exact, len, "sse:", set, user, error, sizeof(error));
	free(exact);
	assert_true(failed == 0 || error[0] != '\0');
	return failed;
}

/* What is whole gives its channels; what is doubtful is refused, and said. */
static void
grant_is_read_whole_or_not(void **state)
{
	struct channel_set set;
	char *user, names[64];
	size_t i, c;
	int failed;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		failed = parse(rows[i].json, strlen(rows[i].json), &set, &user);
		if ((failed != 0) != (rows[i].channels == NULL))
			fail_msg("%s: %d", rows[i].what, failed);
		names[0] = '\0';
		for (c = 0; c < set.n && !failed; c++)
			snprintf(names + strlen(names),
			    sizeof(names) - strlen(names), "%s ",
			    set.items[c].name);
		if (rows[i].channels != NULL &&
		    strcmp(names, rows[i].channels) != 0)
			fail_msg("%s: %s", rows[i].what, names);
		if (rows[i].user != NULL)
			assert_string_equal(user, rows[i].user);
		free(user);
		channel_set_free(&set);
	}
}

/* More than 64 KiB is no grant. */
static void
large_grant_is_refused(void **state)
{
	char *json = malloc(SESSION_GRANT_LEN_MAX + 1), *user;
	struct channel_set set;

	(void)state;
	memset(json, ' ', SESSION_GRANT_LEN_MAX + 1);
	memcpy(json, "{\"channels\":[\"a\"]}", 18);
	assert_int_equal(parse(json, SESSION_GRANT_LEN_MAX, &set, &user), 0);
	free(user);
	channel_set_free(&set);
	assert_int_equal(
	    parse(json, SESSION_GRANT_LEN_MAX + 1, &set, &user), -1);
	channel_set_free(&set);
	free(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grant_is_read_whole_or_not),
		cmocka_unit_test(large_grant_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
