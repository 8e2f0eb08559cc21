/* SPDX-License-Identifier: ISC */
/*
 * Reading a request, in the order of its questions: what did the web server
 * say, which method, which channels, from where on.  All bytes here are a
 * stranger's, except SSE_* and REMOTE_USER.
 */
#include "request.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/parse.h"
#include "origin.h"

/* the value of NAME in env, the first if there are several; or NULL */
static const char *
variable(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env != NULL; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

/* Is any SSE_* empty, or there twice? */
static int
check_policy_variables(char *const *env, struct verdict *v)
{
	char *const *other;
	size_t len;

	for (; *env != NULL; env++) {
		if (strncmp(*env, "SSE_", 4) != 0)
			continue;
		len = strcspn(*env, "=") + 1;
		if ((*env)[len - 1] == '\0' || (*env)[len] == '\0')
			return verdict_misconfigured(
			    v, "%.*s is set but empty", (int)len - 1, *env);
		for (other = env + 1; *other != NULL; other++)
			if (strncmp(*other, *env, len) == 0)
				return verdict_misconfigured(
				    v, "%.*s is set twice", (int)len - 1, *env);
	}
	return 0;
}

/*
 * Is it certain who %u is?  nginx' fastcgi_params sends a REMOTE_USER that
 * nobody has checked; one that is set again after the include comes second.
 */
static int
check_user(const struct request *req, struct verdict *v)
{
	static const char name[] = "REMOTE_USER=";
	char *const *env;
	int count = 0;

	if (req->channels == NULL || strstr(req->channels, "%u") == NULL ||
	    req->sse_user != NULL)
		return 0;
	for (env = req->env; *env != NULL; env++)
		count += strncmp(*env, name, sizeof(name) - 1) == 0;
	if (count < 2)
		return 0;
	return verdict_misconfigured(v, "REMOTE_USER is set twice");
}

static enum role
read_role(const char *name)
{
	static const char *const roles[] = { [ROLE_SUBSCRIBE] = "subscribe",
		[ROLE_PUBLISH] = "publish",
		[ROLE_STATUS] = "status" };
	size_t i;

	if (name == NULL)
		return ROLE_SUBSCRIBE;
	for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(name, roles[i]) == 0)
			return (enum role)i;
	return ROLE_UNKNOWN;
}

static void
read_variables(struct request *req, char *const *env)
{
	const char *accept = variable(env, "HTTP_ACCEPT");

	req->accepts_stream =
	    accept != NULL && strcasestr(accept, "text/event-stream") != NULL;
	req->origin = variable(env, "HTTP_ORIGIN");
	req->remote_address = variable(env, "REMOTE_ADDR");
	req->remote_user = variable(env, "REMOTE_USER");
	req->role_name = variable(env, "SSE_ROLE");
	req->role = read_role(req->role_name);
	req->channels = variable(env, "SSE_CHANNELS");
	req->session_cookie = variable(env, "SSE_SESSION_COOKIE");
	req->allow = variable(env, "SSE_ALLOW");
	req->sse_origin = variable(env, "SSE_ORIGIN");
	req->sse_user = variable(env, "SSE_USER");
}

static int
read_method(struct request *req, char *const *env, struct verdict *v)
{
	const char *method = variable(env, "REQUEST_METHOD");

	req->method = METHOD_OTHER;
	if (method == NULL || strcmp(method, "GET") == 0)
		req->method = METHOD_GET;
	else if (strcmp(method, "HEAD") == 0)
		req->method = METHOD_HEAD;
	else if (strcmp(method, "OPTIONS") == 0)
		req->method = METHOD_OPTIONS;
	else
		return verdict_refuse(v, HTTP_METHOD_NOT_ALLOWED,
		    "a stream is read with GET, not with %.20s", method);
	return 0;
}

/* How late it begins: what is no cursor comes before all, then one that we
 * never gave, then the oldest that is kept, then ids. */
static int
kind_order(enum cursor_kind kind)
{
	switch (kind) {
	case CURSOR_NONE:
	case CURSOR_LAST:
	case CURSOR_SINCE:
		break;
	case CURSOR_UNKNOWN:
		return 1;
	case CURSOR_EARLIEST:
		return 2;
	case CURSOR_ID:
		return 3;
	}
	return 0;
}

/*
 * What a client may write in Last-Event-ID or its stand-ins.  The newest valid
 * one counts: a polyfill that comes back adds where it is to the URL, in which
 * the page may have said where it began.
 */
static void
read_cursor(struct request *req, const char *value, size_t len)
{
	struct cursor c = { CURSOR_UNKNOWN, 0 };

	if (len == 8 && memcmp(value, "earliest", 8) == 0)
		c.kind = CURSOR_EARLIEST;
	else if (parse_u64(value, len, UINT64_C(1) << 53, &c.number) == 0)
		c.kind = CURSOR_ID;
	if (kind_order(c.kind) > kind_order(req->cursor.kind) ||
	    (c.kind == CURSOR_ID && req->cursor.kind == CURSOR_ID &&
		c.number > req->cursor.number))
		req->cursor = c;
}

static bool
is_named(const struct buf *name, const char *wanted)
{
	return name->len == strlen(wanted) &&
	       memcmp(name->bytes, wanted, name->len) == 0;
}

/* Does it stand in for the header? */
static bool
names_cursor(const struct buf *name)
{
	return is_named(name, "last_event_id") ||
	       is_named(name, "lastEventId") || is_named(name, "lastEventID") ||
	       is_named(name, "Last-Event-ID");
}

static int
read_start(struct request *req, const struct buf *name, const struct buf *value,
    struct verdict *v)
{
	enum cursor_kind kind =
	    name->bytes[0] == 'l' ? CURSOR_LAST : CURSOR_SINCE;
	uint64_t n;
	uint64_t max = kind == CURSOR_LAST ? LAST_MAX : 1000000000;

	if (value->len == 0 ||
	    parse_u64(value->bytes, value->len, max, &n) == -1)
		return verdict_refuse(v, HTTP_BAD_REQUEST,
		    "%.*s must be a number, at most %llu", (int)name->len,
		    name->bytes, (unsigned long long)max);
	/* a cursor is more exact than a start in the past: a browser that
	 * comes back sends it along with the same query */
	if (req->cursor.kind == CURSOR_NONE)
		req->cursor = (struct cursor){ kind, n };
	return 0;
}

static int
read_channels(struct request *req, const struct buf *value, struct verdict *v)
{
	char error[200];

	if (value->len > 0 &&
	    channel_set_add_list(&req->asked, value->bytes, value->len,
		req->limits->prefix, error, sizeof(error)) == -1)
		return verdict_refuse(v, HTTP_BAD_REQUEST, "%s", error);
	if (req->asked.n > req->limits->max_channels)
		return verdict_refuse(v, HTTP_CONTENT_TOO_LARGE,
		    "more than %zu channels in one stream",
		    req->limits->max_channels);
	return 0;
}

static int
read_parameter(struct request *req, const struct buf *name,
    const struct buf *value, struct verdict *v)
{
	if (name->len == 0)
		return 0;
	if (is_named(name, "channels"))
		return read_channels(req, value, v);
	if (is_named(name, "last") || is_named(name, "since"))
		return read_start(req, name, value, v);
	if (value->len > 0 && names_cursor(name) && !req->has_header_cursor)
		read_cursor(req, value->bytes, value->len);
	if (is_named(name, "heartbeat") && value->len > 0) {
		if (!is_named(value, "event"))
			return verdict_refuse(v, HTTP_BAD_REQUEST,
			    "heartbeat may be 'event' or be left out");
		req->wants_heartbeat_event = true;
	}
	return 0;
}

static int
read_query(struct request *req, const char *query, struct verdict *v)
{
	struct buf name, value;
	size_t len, name_len;
	int failed = 0;

	if (strlen(query) > QUERY_LEN_MAX)
		return verdict_refuse(v, HTTP_URI_TOO_LONG,
		    "the query is longer than %d bytes", QUERY_LEN_MAX);
	buf_init(&name, QUERY_LEN_MAX);
	buf_init(&value, QUERY_LEN_MAX);
	for (; failed == 0 && *query != '\0'; query += len) {
		query += *query == '&';
		len = strcspn(query, "&");
		name_len = strcspn(query, "=&");
		buf_reset(&name);
		buf_reset(&value);
		if (parse_percent(query, name_len, 1, &name) == -1 ||
		    (name_len < len &&
			parse_percent(query + name_len + 1, len - name_len - 1,
			    1, &value) == -1))
			failed = verdict_refuse(v, HTTP_BAD_REQUEST,
			    "the query holds a broken percent escape");
		else
			failed = read_parameter(req, &name, &value, v);
	}
	buf_free(&name);
	buf_free(&value);
	return failed;
}

int
request_parse(struct request *req, char *const *env,
    const struct request_limits *limits, struct verdict *v)
{
	const char *value;

	memset(req, 0, sizeof(*req));
	channel_set_init(&req->asked);
	req->env = env;
	req->limits = limits;
	read_variables(req, env);
	if (check_policy_variables(env, v) == -1 || check_user(req, v) == -1)
		return -1;
	if (req->sse_origin != NULL &&
	    origin_check_list(req->sse_origin, v) == -1)
		return -1;
	if (read_method(req, env, v) == -1)
		return -1;
	value = variable(env, "HTTP_LAST_EVENT_ID");
	if (value != NULL && value[0] != '\0') {
		req->has_header_cursor = true;
		read_cursor(req, value, strlen(value));
	}
	value = variable(env, "QUERY_STRING");
	return value != NULL ? read_query(req, value, v) : 0;
}

void
request_free(struct request *req)
{
	channel_set_free(&req->asked);
}
