/* SPDX-License-Identifier: ISC */
/* One request, from its variables to the end of its answer. */
#ifndef RESPOND_H
#define RESPOND_H

#include "base/config.h"
#include "client.h"
#include "parent/listener.h"

struct respond_links;

/* Answer the client's request: with a stream, or why there is none.  Returns
 * CLIENT_OK if the answer is to be ended properly, CLIENT_GONE if nobody reads
 * it any more, CLIENT_MOVED if another process goes on with it. */
enum client_result respond(struct client *cl, const struct config *cfg,
    enum admission admission, struct respond_links *links);

#endif
