/* SPDX-License-Identifier: ISC */
/*
 * The bytes in front of a stream.  The sentences come from us, but may repeat
 * what a client wrote: they go out as text/plain, never sniffed.
 */
#include "reply.h"

#include "origin.h"

#define METHODS "GET, HEAD, OPTIONS"

static const char *
reason_phrase(enum http_status status)
{
	switch (status) {
	case HTTP_OK:
		return "OK";
	case HTTP_NO_CONTENT:
		return "No Content";
	case HTTP_BAD_REQUEST:
		return "Bad Request";
	case HTTP_FORBIDDEN:
		return "Forbidden";
	case HTTP_METHOD_NOT_ALLOWED:
		return "Method Not Allowed";
	case HTTP_CONTENT_TOO_LARGE:
		return "Content Too Large";
	case HTTP_URI_TOO_LONG:
		return "URI Too Long";
	case HTTP_UNAVAILABLE:
		return "Service Unavailable";
	}
	return "Error";
}

/*
 * Who may read this across origins?  A listed origin may with cookies; "*"
 * is for everybody and therefore without (Fetch 3.2.5).  Origin is never
 * echoed unless it is listed.
 */
static int
put_cors(struct buf *b, const struct request *req, const struct session *s)
{
	const char *list = req->sse_origin;

	if (list == NULL)
		return s != NULL && s->is_open
			   ? buf_puts(b, "Access-Control-Allow-Origin: *\r\n")
			   : 0;
	if (origin_is_listed(list, "*"))
		return buf_puts(b, "Access-Control-Allow-Origin: *\r\n");
	if (buf_puts(b, "Vary: Origin\r\n") == -1)
		return -1;
	if (req->origin == NULL || !origin_is_listed(list, req->origin))
		return 0;
	return buf_printf(b,
	    "Access-Control-Allow-Origin: %s\r\n"
	    "Access-Control-Allow-Credentials: true\r\n",
	    req->origin);
}

static int
put_status(struct buf *b, enum http_status status)
{
	return buf_printf(
	    b, "Status: %d %s\r\n", (int)status, reason_phrase(status));
}

int
reply_put_stream_header(
    struct buf *b, const struct request *req, const struct session *s)
{
	/* X-Accel-Buffering: nginx; no-transform: proxies that compress */
	return put_status(b, HTTP_OK) ||
		       buf_puts(b,
			   "Content-Type: text/event-stream; charset=utf-8\r\n"
			   "Cache-Control: no-cache, no-transform\r\n"
			   "X-Accel-Buffering: no\r\n") ||
		       put_cors(b, req, s) || buf_puts(b, "\r\n")
		   ? -1
		   : 0;
}

/* Body lines in front of which the header ends; HEAD gets no body. */
static int
put_text(struct buf *b, const struct request *req, const char *sentence)
{
	if (buf_puts(b, "Content-Type: text/plain; charset=utf-8\r\n"
			"X-Content-Type-Options: nosniff\r\n"
			"Cache-Control: no-store\r\n\r\n") == -1)
		return -1;
	return req->method == METHOD_HEAD ? 0 : buf_printf(b, "%s\n", sentence);
}

int
reply_put_refusal(struct buf *b, const struct request *req,
    const struct session *s, const struct verdict *v)
{
	if (put_status(b, v->status) == -1 || put_cors(b, req, s) == -1)
		return -1;
	if (v->status == HTTP_METHOD_NOT_ALLOWED &&
	    buf_puts(b, "Allow: " METHODS "\r\n") == -1)
		return -1;
	return put_text(b, req,
	    v->is_misconfigured ? "this location is not set up right; the "
				  "server's log says why"
				: v->sentence);
}

int
reply_put_retry(struct buf *b, int64_t retry_ms)
{
	return buf_printf(b, "retry: %lld\nevent: stream-retry\ndata: %lld\n\n",
	    (long long)retry_ms, (long long)retry_ms);
}

int
reply_put_come_back(struct buf *b, const struct request *req,
    const struct session *s, int64_t retry_ms, const char *sentence)
{
	if (req->accepts_stream && req->method != METHOD_HEAD) {
		if (reply_put_stream_header(b, req, s) == -1 ||
		    buf_printf(b, ": %s\n", sentence) == -1)
			return -1;
		return reply_put_retry(b, retry_ms);
	}
	if (put_status(b, HTTP_UNAVAILABLE) == -1 ||
	    put_cors(b, req, s) == -1 ||
	    buf_printf(b, "Retry-After: %lld\r\n",
		(long long)(retry_ms + 999) / 1000) == -1)
		return -1;
	return put_text(b, req, sentence);
}

int
reply_put_options(
    struct buf *b, const struct request *req, const struct session *s)
{
	if (put_status(b, HTTP_NO_CONTENT) == -1 || put_cors(b, req, s) == -1)
		return -1;
	return buf_puts(b,
	    "Allow: " METHODS "\r\n"
	    "Access-Control-Allow-Methods: " METHODS "\r\n"
	    "Access-Control-Allow-Headers: Last-Event-ID, Cache-Control\r\n"
	    "Access-Control-Max-Age: 86400\r\n\r\n");
}
