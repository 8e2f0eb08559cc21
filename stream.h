/* SPDX-License-Identifier: ISC */
/*
 * The life of one stream: its start, replay, live events, heartbeats, checks,
 * and its end.  Runs in the responder.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>

#include "base/config.h"
#include "client.h"
#include "request.h"
#include "session.h"

struct respond_links;

/*
 * Answer req with a stream of the session's channels, or with what there is to
 * say if Redis is away or the session is over.  s follows the session's grant
 * as it changes; it is read by the first take.  links->sub is used, and another
 * may stand there afterwards.  Returns CLIENT_OK if the answer
 * is to be ended properly, CLIENT_GONE if nobody reads it any more,
 * CLIENT_MOVED if a carrier goes on with it.
 */
enum client_result stream_run(struct client *cl, const struct config *cfg,
    const struct request *req, struct session *s, struct respond_links *links);

#endif
