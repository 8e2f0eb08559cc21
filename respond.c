/* SPDX-License-Identifier: ISC */
/* The steps of one request.  Runs in the responder. */
#include "respond.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/stop.h"
#include "refusal.h"
#include "reply.h"
#include "request.h"
#include "session.h"
#include "session_key.h"
#include "stream.h"
#include "verdict.h"

#define BODY_LEN_MAX (64 * 1024) /* of a request that needs none */

static enum client_result
send_reply(struct client *cl, struct buf *b)
{
	enum client_result result = client_write(cl, b->bytes, b->len);

	if (result == CLIENT_OK)
		result = client_flush(cl);
	buf_free(b);
	return result;
}

/* It cannot be served: just now (the client is to come back), or at all. */
static enum client_result
refuse(struct client *cl, const struct request *req, const struct session *s,
    const struct verdict *v)
{
	struct buf b;

	refusal_log(req, v);
	buf_init(&b, 4096);
	if (v->status == HTTP_UNAVAILABLE)
		reply_put_come_back(
		    &b, req, s, clock_random(5000, 15000), v->sentence);
	else
		reply_put_refusal(&b, req, s, v);
	return send_reply(cl, &b);
}

/* HEAD runs the whole policy and opens no stream. */
static enum client_result
answer_without_stream(
    struct client *cl, const struct request *req, const struct session *s)
{
	struct buf b;

	buf_init(&b, 4096);
	if (req->method == METHOD_OPTIONS)
		reply_put_options(&b, req, s);
	else
		reply_put_stream_header(&b, req, s);
	return send_reply(cl, &b);
}

/* What is asked for? */
static int
read_request(struct request *req, struct client *cl,
    const struct request_limits *limits, struct verdict *v)
{
	int failed = request_parse(req, client_env(cl), limits, v);
	bool has_large_body = client_skip_body(cl, BODY_LEN_MAX) == -1;

	if (client_env_is_cut(cl))
		return verdict_misconfigured(
		    v, "the list of FastCGI parameters came cut short");
	if (!failed && has_large_body)
		return verdict_refuse(v, HTTP_CONTENT_TOO_LARGE,
		    "a stream is asked for without a body");
	return failed;
}

/* Is there room for it, and time? */
static int
admit(enum admission admission, struct verdict *v)
{
	if (admission == ADMISSION_FULL)
		return verdict_refuse(
		    v, HTTP_UNAVAILABLE, "all streams are taken just now");
	if (admission == ADMISSION_STOPPING || stop_is_asked())
		return verdict_refuse(
		    v, HTTP_UNAVAILABLE, "the server is being restarted");
	return 0;
}

/* Who may read what?  A preflight carries no cookies and gets no events. */
static int
read_session(struct session *s, const struct request *req,
    const struct config *cfg, struct verdict *v)
{
	if (session_open(s, req, v) == -1)
		return -1;
	if (!s->needs_grant || req->method == METHOD_OPTIONS)
		return 0;
	return session_key_find(s, req, cfg, v);
}

static enum client_result
subscribe(struct client *cl, const struct config *cfg,
    const struct request *req, struct respond_links *links, struct verdict *v)
{
	struct session s;
	enum client_result result;

	if (read_session(&s, req, cfg, v) == -1)
		result = refuse(cl, req, &s, v);
	else if (req->method == METHOD_GET ||
		 (req->method == METHOD_HEAD && s.needs_grant))
		result = stream_run(cl, cfg, req, &s, links);
	else
		result = answer_without_stream(cl, req, &s);
	session_close(&s);
	return result;
}

static enum client_result
serve_role(struct client *cl, const struct config *cfg,
    const struct request *req, struct respond_links *links, struct verdict *v)
{
	switch (req->role) {
	case ROLE_SUBSCRIBE:
		return subscribe(cl, cfg, req, links, v);
	case ROLE_PUBLISH: /* to come */
	case ROLE_STATUS:
	case ROLE_UNKNOWN:
		break;
	}
	verdict_misconfigured(v,
	    "SSE_ROLE is '%.40s'; this version knows only 'subscribe'",
	    req->role_name);
	return refuse(cl, req, NULL, v);
}

enum client_result
respond(struct client *cl, const struct config *cfg, enum admission admission,
    struct respond_links *links)
{
	const struct request_limits limits = { cfg->prefix,
		(size_t)cfg->max_channels };
	struct verdict v = { .status = HTTP_OK };
	struct request req;
	enum client_result result;

	if (read_request(&req, cl, &limits, &v) == -1 ||
	    admit(admission, &v) == -1)
		result = refuse(cl, &req, NULL, &v);
	else
		result = serve_role(cl, cfg, &req, links, &v);
	request_free(&req);
	return result;
}
