/* SPDX-License-Identifier: ISC */
/*
 * The parent's child processes.  A child that is not in the list could be
 * neither limited nor drained: so its place is made before it is forked.
 */
#include "parent/children.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static int
reserve(struct children *ch)
{
	size_t size = ch->size ? 2 * ch->size : 64;
	struct child *bigger;

	if (ch->n < ch->size)
		return 0;
	bigger = reallocarray(ch->list, size, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	ch->list = bigger;
	ch->size = size;
	return 0;
}

int
children_add(struct children *ch, pid_t pid, enum child_kind kind)
{
	if (reserve(ch) == -1)
		return -1;
	ch->list[ch->n++] = (struct child){ pid, kind };
	ch->count[kind]++;
	return 0;
}

/* Forget a child.  Returns 0, or -1 if it is unknown. */
static int
forget(struct children *ch, pid_t pid, struct child *ended)
{
	size_t i;

	for (i = 0; i < ch->n; i++)
		if (ch->list[i].pid == pid) {
			*ended = ch->list[i];
			ch->count[ended->kind]--;
			ch->list[i] = ch->list[--ch->n];
			return 0;
		}
	return -1;
}

void
children_free(struct children *ch)
{
	free(ch->list);
	memset(ch, 0, sizeof(*ch));
}

static void
become_child(void)
{
	sigset_t others;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&others);
	sigaddset(&others, SIGCHLD);
	sigaddset(&others, SIGINT);
	sigaddset(&others, SIGHUP);
	sigprocmask(SIG_UNBLOCK, &others, NULL);
}

pid_t
children_fork(struct children *ch, enum child_kind kind)
{
	pid_t pid;

	if (reserve(ch) == -1 || (pid = fork()) == -1)
		return -1;
	if (pid == 0)
		become_child();
	else
		children_add(ch, pid, kind);
	return pid;
}

bool
children_reap(struct children *ch, struct child *ended)
{
	static const char *const names[] = { [CHILD_STREAM] = "responder",
		[CHILD_REFUSAL] = "responder",
		[CHILD_POOLED] = "responder",
		[CHILD_CARRIER] = "carrier",
		[CHILD_RECORDER] = "recorder" };
	int status;
	pid_t pid;

	do {
		if ((pid = waitpid(-1, &status, WNOHANG)) <= 0)
			return false;
	} while (forget(ch, pid, ended) == -1);
	if (WIFSIGNALED(status))
		log_error("%s %d was ended by signal %d (%s)",
		    names[ended->kind], (int)pid, WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	return true;
}

void
children_signal(const struct children *ch, enum child_kind kind, int sig)
{
	size_t i;

	for (i = 0; i < ch->n; i++)
		if (ch->list[i].kind == kind)
			kill(ch->list[i].pid, sig);
}
