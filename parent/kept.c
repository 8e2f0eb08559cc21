/* SPDX-License-Identifier: ISC */
/*
 * A child that is kept.  It says that it is ready by closing its end of a
 * pipe, which a child that dies does, too: nobody waits for the dead.
 */
#include "parent/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define READY_MS 2000	   /* it is awaited for so long */
#define QUICK_MS 200	   /* after one that did not live longer ... */
#define BACKOFF_MIN_MS 100 /* ... the next one waits */
#define BACKOFF_MAX_MS 2000

void
kept_init(struct kept *k, enum child_kind kind, const char *name)
{
	*k = (struct kept){ .kind = kind,
		.name = name,
		.ready_fd = -1,
		.backoff = {
		    .min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS } };
}

bool
kept_is_due(const struct kept *k, const struct children *ch, int64_t now_ms)
{
	return ch->count[k->kind] == 0 && now_ms >= k->due_ms;
}

static void
become_kept(const struct kept *k, pid_t parent_pid)
{
	/* it must not outlive a parent that was killed */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NAME, k->name);
	if (getppid() != parent_pid)
		_exit(EX_OK);
}

pid_t
kept_fork(struct kept *k, struct children *ch, int *ready_fd, int64_t now_ms)
{
	pid_t parent_pid = getpid(), pid;
	int ready[2];

	if (pipe2(ready, O_CLOEXEC) == -1)
		ready[0] = ready[1] = -1; /* then it is not awaited */
	*ready_fd = ready[1];
	k->started_ms = now_ms;
	k->ready_fd = ready[0];
	pid = children_fork(ch, k->kind);
	if (pid == 0) {
		kept_close_ready(k);
		become_kept(k, parent_pid);
		return 0;
	}
	if (pid == -1) {
		trouble_tell(&k->forking, "cannot start %s: %s; still trying",
		    k->name, strerror(errno));
		kept_close_ready(k);
		k->due_ms = now_ms + backoff_next(&k->backoff);
	} else {
		trouble_over(&k->forking, "%s is started again", k->name);
	}
	if (ready[1] != -1)
		close(ready[1]);
	return pid;
}

void
kept_ended(struct kept *k, int64_t now_ms)
{
	kept_close_ready(k);
	k->due_ms = now_ms;
	if (now_ms - k->started_ms > QUICK_MS)
		backoff_reset(&k->backoff);
	else
		k->due_ms += backoff_next(&k->backoff);
}

int64_t
kept_ready_due_ms(const struct kept *k)
{
	return k->ready_fd == -1 ? INT64_MIN : k->started_ms + READY_MS;
}

void
kept_close_ready(struct kept *k)
{
	if (k->ready_fd != -1)
		close(k->ready_fd);
	k->ready_fd = -1;
}
