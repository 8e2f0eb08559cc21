/* SPDX-License-Identifier: ISC */
/*
 * What signals asked of the parent.  They arrive only in a ppoll() with the
 * mask that signals_catch gives, so that none is lost between a look and a
 * wait.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Block and catch SIGCHLD, SIGHUP, SIGTERM and SIGINT; ignore SIGPIPE.  In
 * *unblocked is the mask to wait with. */
void signals_catch(sigset_t *unblocked);

/* Has a child ended since the last call?  Yes at the first one: it may have been
 * before the signal was caught. */
bool signals_take_child(void);

/* Is the program to be executed anew?  Likewise. */
bool signals_take_hangup(void);

/* Is it to end?  From then on true. */
bool signals_say_stop(void);

#endif
