/* SPDX-License-Identifier: ISC */
/*
 * A carrier: a process that holds many live streams, each of which a responder
 * has begun and moved here.  It follows the channels of all on one Redis
 * connection, and writes each record to those who want it.  Whatever is not
 * that goes back: the stream ends, its client comes back to a responder, and
 * that resumes exactly.
 */
#ifndef CARRIER_H
#define CARRIER_H

#include "base/config.h"
#include "parent/carriers.h"

/* Run until there has been no stream for a minute, or after SIGTERM (which is
 * blocked, and remembered by stream.h) until the last one has ended.  Returns
 * the exit code. */
int carrier_run(const struct config *cfg, const struct carrier_link *link);

#endif
