/* SPDX-License-Identifier: ISC */
/*
 * request.h: what becomes of an environment.  Its strings are copied into
 * memory of exactly their length, so that the sanitizers see a look beyond.
 */
#include "base/cursor.h"
#include "base/parse.h"
#include "request.h"
#include "test/unit/unit.h"

#define ENV_MAX 8 /* variables of one row */
#define ID_MAX (UINT64_C(1) << 53)

static const struct request_limits limits = { "sse:", 4 };

struct parsed {
	struct request req;
	struct verdict v;
	char *env[ENV_MAX + 1];
};

static enum http_status
parse(struct parsed *p, const char *const env[ENV_MAX])
{
	size_t n;
	int result;

	memset(p, 0, sizeof(*p));
	for (n = 0; n < ENV_MAX && env[n] != NULL; n++)
		assert_non_null(p->env[n] = strdup(env[n]));
	p->v.status = HTTP_OK;
	result = request_parse(&p->req, p->env, &limits, &p->v);
	assert_int_equal(result, p->v.status == HTTP_OK ? 0 : -1);
	assert_ptr_equal(p->req.limits, &limits);
	return p->v.status;
}

/* one query, with a header Last-Event-ID unless it is NULL */
static enum http_status
parse_query(struct parsed *p, const char *query, const char *last_event_id)
{
	char *variables[ENV_MAX] = { NULL };
	enum http_status status;

	assert_true(asprintf(&variables[0], "QUERY_STRING=%s", query) > 0);
	if (last_event_id != NULL)
		assert_true(asprintf(&variables[1], "HTTP_LAST_EVENT_ID=%s",
				last_event_id) > 0);
	status = parse(p, (const char *const *)variables);
	free(variables[0]);
	free(variables[1]);
	return status;
}

static void
done(struct parsed *p)
{
	size_t i;

	request_free(&p->req);
	for (i = 0; i < ENV_MAX; i++)
		free(p->env[i]);
}

static void
methods_are_known_by_name(void **state)
{
	/* GET, HEAD and OPTIONS, in capitals; any other is 405; none is GET */
	static const struct {
		const char *env[ENV_MAX];
		enum http_status want;
		enum http_method method;
	} table[] = {
		{ { NULL }, HTTP_OK, METHOD_GET },
		{ { "REQUEST_METHOD=GET" }, HTTP_OK, METHOD_GET },
		{ { "REQUEST_METHOD=HEAD" }, HTTP_OK, METHOD_HEAD },
		{ { "REQUEST_METHOD=OPTIONS" }, HTTP_OK, METHOD_OPTIONS },
		{ { "REQUEST_METHOD=POST" }, HTTP_METHOD_NOT_ALLOWED,
		    METHOD_OTHER },
		{ { "REQUEST_METHOD=get" }, HTTP_METHOD_NOT_ALLOWED,
		    METHOD_OTHER },
		{ { "REQUEST_METHOD=GETS" }, HTTP_METHOD_NOT_ALLOWED,
		    METHOD_OTHER },
		{ { "REQUEST_METHOD=" }, HTTP_METHOD_NOT_ALLOWED,
		    METHOD_OTHER },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		if (parse(&p, table[i].env) != table[i].want ||
		    p.req.method != table[i].method || p.v.is_misconfigured ||
		    (table[i].want == HTTP_OK) != (p.v.sentence[0] == '\0'))
			fail_msg("%s: %s", table[i].env[0], p.v.sentence);
		done(&p);
	}
}

static void
variables_go_by_their_whole_name(void **state)
{
	/* each variable is found by its whole name; one that is not set is
	 * NULL; what a client sends (HTTP_*) is never policy */
	static const char *const all[ENV_MAX] = { "SSE_ROLE=subscribe",
		"SSE_CHANNELS=a,b", "SSE_SESSION_COOKIE=sid", "SSE_ALLOW=x*",
		"SSE_ORIGIN=https://a", "SSE_USER=ann", "REMOTE_USER=bob=c",
		NULL };
	static const char *const client[ENV_MAX] = { "HTTP_ORIGIN=https://o",
		"REMOTE_ADDR=192.0.2.1", "REMOTE_USER=", NULL };
	static const char *const strange[ENV_MAX] = { "HTTP_SSE_ROLE=publish",
		"HTTP_SSE_CHANNELS=", "XSSE_ALLOW=x", "SSE_ALLOWX=x",
		"REMOTE_USERS=x", "REMOTE_USER", "SSE_ROLES=x", NULL };
	struct parsed p;

	(void)state;
	assert_int_equal(parse(&p, all), HTTP_OK);
	assert_string_equal(p.req.role_name, "subscribe");
	assert_string_equal(p.req.channels, "a,b");
	assert_string_equal(p.req.session_cookie, "sid");
	assert_string_equal(p.req.allow, "x*");
	assert_string_equal(p.req.sse_origin, "https://a");
	assert_string_equal(p.req.sse_user, "ann");
	assert_string_equal(p.req.remote_user, "bob=c");
	assert_null(p.req.origin);
	assert_null(p.req.remote_address);
	done(&p);

	assert_int_equal(parse(&p, client), HTTP_OK);
	assert_string_equal(p.req.origin, "https://o");
	assert_string_equal(p.req.remote_address, "192.0.2.1");
	assert_string_equal(p.req.remote_user, "");
	assert_null(p.req.role_name);
	assert_null(p.req.channels);
	assert_null(p.req.session_cookie);
	assert_null(p.req.allow);
	assert_null(p.req.sse_origin);
	assert_null(p.req.sse_user);
	done(&p);

	assert_int_equal(parse(&p, strange), HTTP_OK);
	assert_null(p.req.role_name);
	assert_null(p.req.channels);
	assert_null(p.req.allow);
	assert_null(p.req.remote_user);
	done(&p);
}

static void
roles_are_told_apart(void **state)
{
	/* a role goes by its whole name; none is to subscribe, and one that
	 * is not known is not taken for another */
	static const struct {
		const char *env[ENV_MAX];
		enum role want;
	} table[] = {
		{ { NULL }, ROLE_SUBSCRIBE },
		{ { "SSE_ROLE=subscribe" }, ROLE_SUBSCRIBE },
		{ { "SSE_ROLE=publish" }, ROLE_PUBLISH },
		{ { "SSE_ROLE=status" }, ROLE_STATUS },
		{ { "SSE_ROLE=Subscribe" }, ROLE_UNKNOWN },
		{ { "SSE_ROLE=subscribe " }, ROLE_UNKNOWN },
		{ { "SSE_ROLE=subscriber" }, ROLE_UNKNOWN },
		{ { "SSE_ROLE=sub" }, ROLE_UNKNOWN },
		{ { "SSE_ROLE=nonsense" }, ROLE_UNKNOWN },
		{ { "HTTP_SSE_ROLE=publish" }, ROLE_SUBSCRIBE },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(parse(&p, table[i].env), HTTP_OK);
		if (p.req.role != table[i].want)
			fail_msg("%s: %d", table[i].env[0], (int)p.req.role);
		done(&p);
	}
}

static void
doubtful_policy_is_refused(void **state)
{
	/* a SSE_* that is empty or stands twice, or a doubled REMOTE_USER that
	 * the policy asks for, is 403, and the administrator's mistake; it
	 * comes before the client's own mistakes */
	static const struct {
		const char *env[ENV_MAX];
		const char *error; /* NULL: it is fine */
	} table[] = {
		{ { "SSE_ROLE=" }, "SSE_ROLE is set but empty" },
		{ { "SSE_CHANNELS=" }, "SSE_CHANNELS is set but empty" },
		{ { "SSE_SESSION_COOKIE=" },
		    "SSE_SESSION_COOKIE is set but empty" },
		{ { "SSE_ALLOW=" }, "SSE_ALLOW is set but empty" },
		{ { "SSE_ORIGIN=" }, "SSE_ORIGIN is set but empty" },
		{ { "SSE_USER=" }, "SSE_USER is set but empty" },
		{ { "SSE_FUTURE=" }, "SSE_FUTURE is set but empty" },
		{ { "SSE_ALLOW" }, "SSE_ALLOW is set but empty" },
		{ { "SSE_=" }, "SSE_ is set but empty" },
		{ { "SSE_ALLOW=a", "SSE_ALLOW=b" }, "SSE_ALLOW is set twice" },
		{ { "SSE_ALLOW=a", "SSE_ALLOW=a" }, "SSE_ALLOW is set twice" },
		{ { "SSE_ALLOW=a", "X=", "SSE_ROLE=subscribe", "SSE_ALLOW=b" },
		    "SSE_ALLOW is set twice" },
		{ { "SSE_ALLOW=a", "SSE_ALLOW=" }, "SSE_ALLOW is set twice" },
		{ { "SSE_FUTURE=1", "SSE_FUTURE=1" },
		    "SSE_FUTURE is set twice" },
		{ { "REQUEST_METHOD=PUT", "SSE_ROLE=" },
		    "SSE_ROLE is set but empty" },
		{ { "QUERY_STRING=channels=*", "SSE_ROLE=" },
		    "SSE_ROLE is set but empty" },
		{ { "SSE_ORIGIN=https://a:443", "REQUEST_METHOD=PUT" },
		    "SSE_ORIGIN has 'https://a:443', which no browser sends: "
		    "write https://a" },
		{ { "SSE_CHANNELS=%u", "REMOTE_USER=a", "REMOTE_USER=b" },
		    "REMOTE_USER is set twice" },
		{ { "REMOTE_USER=a", "X=", "REMOTE_USER=", "SSE_CHANNELS=x%u" },
		    "REMOTE_USER is set twice" },
		/* nobody asks who it is, or SSE_USER says it */
		{ { "SSE_CHANNELS=%u", "REMOTE_USER=a", "REMOTE_USER=b",
		      "SSE_USER=c" },
		    NULL },
		{ { "SSE_CHANNELS=a", "REMOTE_USER=a", "REMOTE_USER=b" },
		    NULL },
		{ { "SSE_CHANNELS=%u", "REMOTE_USER=a", "REMOTE_USERS=b" },
		    NULL },
		{ { "SSE_ALLOW=a", "SSE_ALLOWED=a", "SSE_ALL=a" }, NULL },
		{ { "SSE_ALLOW==" }, NULL },
		{ { "HTTP_SSE_ALLOW=", "HTTP_SSE_ALLOW=" }, NULL },
		{ { "SSEX=", "sse_allow=", "SSE=" }, NULL },
	};
	struct parsed p;
	enum http_status want;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		want = table[i].error != NULL ? HTTP_FORBIDDEN : HTTP_OK;
		if (parse(&p, table[i].env) != want ||
		    p.v.is_misconfigured != (want == HTTP_FORBIDDEN))
			fail_msg("row %zu: %s", i, p.v.sentence);
		assert_string_equal(
		    p.v.sentence, table[i].error != NULL ? table[i].error : "");
		done(&p);
	}
}

static void
accept_names_event_stream(void **state)
{
	/* EventSource names text/event-stream; what names it not is no
	 * EventSource */
	static const struct {
		const char *env[ENV_MAX];
		bool want;
	} table[] = {
		{ { NULL }, false },
		{ { "HTTP_ACCEPT=text/event-stream" }, true },
		{ { "HTTP_ACCEPT=Text/Event-Stream" }, true },
		{ { "HTTP_ACCEPT=text/html, text/event-stream;q=0.5" }, true },
		{ { "HTTP_ACCEPT=*/*" }, false },
		{ { "HTTP_ACCEPT=text/*" }, false },
		{ { "HTTP_ACCEPT=" }, false },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(parse(&p, table[i].env), HTTP_OK);
		if (p.req.accepts_stream != table[i].want)
			fail_msg("row %zu", i);
		done(&p);
	}
}

static void
channels_are_joined(void **state)
{
	/* channels= may be repeated and escaped; the names are the union, in
	 * order, each once */
	static const struct {
		const char *query, *want; /* each name followed by '|' */
	} table[] = {
		{ "", "" },
		{ "channels=", "" },
		{ "channels", "" },
		{ "channels=all", "all|" },
		{ "channels=all,foo", "all|foo|" },
		{ "channels=all%2Cfoo", "all|foo|" },
		{ "channels=all&channels=foo", "all|foo|" },
		{ "channels=all&channels=&channels=all,b", "all|b|" },
		{ "channels=+all+,%20foo%09", "all|foo|" },
		{ "channels=,,", "" },
		{ "channels=a%2Bb", "a+b|" },
		{ "channels=a%26b%3Dc", "a&b=c|" },
		{ "channels=a=b", "a=b|" },
		{ "channels=a;b", "a;b|" },
		{ "channels=caf%C3%A9", "caf\xc3\xa9|" },
		{ "channels=caf\xc3\xa9", "caf\xc3\xa9|" },
		{ "ch%61nnels=a", "a|" },
		{ "&&channels=a&&", "a|" },
		{ "&", "" },
		{ "=a", "" },
		{ "Channels=a&channel=b&channelss=c&_=1&x", "" },
		{ "channels=a,b,c,d,a,b", "a|b|c|d|" },
		{ "channels=a,b&channels=c,d", "a|b|c|d|" },
	};
	char got[100];
	struct parsed p;
	size_t i, k, at;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		if (parse_query(&p, table[i].query, NULL) != HTTP_OK)
			fail_msg("<%s>: %s", table[i].query, p.v.sentence);
		at = 0;
		got[0] = '\0';
		for (k = 0; k < p.req.asked.n; k++)
			at += (size_t)snprintf(got + at, sizeof(got) - at,
			    "%s|", p.req.asked.items[k].name);
		assert_string_equal(got, table[i].want);
		assert_int_equal(p.req.cursor.kind, CURSOR_NONE);
		done(&p);
	}
}

static void
bad_query_is_refused(void **state)
{
	/* a query that cannot be read, or asks for too much, is refused with a
	 * sentence; it is the client's mistake, not the administrator's */
	static const struct {
		const char *query;
		enum http_status want;
		const char *error; /* a part of it */
	} table[] = {
		{ "channels=a%20b", HTTP_BAD_REQUEST, "'a b' holds white" },
		{ "channels=a%00b", HTTP_BAD_REQUEST, "holds white" },
		{ "channels=a%0d%0ab", HTTP_BAD_REQUEST, "holds white" },
		{ "channels=ok,a*", HTTP_BAD_REQUEST, "'a*' holds one of" },
		{ "channels=%7Bname%7D", HTTP_BAD_REQUEST, "holds one of" },
		{ "channels=__keyspace@0__:x", HTTP_BAD_REQUEST, "\"__\"" },
		{ "channels=sse:event:a", HTTP_BAD_REQUEST, "prefix" },
		{ "channels=%FF", HTTP_BAD_REQUEST, "is not UTF-8" },
		{ "channels=%C3%28", HTTP_BAD_REQUEST, "is not UTF-8" },
		{ "channels=%", HTTP_BAD_REQUEST, "percent escape" },
		{ "channels=%4", HTTP_BAD_REQUEST, "percent escape" },
		{ "channels=%zz", HTTP_BAD_REQUEST, "percent escape" },
		{ "%zz=1", HTTP_BAD_REQUEST, "percent escape" },
		{ "a=%4&channels=all", HTTP_BAD_REQUEST, "percent escape" },
		/* an escape does not reach over '=' or '&' */
		{ "a%3=D", HTTP_BAD_REQUEST, "percent escape" },
		{ "a=%3&D", HTTP_BAD_REQUEST, "percent escape" },
		{ "channels=a,b,c,d,e", HTTP_CONTENT_TOO_LARGE,
		    "more than 4 channels" },
		{ "channels=a,b,c&channels=d,e", HTTP_CONTENT_TOO_LARGE,
		    "more than 4 channels" },
		{ "last=", HTTP_BAD_REQUEST, "last must be a number" },
		{ "last", HTTP_BAD_REQUEST, "last must be a number" },
		{ "last=x", HTTP_BAD_REQUEST, "last must be a number" },
		{ "last=-1", HTTP_BAD_REQUEST, "last must be a number" },
		{ "last=10001", HTTP_BAD_REQUEST, "last must be a number" },
		{ "since=1h", HTTP_BAD_REQUEST, "since must be a number" },
		{ "since=1.5", HTTP_BAD_REQUEST, "since must be a number" },
		{ "last_event_id=5&last=x", HTTP_BAD_REQUEST, "last must" },
		{ "heartbeat=1", HTTP_BAD_REQUEST, "heartbeat may be" },
		{ "heartbeat=Event", HTTP_BAD_REQUEST, "heartbeat may be" },
		{ "heartbeat=event&heartbeat=x", HTTP_BAD_REQUEST,
		    "heartbeat may be" },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		if (parse_query(&p, table[i].query, NULL) != table[i].want ||
		    strstr(p.v.sentence, table[i].error) == NULL ||
		    p.v.is_misconfigured)
			fail_msg("<%s>: %s", table[i].query, p.v.sentence);
		done(&p);
	}
}

static void
long_query_is_refused(void **state)
{
	/* QUERY_LEN_MAX bytes are read, one more is 414; 64 names of 128 bytes,
	 * all escaped, fit; a name of 129 bytes is 400 */
	static const struct request_limits many = { "sse:", 64 };
	char *env[2] = { malloc(QUERY_LEN_MAX + 100), NULL };
	struct verdict v = { .status = HTTP_OK };
	struct request req;
	char *query, *at;
	int i, k;

	(void)state;
	assert_non_null(env[0]);
	at = query =
	    env[0] + snprintf(env[0], QUERY_LEN_MAX, "QUERY_STRING=channels=");
	memset(at, ',', QUERY_LEN_MAX);
	at[QUERY_LEN_MAX - 9] = '\0';
	assert_int_equal(request_parse(&req, env, &many, &v), 0);
	request_free(&req);
	memcpy(at + QUERY_LEN_MAX - 9, ",", 2);
	assert_int_equal(request_parse(&req, env, &many, &v), -1);
	assert_int_equal(v.status, HTTP_URI_TOO_LONG);
	assert_non_null(strstr(v.sentence, "longer than 32768 bytes"));
	request_free(&req);

	for (i = 0; i < 64; i++) {
		at += snprintf(at, 10, "%%%02X", 'A' + i % 26);
		for (k = 1; k < 128; k++)
			at += snprintf(at, 10, "%%%02X", 'a' + i / 26);
		at += snprintf(at, 10, "%%2C");
	}
	assert_int_equal(request_parse(&req, env, &many, &v), 0);
	assert_int_equal(req.asked.n, 64);
	assert_int_equal(req.asked.items[63].len, 128);
	request_free(&req);

	snprintf(query, 200, "%0129d", 0);
	assert_int_equal(request_parse(&req, env, &many, &v), -1);
	assert_int_equal(v.status, HTTP_BAD_REQUEST);
	assert_non_null(strstr(v.sentence, "is longer than 128 bytes"));
	request_free(&req);
	free(env[0]);
}

static void
newest_cursor_counts(void **state)
{
	/* the header Last-Event-ID; else the newest valid one of its stand-ins
	 * in the query; else where last or since begin */
	static const struct {
		const char *header, *query;
		struct cursor want;
	} table[] = {
		{ NULL, "", { CURSOR_NONE, 0 } },
		{ "", "", { CURSOR_NONE, 0 } },
		{ "1700000000000001", "",
		    { CURSOR_ID, UINT64_C(1700000000000001) } },
		{ "0", "", { CURSOR_ID, 0 } },
		{ "007", "", { CURSOR_ID, 7 } },
		{ "9007199254740992", "", { CURSOR_ID, ID_MAX } },
		{ "9007199254740993", "", { CURSOR_UNKNOWN, 0 } },
		{ "99999999999999999999999", "", { CURSOR_UNKNOWN, 0 } },
		{ "earliest", "", { CURSOR_EARLIEST, 0 } },
		{ "Earliest", "", { CURSOR_UNKNOWN, 0 } },
		{ "earlies", "", { CURSOR_UNKNOWN, 0 } },
		{ "earliest1", "", { CURSOR_UNKNOWN, 0 } },
		{ "x", "", { CURSOR_UNKNOWN, 0 } },
		{ "-1", "", { CURSOR_UNKNOWN, 0 } },
		{ "+1", "", { CURSOR_UNKNOWN, 0 } },
		{ " 1", "", { CURSOR_UNKNOWN, 0 } },
		{ "1 ", "", { CURSOR_UNKNOWN, 0 } },
		{ " ", "", { CURSOR_UNKNOWN, 0 } },
		{ "1,2", "", { CURSOR_UNKNOWN, 0 } },
		{ "0x10", "", { CURSOR_UNKNOWN, 0 } },

		{ NULL, "last_event_id=5", { CURSOR_ID, 5 } },
		{ NULL, "lastEventId=5", { CURSOR_ID, 5 } },
		{ NULL, "lastEventID=5", { CURSOR_ID, 5 } },
		{ NULL, "Last-Event-ID=5", { CURSOR_ID, 5 } },
		{ NULL, "lasteventid=5&last-event-id=5&LastEventId=5",
		    { CURSOR_NONE, 0 } },
		{ NULL, "last_event_id=earliest", { CURSOR_EARLIEST, 0 } },
		{ NULL, "last_event_id=x", { CURSOR_UNKNOWN, 0 } },
		{ NULL, "last_event_id=%31%32", { CURSOR_ID, 12 } },
		{ NULL, "last_event_id=1%00", { CURSOR_UNKNOWN, 0 } },
		{ NULL, "last_event_id=+1", { CURSOR_UNKNOWN, 0 } },
		{ NULL, "last_event_id=", { CURSOR_NONE, 0 } },
		{ NULL, "last_event_id", { CURSOR_NONE, 0 } },

		/* of several the newest, whatever its name and place */
		{ NULL, "last_event_id=&lastEventId=6", { CURSOR_ID, 6 } },
		{ NULL, "last_event_id=5&lastEventId=6", { CURSOR_ID, 6 } },
		{ NULL, "lastEventId=6&last_event_id=5", { CURSOR_ID, 6 } },
		{ NULL, "last_event_id=6&lastEventId=5", { CURSOR_ID, 6 } },
		{ NULL, "lastEventId=10&lastEventId=9", { CURSOR_ID, 10 } },
		{ NULL, "Last-Event-ID=1&last_event_id=7&lastEventID=3",
		    { CURSOR_ID, 7 } },
		{ NULL, "last_event_id=0&lastEventId=6", { CURSOR_ID, 6 } },
		/* any id is newer than the oldest that is kept; 0 is one: who
		 * began with earliest in an empty store comes back so */
		{ NULL, "last_event_id=earliest&lastEventId=6",
		    { CURSOR_ID, 6 } },
		{ NULL, "lastEventId=6&last_event_id=earliest",
		    { CURSOR_ID, 6 } },
		{ NULL, "last_event_id=earliest&lastEventId=0",
		    { CURSOR_ID, 0 } },
		/* one that we never gave counts only where no other is */
		{ NULL, "last_event_id=x&lastEventId=6", { CURSOR_ID, 6 } },
		{ NULL, "lastEventId=6&last_event_id=x", { CURSOR_ID, 6 } },
		{ NULL, "last_event_id=x&lastEventId=0", { CURSOR_ID, 0 } },
		{ NULL, "last_event_id=9007199254740993&lastEventId=6",
		    { CURSOR_ID, 6 } },
		{ NULL, "last_event_id=x&lastEventId=earliest",
		    { CURSOR_EARLIEST, 0 } },
		{ NULL, "last_event_id=x&lastEventId=y",
		    { CURSOR_UNKNOWN, 0 } },

		/* the header before the query */
		{ "4", "last_event_id=5", { CURSOR_ID, 4 } },
		{ "4", "last_event_id=5&lastEventId=6", { CURSOR_ID, 4 } },
		{ "0", "last_event_id=5", { CURSOR_ID, 0 } },
		{ "x", "last_event_id=5", { CURSOR_UNKNOWN, 0 } },
		{ "earliest", "last_event_id=5", { CURSOR_EARLIEST, 0 } },
		{ "", "last_event_id=5", { CURSOR_ID, 5 } },

		/* a start in the past, of those who have no cursor */
		{ NULL, "last=10", { CURSOR_LAST, 10 } },
		{ NULL, "last=0", { CURSOR_LAST, 0 } },
		{ NULL, "last=10000", { CURSOR_LAST, 10000 } },
		{ NULL, "since=60", { CURSOR_SINCE, 60 } },
		{ NULL, "since=60&last=10", { CURSOR_SINCE, 60 } },
		{ NULL, "last=10&last=20", { CURSOR_LAST, 10 } },
		{ "4", "last=10", { CURSOR_ID, 4 } },
		{ "x", "since=60", { CURSOR_UNKNOWN, 0 } },
		{ "", "since=60", { CURSOR_SINCE, 60 } },
		{ NULL, "last=10&last_event_id=5", { CURSOR_ID, 5 } },
		{ NULL, "last_event_id=5&since=60", { CURSOR_ID, 5 } },
		{ NULL, "last_event_id=&since=60", { CURSOR_SINCE, 60 } },
		{ NULL, "last=10&last_event_id=x", { CURSOR_UNKNOWN, 0 } },
		{ NULL, "last=10&last_event_id=0", { CURSOR_ID, 0 } },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		if (parse_query(&p, table[i].query, table[i].header) !=
			HTTP_OK ||
		    p.req.cursor.kind != table[i].want.kind ||
		    p.req.cursor.number != table[i].want.number)
			fail_msg("<%s> <%s>: %d, %ju", table[i].header,
			    table[i].query, (int)p.req.cursor.kind,
			    (uintmax_t)p.req.cursor.number);
		done(&p);
	}
}

static void
heartbeat_event_is_asked_for(void **state)
{
	/* heartbeat=event asks for heartbeats that page code can hear */
	static const struct {
		const char *query;
		bool want;
	} table[] = {
		{ "", false },
		{ "heartbeat=", false },
		{ "heartbeat", false },
		{ "heartbeat=event", true },
		{ "channels=a&heartbeat=%65vent", true },
		{ "Heartbeat=event", false },
	};
	struct parsed p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		assert_int_equal(
		    parse_query(&p, table[i].query, NULL), HTTP_OK);
		if (p.req.wants_heartbeat_event != table[i].want)
			fail_msg("<%s>", table[i].query);
		done(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods_are_known_by_name),
		cmocka_unit_test(variables_go_by_their_whole_name),
		cmocka_unit_test(roles_are_told_apart),
		cmocka_unit_test(doubtful_policy_is_refused),
		cmocka_unit_test(accept_names_event_stream),
		cmocka_unit_test(channels_are_joined),
		cmocka_unit_test(bad_query_is_refused),
		cmocka_unit_test(long_query_is_refused),
		cmocka_unit_test(newest_cursor_counts),
		cmocka_unit_test(heartbeat_event_is_asked_for),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
