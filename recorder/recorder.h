/* SPDX-License-Identifier: ISC */
/*
 * The recorder: makes plain PUBLISH replayable.  One child of the parent; of
 * all recorders on a Redis one is active.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "base/config.h"

/*
 * Run until SIGTERM, or until the subscription is lost (the parent then starts
 * another).  token is the name of this recorder's lease, dead_token that of
 * its dead predecessor, to be released, or "".  ready_fd is closed once the
 * subscription stands and it is known who is active; or -1.
 * Returns the exit code.
 */
int recorder_run(const struct config *cfg, const char *token,
    const char *dead_token, int ready_fd);

#endif
