/* SPDX-License-Identifier: ISC */
/*
 * The header of an answer, in the form of CGI (RFC 3875 6.3: "Status:" and
 * header lines), and the whole answer where there is no stream.  Pure.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdint.h>

#include "base/buf.h"
#include "request.h"
#include "session.h"
#include "verdict.h"

/*
 * Append the header of a stream, blank line included.  s may be NULL if the
 * session is not known.  Returns 0, or -1 if b is full.
 */
int reply_put_stream_header(
    struct buf *b, const struct request *req, const struct session *s);

/*
 * Append a whole answer without a stream: the status, and for all but HEAD a
 * sentence as its body; the administrator's mistakes are not spelt out there.
 */
int reply_put_refusal(struct buf *b, const struct request *req,
    const struct session *s, const struct verdict *v);

/*
 * Append the last block of a stream: when to come back.  It is an event,
 * "stream-retry" with the milliseconds as its data, since some clients hand any
 * block to their one handler, and its JSON.parse throws at no data; so can page
 * code that reopens by itself.
 */
int reply_put_retry(struct buf *b, int64_t retry_ms);

/*
 * Append a whole answer for what will pass (Redis is away, no free slot):
 * who accepts text/event-stream gets 200, a comment and reply_put_retry's block,
 * since a browser's EventSource gives up for good on any other status; others
 * get 503 with Retry-After.
 */
int reply_put_come_back(struct buf *b, const struct request *req,
    const struct session *s, int64_t retry_ms, const char *sentence);

/* Append the answer to OPTIONS (a CORS preflight). */
int reply_put_options(
    struct buf *b, const struct request *req, const struct session *s);

#endif
