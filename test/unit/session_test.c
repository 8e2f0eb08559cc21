/* SPDX-License-Identifier: ISC */
/*
 * session.h: which channels a request may read.  What is not said or cannot
 * be understood is 403.
 */
#include "session.h"
#include "test/unit/unit.h"

static const struct request_limits limits = { "sse:", 3 };

#define X40 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X127 X40 X40 X40 "xxxxxxx"
#define X128 X127 "x"

struct row {
	const char *what;
	/* the location */
	const char *channels, *allow, *cookie;
	/* the client */
	const char *user, *sse_user, *asked;
	/* what comes of it: the channels, comma-separated; or NULL: 403, and
	 * a part of the sentence */
	const char *want, *error;
	bool is_misconfigured;
};

static void
describe(struct request *req, const struct row *row)
{
	char error[200];

	memset(req, 0, sizeof(*req));
	req->limits = &limits;
	channel_set_init(&req->asked);
	req->channels = row->channels;
	req->allow = row->allow;
	req->session_cookie = row->cookie;
	req->remote_user = row->user;
	req->sse_user = row->sse_user;
	if (row->asked != NULL &&
	    channel_set_add_list(&req->asked, row->asked, strlen(row->asked),
		limits.prefix, error, sizeof(error)) != 0)
		fail_msg("%s: %s", row->what, error);
}

static void
join(const struct channel_set *set, char *out, size_t size)
{
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < set->n; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s",
		    i > 0 ? "," : "", set->items[i].name);
	assert_true(at < size);
}

static void
check(const struct row *rows, size_t n)
{
	struct request req;
	struct session s;
	struct verdict v;
	char got[600];
	size_t i;

	for (i = 0; i < n; i++) {
		describe(&req, &rows[i]);
		v = (struct verdict){ .status = HTTP_OK };
		if (session_open(&s, &req, &v) !=
		    (rows[i].want != NULL ? 0 : -1))
			fail_msg("%s: %s", rows[i].what, v.sentence);
		if (rows[i].want != NULL) {
			join(&s.channels, got, sizeof(got));
			if (strcmp(got, rows[i].want) != 0 || !s.is_open)
				fail_msg("%s: <%s>", rows[i].what, got);
		} else if (v.status != HTTP_FORBIDDEN ||
			   strstr(v.sentence, rows[i].error) == NULL ||
			   v.is_misconfigured != rows[i].is_misconfigured) {
			fail_msg("%s: %d %s", rows[i].what, (int)v.status,
			    v.sentence);
		}
		session_close(&s);
		channel_set_free(&req.asked);
	}
}

static void
location_names_its_channels(void **state)
{
	/* SSE_CHANNELS decides; the client may narrow it, never widen */
	static const struct row table[] = {
		{ "all of them", .channels = "a,b", .want = "a,b" },
		{ "blanks round them", .channels = " a , b ", .want = "a,b" },
		{ "each once", .channels = "a,b,a", .want = "a,b" },
		{ "as many as can be", .channels = "a,b,c", .want = "a,b,c" },
		{ "one of them", .channels = "a,b", .asked = "b", .want = "b" },
		{ "all, in the client's order", .channels = "a,b",
		    .asked = "b,a", .want = "b,a" },
		{ "a client that asks for nothing", .channels = "a,b",
		    .asked = "", .want = "a,b" },
		{ "another one", .channels = "a,b", .asked = "c",
		    .error = "'c' may not be read here" },
		{ "one of them and another", .channels = "a,b", .asked = "a,c",
		    .error = "'c' may not be read here" },
		{ "a part of a name", .channels = "abc", .asked = "ab",
		    .error = "'ab' may not be read here" },
		{ "more than a name", .channels = "ab", .asked = "abc",
		    .error = "'abc' may not be read here" },
		{ "other letters", .channels = "a", .asked = "A",
		    .error = "'A' may not be read here" },
		{ "tornado-sse's default is not added", .channels = "a",
		    .asked = "sse", .error = "'sse' may not be read here" },
		/* no patterns here, and SSE_ALLOW opens nothing more */
		{ "SSE_ALLOW beside it", .channels = "a", .allow = "*",
		    .asked = "b", .error = "'b' may not be read here" },
		{ "SSE_ALLOW beside it closes nothing", .channels = "a",
		    .allow = "b", .want = "a" },
		{ "a long name", .channels = X128, .want = X128 },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
bad_sse_channels_open_nothing(void **state)
{
	/* a SSE_CHANNELS that cannot be meant so is 403, the administrator's
	 * mistake, also if the client asks for a good part of it */
	static const struct row table[] = {
		{ "a pattern", .channels = "a,b*", .error = "'b*' holds one of",
		    .is_misconfigured = true },
		{ "a good one asked", .channels = "a,b*", .asked = "a",
		    .error = "'b*' holds one of", .is_misconfigured = true },
		{ "Caddy's placeholder", .channels = "{http.auth.user.id}",
		    .error = "holds one of", .is_misconfigured = true },
		{ "blank for comma", .channels = "a b",
		    .error = "holds white space", .is_misconfigured = true },
		{ "reserved", .channels = "__keyspace@0__:a", .error = "\"__\"",
		    .is_misconfigured = true },
		{ "the prefix", .channels = "sse:event:a",
		    .error = "server's own prefix", .is_misconfigured = true },
		{ "too long", .channels = X128 "x",
		    .error = "is longer than 128 bytes",
		    .is_misconfigured = true },
		{ "none", .channels = ",", .error = "names 0 channels",
		    .is_misconfigured = true },
		{ "a blank", .channels = " ", .error = "names 0 channels",
		    .is_misconfigured = true },
		{ "too many", .channels = "a,b,c,d",
		    .error = "names 4 channels; 1 to 3 are possible "
			     "(--max-channels)",
		    .is_misconfigured = true },
		{ "too many, few asked", .channels = "a,b,c,d", .asked = "a",
		    .error = "names 4 channels", .is_misconfigured = true },
		{ "not UTF-8", .channels = "a\xff", .error = "is not UTF-8",
		    .is_misconfigured = true },
		{ "another mark", .channels = "user-%U", .want = "user-%U" },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
mark_stands_for_the_user(void **state)
{
	/* %u is SSE_USER, which only the web server can set, else REMOTE_USER */
	static const struct row table[] = {
		{ "REMOTE_USER", .channels = "%u", .user = "ann",
		    .want = "ann" },
		{ "SSE_USER", .channels = "%u", .sse_user = "bob",
		    .want = "bob" },
		{ "both", .channels = "%u", .user = "ann", .sse_user = "bob",
		    .want = "bob" },
		{ "an empty REMOTE_USER", .channels = "%u", .user = "",
		    .sse_user = "bob", .want = "bob" },
		{ "a bad REMOTE_USER that nobody asks", .channels = "%u",
		    .user = "a,b", .sse_user = "bob", .want = "bob" },
		{ "a piece of a name", .channels = "all,user-%u,%u.news",
		    .user = "ann", .want = "all,user-ann,ann.news" },
		{ "twice in a name", .channels = "%u%u", .user = "ann",
		    .want = "annann" },
		{ "what a user is called is not expanded", .channels = "a-%u",
		    .user = "%u", .want = "a-%u" },
		{ "narrowed", .channels = "all,user-%u", .user = "ann",
		    .asked = "user-ann", .want = "user-ann" },
		{ "another's", .channels = "all,user-%u", .user = "ann",
		    .asked = "user-bob", .error = "'user-bob' may not" },
		{ "the mark itself", .channels = "all,user-%u", .user = "ann",
		    .asked = "user-%u", .error = "'user-%u' may not" },
		{ "an address", .channels = "user-%u", .user = "ann@x.org",
		    .want = "user-ann@x.org" },
		{ "UTF-8", .channels = "user-%u", .user = "\xc3\xa9va",
		    .want = "user-\xc3\xa9va" },
		{ "as long as can be", .channels = "%u", .user = X128,
		    .want = X128 },
		{ "nobody asks who it is", .channels = "a", .user = "x,y",
		    .want = "a" },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
bad_user_opens_nothing(void **state)
{
	/* a %u without a user, or of one who is no valid piece of a name, is
	 * 403, also for the channels without %u */
	static const struct row table[] = {
		{ "nobody", .channels = "%u", .error = "nobody is logged in" },
		{ "nobody, and an open channel asked", .channels = "all,%u",
		    .asked = "all", .error = "nobody is logged in" },
		{ "an empty one", .channels = "%u", .user = "",
		    .error = "nobody is logged in" },
		{ "a comma", .channels = "user-%u", .user = "ann,admin",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "a comma, and its part asked", .channels = "user-%u",
		    .user = "ann,admin", .asked = "admin",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "only a comma", .channels = "user-%u,x", .user = ",",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "a blank", .channels = "user-%u", .user = "ann admin",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "a blank round it", .channels = "%u", .user = " ann",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "a pattern", .channels = "user-%u", .user = "*",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "a placeholder", .channels = "user-%u",
		    .user = "{http.auth.user.id}", .error = "cannot be part",
		    .is_misconfigured = true },
		{ "a line's end", .channels = "user-%u", .user = "ann\n",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "not UTF-8", .channels = "user-%u", .user = "\xe9va",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "reserved", .channels = "%u", .user = "__keyspace@0__:x",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "the prefix", .channels = "%u", .user = "sse:event:a",
		    .error = "cannot be part", .is_misconfigured = true },
		{ "too long", .channels = "%u", .user = X128 "x",
		    .error = "cannot be part", .is_misconfigured = true },
		/* the pieces are good, the whole is not */
		{ "reserved together", .channels = "_%u", .user = "_a",
		    .error = "\"__\"", .is_misconfigured = true },
		{ "the prefix together", .channels = "ss%u", .user = "e:a",
		    .error = "prefix", .is_misconfigured = true },
		{ "too long together", .channels = "a%u", .user = X128,
		    .error = "longer", .is_misconfigured = true },
		{ "a good REMOTE_USER after a bad SSE_USER", .channels = "%u",
		    .user = "bob", .sse_user = "a,b", .error = "cannot be part",
		    .is_misconfigured = true },
	};

	(void)state;
	check(table, ROWS(table));
}

static void
sse_allow_lets_pass(void **state)
{
	/* without SSE_CHANNELS a client asks for what SSE_ALLOW's patterns
	 * match, each channel of it; for "sse" if it asks for nothing */
	static const struct row table[] = {
		{ "no policy: all", .asked = "a,b", .want = "a,b" },
		{ "no policy: the default", .want = "sse" },
		{ "all", .allow = "*", .asked = "a,b", .want = "a,b" },
		{ "the default allowed", .allow = "s?e", .want = "sse" },
		{ "the default not allowed", .allow = "a",
		    .error = "'sse' may not be read here" },
		{ "names", .allow = "a,b", .asked = "b", .want = "b" },
		{ "patterns", .allow = "news-*, chat-[0-9]",
		    .asked = "chat-7,news-", .want = "chat-7,news-" },
		{ "a user is no mark here", .allow = "%u", .user = "ann",
		    .asked = "ann", .error = "'ann' may not be read here" },
		{ "one not allowed", .allow = "news-*", .asked = "news-1,a",
		    .error = "'a' may not be read here" },
		{ "the first not allowed", .allow = "news-*",
		    .asked = "a,news-1", .error = "'a' may not be read here" },
		{ "the whole name", .allow = "new", .asked = "news",
		    .error = "'news' may not be read here" },
		{ "not a part", .allow = "ews", .asked = "news",
		    .error = "'news' may not be read here" },
		{ "nothing: a comma", .allow = ",", .asked = "a",
		    .error = "'a' may not be read here" },
		{ "nothing: a blank", .allow = " ", .asked = "a",
		    .error = "'a' may not be read here" },
		{ "nothing: empty", .allow = "", .asked = "a",
		    .error = "'a' may not be read here" },
		{ "empty ones between", .allow = ",,a,,", .asked = "a",
		    .want = "a" },
		{ "the last one", .allow = "x,y,a", .asked = "a", .want = "a" },
		{ "no pattern over a comma", .allow = "a,b", .asked = "ab",
		    .error = "'ab' may not be read here" },
		{ "as many as asked", .allow = "*", .asked = "a,b,c",
		    .want = "a,b,c" },
	};

	(void)state;
	check(table, ROWS(table));
}

/* --- a location that a session guards ----------------------------------- */

struct grant_row {
	const char *what, *grant; /* NULL: there is none */
	const char *channels, *user, *asked;
	const char *want, *error; /* as in struct row */
	bool is_misconfigured;
};

static void
guarded_location_needs_a_grant(void **state)
{
	/* where a session guards, nothing is open, and nothing may be read
	 * before its grant is there, whatever SSE_ALLOW says */
	static const struct row table[] = {
		{ "alone", .cookie = "sid", .asked = "a" },
		{ "with channels", .cookie = "sid", .channels = "a" },
		{ "with bad channels", .cookie = "sid", .channels = "a*" },
		{ "with patterns", .cookie = "sid", .allow = "*",
		    .asked = "a" },
		{ "nothing asked", .cookie = "sid" },
	};
	struct request req;
	struct session s;
	struct verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		describe(&req, &table[i]);
		assert_int_equal(session_open(&s, &req, &v), 0);
		assert_true(s.needs_grant);
		assert_false(s.is_open);
		assert_int_equal(s.channels.n, 0);
		assert_false(session_is_current(&s, "", 0));
		assert_int_equal(session_apply(&s, &req, NULL, 0, &v), -1);
		assert_int_equal(v.status, HTTP_FORBIDDEN);
		assert_false(s.is_open);
		assert_int_equal(s.channels.n, 0);
		session_close(&s);
		channel_set_free(&req.asked);
	}
}

static void
describe_guarded(struct request *req, const struct grant_row *row)
{
	const struct row location = { row->what, .cookie = "sid",
		.channels = row->channels, .user = row->user,
		.asked = row->asked, .allow = "x" }; /* has no say here */

	describe(req, &location);
}

static void
grant_names_the_channels(void **state)
{
	/* a session may read what its grant names, SSE_CHANNELS names too,
	 * and the client asks; a grant that is doubtful opens nothing */
	static const struct grant_row table[] = {
		{ "all of it", "{\"user\":\"ann\",\"channels\":[\"a\",\"b\"]}",
		    .want = "a,b" },
		{ "no user", "{\"channels\":[\"a\"]}", .want = "a" },
		{ "each once", "{\"channels\":[\"a\",\"b\",\"a\"]}",
		    .want = "a,b" },
		{ "one asked", "{\"channels\":[\"a\",\"b\"]}", .asked = "b",
		    .want = "b" },
		{ "another asked", "{\"channels\":[\"a\",\"b\"]}",
		    .asked = "a,c", .error = "'c' may not be read here" },
		{ "the intersection", "{\"channels\":[\"a\",\"b\",\"c\"]}",
		    .channels = "d,c,b", .want = "b,c" },
		{ "asked of the intersection", "{\"channels\":[\"a\",\"b\"]}",
		    .channels = "b,c", .asked = "b", .want = "b" },
		{ "asked of the grant alone", "{\"channels\":[\"a\",\"b\"]}",
		    .channels = "b,c", .asked = "a",
		    .error = "'a' may not be read here" },
		{ "asked of the location alone", "{\"channels\":[\"a\",\"b\"]}",
		    .channels = "b,c", .asked = "c",
		    .error = "'c' may not be read here" },
		{ "no intersection", "{\"channels\":[\"a\"]}", .channels = "b",
		    .error = "may read no channel here" },
		{ "a user's", "{\"channels\":[\"user-ann\",\"user-bob\"]}",
		    .channels = "user-%u", .user = "ann", .want = "user-ann" },
		{ "nobody's", "{\"channels\":[\"user-ann\"]}",
		    .channels = "user-%u", .error = "nobody is logged in" },
		{ "a bad SSE_CHANNELS", "{\"channels\":[\"a\"]}",
		    .channels = "a,*",
		    .error = "SSE_CHANNELS: ", .is_misconfigured = true },
		{ "as many as can be", "{\"channels\":[\"a\",\"b\",\"c\"]}",
		    .want = "a,b,c" },
		{ "too many", "{\"channels\":[\"a\",\"b\",\"c\",\"d\"]}",
		    .error = "names 4 channels; 3 are possible",
		    .is_misconfigured = true },
		{ "no grant", NULL, .error = "unknown, or it is over" },
		{ "empty", "", .error = "cannot be used",
		    .is_misconfigured = true },
		{ "no JSON", "a,b", .error = "cannot be used: it is not a JSON",
		    .is_misconfigured = true },
		{ "a list", "[\"a\"]", .error = "it is not a JSON object",
		    .is_misconfigured = true },
		{ "no channels", "{\"user\":\"ann\"}",
		    .error = "it names no channels", .is_misconfigured = true },
		{ "empty channels", "{\"channels\":[]}",
		    .error = "it names no channels", .is_misconfigured = true },
		{ "one that is none", "{\"channels\":[\"a\",\"b*\"]}",
		    .asked = "a", .error = "its channel 'b*' holds",
		    .is_misconfigured = true },
		{ "one of the prefix", "{\"channels\":[\"sse:event:a\"]}",
		    .error = "prefix", .is_misconfigured = true },
		{ "no string", "{\"channels\":[\"a\",7]}",
		    .error = "is not a string", .is_misconfigured = true },
	};
	struct request req;
	struct session s;
	struct verdict v;
	char got[100];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		describe_guarded(&req, &table[i]);
		assert_int_equal(session_open(&s, &req, &v), 0);
		v = (struct verdict){ .status = HTTP_OK };
		if (session_apply(&s, &req, table[i].grant,
			table[i].grant != NULL ? strlen(table[i].grant) : 0,
			&v) != (table[i].want != NULL ? 0 : -1))
			fail_msg("%s: %s", table[i].what, v.sentence);
		join(&s.channels, got, sizeof(got));
		if (table[i].want != NULL
			? strcmp(got, table[i].want) != 0
			: v.status != HTTP_FORBIDDEN ||
			      strstr(v.sentence, table[i].error) == NULL ||
			      v.is_misconfigured != table[i].is_misconfigured)
			fail_msg("%s: %d <%s> %s", table[i].what, (int)v.status,
			    got, v.sentence);
		assert_false(s.is_open);
		session_close(&s);
		channel_set_free(&req.asked);
	}
}

static void
changed_grant_replaces_all(void **state)
{
	/* a grant is the same only byte for byte; another one replaces all
	 * that the first gave, and none leaves nothing */
	static const char first[] =
	    "{\"user\":\"ann\",\"channels\":[\"a\",\"b\"]}";
	static const char second[] = "{\"channels\":[\"c\"]}";
	static const struct grant_row row = { .what = "a session" };
	struct request req;
	struct session s;
	struct verdict v;
	char copy[sizeof(first)];

	(void)state;
	describe_guarded(&req, &row);
	assert_int_equal(session_open(&s, &req, &v), 0);
	memcpy(copy, first, sizeof(first));
	assert_int_equal(
	    session_apply(&s, &req, copy, sizeof(copy) - 1, &v), 0);
	memset(copy, 'x', sizeof(copy)); /* the session has its own */
	assert_string_equal(s.user, "ann");
	assert_int_equal(s.channels.n, 2);
	assert_true(session_is_current(&s, first, sizeof(first) - 1));
	assert_false(session_is_current(&s, first, sizeof(first) - 2));
	assert_false(session_is_current(&s, first, sizeof(first)));
	assert_false(session_is_current(&s, copy, sizeof(copy) - 1));
	assert_false(session_is_current(&s, second, sizeof(second) - 1));
	assert_false(session_is_current(&s, NULL, 0));

	assert_int_equal(
	    session_apply(&s, &req, second, sizeof(second) - 1, &v), 0);
	assert_null(s.user);
	assert_int_equal(s.channels.n, 1);
	assert_string_equal(s.channels.items[0].name, "c");
	assert_true(session_is_current(&s, second, sizeof(second) - 1));
	assert_false(session_is_current(&s, first, sizeof(first) - 1));

	assert_int_equal(session_apply(&s, &req, NULL, 0, &v), -1);
	assert_int_equal(v.status, HTTP_FORBIDDEN);
	assert_int_equal(s.channels.n, 0);
	assert_false(session_is_current(&s, second, sizeof(second) - 1));
	session_close(&s);
	session_close(&s);
}

static void
endless_list_is_refused(void **state)
{
	/* a SSE_CHANNELS past what is read is refused, never cut, wherever its
	 * %u stands */
	static const size_t len = (1 << 20) + 100;
	static const size_t marks[] = { 0, 1, (1 << 20) - 1, (1 << 20) + 98 };
	struct row row = { "endless", .user = "ann" };
	char *channels = malloc(len + 1);
	struct request req;
	struct session s;
	struct verdict v;
	size_t i;

	(void)state;
	assert_non_null(channels);
	row.channels = channels;
	for (i = 0; i < ROWS(marks); i++) {
		memset(channels, ',', len);
		memcpy(channels + marks[i], "%u", 2);
		channels[len] = '\0';
		describe(&req, &row);
		assert_int_equal(session_open(&s, &req, &v), -1);
		assert_true(v.is_misconfigured);
		assert_string_equal(
		    v.sentence, "SSE_CHANNELS: the list is too long");
		session_close(&s);
	}
	free(channels);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(location_names_its_channels),
		cmocka_unit_test(bad_sse_channels_open_nothing),
		cmocka_unit_test(mark_stands_for_the_user),
		cmocka_unit_test(bad_user_opens_nothing),
		cmocka_unit_test(sse_allow_lets_pass),
		cmocka_unit_test(guarded_location_needs_a_grant),
		cmocka_unit_test(grant_names_the_channels),
		cmocka_unit_test(changed_grant_replaces_all),
		cmocka_unit_test(endless_list_is_refused),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
