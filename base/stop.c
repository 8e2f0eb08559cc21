/* SPDX-License-Identifier: ISC */
/* SIGTERM is blocked but in ppoll(), so that none is lost between a look at the
 * flag and the wait. */
#include "base/stop.h"

static volatile sig_atomic_t stop_requested;
static sigset_t while_waiting; /* SIGTERM may arrive */

static void
on_stop(int sig)
{
	(void)sig;
	stop_requested = 1;
}

void
stop_catch(void)
{
	struct sigaction sa = { .sa_handler = on_stop };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, NULL, &while_waiting);
	sigdelset(&while_waiting, SIGTERM);
}

bool
stop_is_asked(void)
{
	sigset_t pending;

	return stop_requested != 0 || (sigpending(&pending) == 0 &&
					  sigismember(&pending, SIGTERM) == 1);
}

bool
stop_has_arrived(void)
{
	return stop_requested != 0;
}

const sigset_t *
stop_wait_mask(void)
{
	return &while_waiting;
}
