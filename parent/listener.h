/* SPDX-License-Identifier: ISC */
/*
 * The parent: accepts, forks, reaps, limits, shuts down.  It never reads a
 * byte of a request and knows neither Redis nor JSON, so that no peer can hold
 * up or crash more than the child it got.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include "base/config.h"
#include "parent/start.h"

/*
 * Run the parent until SIGTERM or SIGINT, on the listening socket fd.  SIGHUP
 * executes the program file anew with argv; streams and recorder live on, and
 * the new image finds them through listener_inherit.  with_recorder: keep one
 * recorder child.  Returns the exit code.  Children are forked with SIGTERM
 * blocked and with SIGINT, SIGHUP and SIGPIPE ignored.
 */
int listener_run(const struct config *cfg, int fd, char *const argv[],
    bool with_recorder, const struct listener_children *children);

/*
 * After a SIGHUP: the listening socket of the image before, or -1 if there was
 * none.  Call first of all: it takes the state out of the environment.
 */
int listener_inherit(void);

#endif
