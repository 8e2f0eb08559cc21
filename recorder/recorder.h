/* SPDX-License-Identifier: ISC */
/*
 * The recorder: makes plain PUBLISH replayable.  One child of the parent; of
 * all recorders on a Redis one is active.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "base/config.h"

/*
 * Run until SIGTERM.  ready_fd is closed once the subscription stands and it is
 * known who is active; or -1.  Returns the exit code.
 */
int recorder_run(const struct config *cfg, int ready_fd);

#endif
