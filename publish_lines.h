/* SPDX-License-Identifier: ISC */
/* sse-publish --lines: an event of each line of standard input. */
#ifndef PUBLISH_LINES_H
#define PUBLISH_LINES_H

#include "base/config.h"
#include "redis/channel.h"

/*
 * Publish the lines as they come, each once and in their order, and print
 * their ids.  A lost connection is made again; while Redis is away, for as long
 * as cfg->wait_s says, little more than a mebibyte is read.
 * Returns what to exit with; anything but 0 is said on standard error.
 */
int publish_lines(const struct config *cfg, const struct channel_set *channels);

#endif
