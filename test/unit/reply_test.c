/* SPDX-License-Identifier: ISC */
/*
 * reply.h: the header of each answer, byte for byte where a client or server
 * depends on it, and who may read across origins.
 */
#include "reply.h"
#include "test/unit/unit.h"

#define ROOMY 4096 /* bytes, for a buffer that is not to be full */

#define CORS_ALL "Access-Control-Allow-Origin: *\r\n"
#define CORS_NAMED(origin)                                                     \
	"Vary: Origin\r\n"                                                     \
	"Access-Control-Allow-Origin: " origin "\r\n"                          \
	"Access-Control-Allow-Credentials: true\r\n"
#define CORS_NOBODY "Vary: Origin\r\n"
#define STREAM_HEADER                                                          \
	"Status: 200 OK\r\n"                                                   \
	"Content-Type: text/event-stream; charset=utf-8\r\n"                   \
	"Cache-Control: no-cache, no-transform\r\n"                            \
	"X-Accel-Buffering: no\r\n"
#define TEXT_HEADER                                                            \
	"Content-Type: text/plain; charset=utf-8\r\n"                          \
	"X-Content-Type-Options: nosniff\r\n"                                  \
	"Cache-Control: no-store\r\n"

static const struct session open_session = { .is_open = true };
static const struct session guarded_session = { .is_open = false };

static void
check_bytes(const char *what, struct buf *b, const char *want)
{
	if (b->len != strlen(want) || memcmp(b->bytes, want, b->len) != 0)
		fail_msg("%s: got\n%.*s\nwant\n%s", what, (int)b->len, b->bytes,
		    want);
	buf_free(b);
}

static void
cors_lets_listed_origins_read(void **state)
{
	/* an open location is everybody's, without cookies; one with a session
	 * nobody's; an origin of SSE_ORIGIN may with cookies; none is echoed
	 * that is not listed */
	static const struct {
		const char *what;
		const struct session *s;
		const char *list, *origin, *want;
	} table[] = {
		{ "open", &open_session, NULL, NULL, CORS_ALL },
		{ "open, an origin", &open_session, NULL, "https://a",
		    CORS_ALL },
		{ "a session", &guarded_session, NULL, "https://a", "" },
		{ "not known", NULL, NULL, "https://a", "" },
		{ "listed", &open_session, "https://a", "https://a",
		    CORS_NAMED("https://a") },
		{ "listed, a session", &guarded_session, "https://a",
		    "https://a", CORS_NAMED("https://a") },
		{ "listed, not known", NULL, "https://a", "https://a",
		    CORS_NAMED("https://a") },
		{ "no Origin", &open_session, "https://a", NULL, CORS_NOBODY },
		{ "empty Origin", &open_session, "https://a", "", CORS_NOBODY },
		{ "not listed", &open_session, "https://a", "https://b",
		    CORS_NOBODY },
		{ "the second", &open_session, "https://a https://b",
		    "https://b", CORS_NAMED("https://b") },
		{ "after a comma", &open_session, "https://a,https://b",
		    "https://b", CORS_NAMED("https://b") },
		{ "after both", &open_session, " https://a,\t https://b ,",
		    "https://b", CORS_NAMED("https://b") },
		{ "in capitals", &open_session, "HTTPS://A", "https://a",
		    CORS_NAMED("https://a") },
		{ "a part", &open_session, "https://ab", "https://a",
		    CORS_NOBODY },
		{ "more", &open_session, "https://a", "https://a.evil",
		    CORS_NOBODY },
		{ "another port", &open_session, "https://a", "https://a:8443",
		    CORS_NOBODY },
		{ "another scheme", &open_session, "https://a", "http://a",
		    CORS_NOBODY },
		{ "two at once", &open_session, "https://a https://b",
		    "https://a https://b", CORS_NOBODY },
		{ "null", &open_session, "https://a", "null", CORS_NOBODY },
		{ "null listed", &open_session, "null", "null",
		    CORS_NAMED("null") },
		{ "the star", &open_session, "*", "https://a", CORS_ALL },
		{ "the star, a session", &guarded_session, "*", "https://a",
		    CORS_ALL },
		{ "a star among others", &open_session, "https://a, *",
		    "https://a", CORS_ALL },
		{ "a star is no pattern", &open_session, "https://*.a",
		    "https://b.a", CORS_NOBODY },
		{ "Origin: *", &open_session, "https://a", "*", CORS_NOBODY },
		{ "an empty list", &open_session, ",", "https://a",
		    CORS_NOBODY },
		{ "an injection", &open_session, "https://a",
		    "https://a\r\nSet-Cookie: x", CORS_NOBODY },
	};
	const struct verdict no = { HTTP_FORBIDDEN, false, "no" };
	struct request req = { .method = METHOD_GET };
	char want[500];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		req.sse_origin = table[i].list;
		req.origin = table[i].origin;
		buf_init(&b, ROOMY);
		assert_int_equal(
		    reply_put_stream_header(&b, &req, table[i].s), 0);
		snprintf(
		    want, sizeof(want), STREAM_HEADER "%s\r\n", table[i].want);
		check_bytes(table[i].what, &b, want);

		/* a refusal is read like a stream, or not at all */
		buf_init(&b, ROOMY);
		assert_int_equal(
		    reply_put_refusal(&b, &req, table[i].s, &no), 0);
		snprintf(want, sizeof(want),
		    "Status: 403 Forbidden\r\n%s" TEXT_HEADER "\r\nno\n",
		    table[i].want);
		check_bytes(table[i].what, &b, want);
	}
}

static void
refusal_says_why(void **state)
{
	/* a refusal is its status and a sentence of plain text that nobody
	 * keeps or sniffs; 405 says what is allowed; HEAD has no body; what
	 * the administrator did wrong is not a stranger's to read */
	static const struct {
		enum http_method method;
		struct verdict v;
		const char *want;
	} table[] = {
		{ METHOD_GET, { HTTP_BAD_REQUEST, false, "why" },
		    "Status: 400 Bad Request\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ METHOD_GET, { HTTP_FORBIDDEN, false, "why" },
		    "Status: 403 Forbidden\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ METHOD_HEAD, { HTTP_FORBIDDEN, false, "why" },
		    "Status: 403 Forbidden\r\n" TEXT_HEADER "\r\n" },
		{ METHOD_OPTIONS, { HTTP_FORBIDDEN, false, "why" },
		    "Status: 403 Forbidden\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ METHOD_GET, { HTTP_FORBIDDEN, true, "why" },
		    "Status: 403 Forbidden\r\n" TEXT_HEADER
		    "\r\nthis location is not set up right; the server's log "
		    "says why\n" },
		{ METHOD_OTHER, { HTTP_METHOD_NOT_ALLOWED, false, "why" },
		    "Status: 405 Method Not Allowed\r\n"
		    "Allow: GET, HEAD, OPTIONS\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ METHOD_GET, { HTTP_CONTENT_TOO_LARGE, false, "why" },
		    "Status: 413 Content Too Large\r\n" TEXT_HEADER
		    "\r\nwhy\n" },
		{ METHOD_GET, { HTTP_URI_TOO_LONG, false, "why" },
		    "Status: 414 URI Too Long\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ METHOD_GET, { HTTP_UNAVAILABLE, false, "why" },
		    "Status: 503 Service Unavailable\r\n" TEXT_HEADER
		    "\r\nwhy\n" },
	};
	struct request req = { .method = METHOD_GET };
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		req.method = table[i].method;
		buf_init(&b, ROOMY);
		assert_int_equal(
		    reply_put_refusal(&b, &req, NULL, &table[i].v), 0);
		check_bytes("refusal", &b, table[i].want);
	}
}

static void
come_back_says_when(void **state)
{
	/* an EventSource gets 200, a comment, and when to come back as an event
	 * with valid JSON, as it would give up at any other status; others 503 with whole seconds,
	 * never fewer; HEAD gets no body and no stream */
	static const struct {
		bool accepts_stream;
		enum http_method method;
		int64_t retry_ms;
		const char *want;
	} table[] = {
		{ true, METHOD_GET, 5001,
		    STREAM_HEADER CORS_ALL
		    "\r\n: why\nretry: 5001\n"
		    "event: stream-retry\ndata: 5001\n\n" },
		{ false, METHOD_GET, 5001,
		    "Status: 503 Service Unavailable\r\n" CORS_ALL
		    "Retry-After: 6\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ false, METHOD_GET, 5000,
		    "Status: 503 Service Unavailable\r\n" CORS_ALL
		    "Retry-After: 5\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ false, METHOD_GET, 1,
		    "Status: 503 Service Unavailable\r\n" CORS_ALL
		    "Retry-After: 1\r\n" TEXT_HEADER "\r\nwhy\n" },
		{ false, METHOD_HEAD, 5000,
		    "Status: 503 Service Unavailable\r\n" CORS_ALL
		    "Retry-After: 5\r\n" TEXT_HEADER "\r\n" },
		{ true, METHOD_HEAD, 5000,
		    "Status: 503 Service Unavailable\r\n" CORS_ALL
		    "Retry-After: 5\r\n" TEXT_HEADER "\r\n" },
	};
	struct request req = { .method = METHOD_GET };
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		req.accepts_stream = table[i].accepts_stream;
		req.method = table[i].method;
		buf_init(&b, ROOMY);
		assert_int_equal(reply_put_come_back(&b, &req, &open_session,
				     table[i].retry_ms, "why"),
		    0);
		check_bytes("come back", &b, table[i].want);
	}
}

static void
preflight_says_what_is_allowed(void **state)
{
	/* a preflight learns which methods and headers a page may use, and, by
	 * the same rules as a stream, whether at all */
	static const char rest[] =
	    "Allow: GET, HEAD, OPTIONS\r\n"
	    "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
	    "Access-Control-Allow-Headers: Last-Event-ID, Cache-Control\r\n"
	    "Access-Control-Max-Age: 86400\r\n\r\n";
	static const struct {
		const char *list, *origin, *cors;
	} table[] = {
		{ NULL, "https://a", CORS_ALL },
		{ "https://a", "https://a", CORS_NAMED("https://a") },
		{ "https://a", "https://b", CORS_NOBODY },
	};
	struct request req = { .method = METHOD_OPTIONS };
	char want[500];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		req.sse_origin = table[i].list;
		req.origin = table[i].origin;
		buf_init(&b, ROOMY);
		assert_int_equal(reply_put_options(&b, &req, &open_session), 0);
		snprintf(want, sizeof(want), "Status: 204 No Content\r\n%s%s",
		    table[i].cors, rest);
		check_bytes("options", &b, want);
	}
}

static int
put_refusal(struct buf *b, const struct request *req, const struct session *s)
{
	const struct verdict no = { HTTP_METHOD_NOT_ALLOWED, false, "why" };

	return reply_put_refusal(b, req, s, &no);
}

static int
put_come_back(struct buf *b, const struct request *req, const struct session *s)
{
	return reply_put_come_back(b, req, s, 5000, "why");
}

static void
full_buffer_is_told(void **state)
{
	/* an answer that does not fit is said to be none, wherever it ends */
	static int (*const put[])(struct buf * b, const struct request *req,
	    const struct session *s) = { reply_put_stream_header,
		reply_put_options, put_refusal, put_come_back };
	struct request req = { .method = METHOD_GET,
		.sse_origin = "https://a",
		.origin = "https://a" };
	size_t i, k, limit, len;
	struct buf b;

	(void)state;
	for (i = 0; i < 2 * ROWS(put); i++) {
		req.accepts_stream = i % 2 == 0;
		k = i / 2;
		buf_init(&b, ROOMY);
		assert_int_equal(put[k](&b, &req, &open_session), 0);
		len = b.len;
		buf_free(&b);
		for (limit = 0; limit < len; limit++) {
			buf_init(&b, limit);
			if (put[k](&b, &req, &open_session) != -1)
				fail_msg("answer %zu in %zu bytes", k, limit);
			buf_free(&b);
		}
		buf_init(&b, len);
		assert_int_equal(put[k](&b, &req, &open_session), 0);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cors_lets_listed_origins_read),
		cmocka_unit_test(refusal_says_why),
		cmocka_unit_test(come_back_says_when),
		cmocka_unit_test(preflight_says_what_is_allowed),
		cmocka_unit_test(full_buffer_is_told),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
