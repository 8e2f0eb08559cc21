/* SPDX-License-Identifier: ISC */
/* Handlers set a flag and nothing else. */
#include "parent/signals.h"

#include <stddef.h>

static volatile sig_atomic_t got_child = 1, got_hangup, got_stop;

static void
on_signal(int sig)
{
	if (sig == SIGCHLD)
		got_child = 1;
	else if (sig == SIGHUP)
		got_hangup = 1;
	else
		got_stop = 1;
}

void
signals_catch(sigset_t *unblocked)
{
	static const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t blocked;
	size_t i;

	sigemptyset(&sa.sa_mask);
	sigemptyset(&blocked);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&blocked, signals[i]);
	/* before there are handlers: a signal that sets a flag between the look
	 * at it and ppoll() would wait for the next one */
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigprocmask(SIG_BLOCK, NULL, unblocked);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &sa, NULL);
		sigdelset(unblocked, signals[i]);
	}
	signal(SIGPIPE, SIG_IGN);
}

static bool
take(volatile sig_atomic_t *flag)
{
	bool is_set = *flag != 0;

	*flag = 0;
	return is_set;
}

bool
signals_take_child(void)
{
	return take(&got_child);
}

bool
signals_take_hangup(void)
{
	return take(&got_hangup);
}

bool
signals_say_stop(void)
{
	return got_stop != 0;
}
