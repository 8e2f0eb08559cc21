/* SPDX-License-Identifier: ISC */
/*
 * The parent's state as lines "NAME VALUE" in a memory file.  Text, because
 * the image that reads it may be a newer version: it skips what it does not
 * know.
 */
#include "handover.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VARIABLE "FCGI_SSE_HANDOVER" /* "PID FD" */

int
state_add_child(struct parent_state *st, pid_t pid, enum child_kind kind)
{
	if (st->nchildren == st->size) {
		size_t size = st->size ? 2 * st->size : 64;
		struct child *bigger =
		    reallocarray(st->children, size, sizeof(*bigger));

		if (bigger == NULL)
			return -1;
		st->children = bigger;
		st->size = size;
	}
	st->children[st->nchildren++] = (struct child){ pid, kind };
	return 0;
}

int
state_remove_child(struct parent_state *st, pid_t pid, enum child_kind *kind)
{
	size_t i;

	for (i = 0; i < st->nchildren; i++)
		if (st->children[i].pid == pid) {
			*kind = st->children[i].kind;
			st->children[i] = st->children[--st->nchildren];
			return 0;
		}
	return -1;
}

int
handover_write(const struct parent_state *st)
{
	char value[32];
	int fd = memfd_create("fcgi-sse", 0);
	FILE *f;
	size_t i;

	if (fd == -1)
		return -1;
	if ((f = fdopen(dup(fd), "w")) == NULL)
		goto fail;
	fprintf(f, "listen %d\ntoken %s\n", st->listen_fd, st->token);
	for (i = 0; i < st->nchildren; i++)
		fprintf(f, "child %d %d\n", (int)st->children[i].kind,
		    (int)st->children[i].pid);
	if (fclose(f) == EOF || lseek(fd, 0, SEEK_SET) == -1)
		goto fail;
	snprintf(value, sizeof(value), "%d %d", (int)getpid(), fd);
	if (setenv(VARIABLE, value, 1) == -1 ||
	    fcntl(st->listen_fd, F_SETFD, 0) == -1)
		goto fail;
	return fd;
fail:
	handover_undo(st, fd);
	return -1;
}

void
handover_undo(const struct parent_state *st, int fd)
{
	if (fd != -1)
		close(fd);
	unsetenv(VARIABLE);
	fcntl(st->listen_fd, F_SETFD, FD_CLOEXEC);
}

static void
read_line(struct parent_state *st, const char *line)
{
	int kind, pid;

	if (sscanf(line, "listen %d", &st->listen_fd) == 1 ||
	    sscanf(line, "token %32s", st->token) == 1)
		return;
	if (sscanf(line, "child %d %d", &kind, &pid) == 2 && kind >= 0 &&
	    kind <= CHILD_RECORDER)
		state_add_child(st, pid, (enum child_kind)kind);
}

int
handover_read(struct parent_state *st)
{
	const char *value = getenv(VARIABLE);
	char line[128];
	int pid, fd;
	FILE *f;

	memset(st, 0, sizeof(*st));
	st->listen_fd = -1;
	if (value == NULL)
		return -1;
	/* the pid: a variable that leaked into another process means nothing */
	if (sscanf(value, "%d %d", &pid, &fd) != 2 || pid != (int)getpid() ||
	    (f = fdopen(fd, "r")) == NULL) {
		unsetenv(VARIABLE);
		return -1;
	}
	unsetenv(VARIABLE);
	while (fgets(line, sizeof(line), f) != NULL)
		read_line(st, line);
	fclose(f);
	if (st->listen_fd != -1)
		fcntl(st->listen_fd, F_SETFD, FD_CLOEXEC);
	return st->listen_fd == -1 ? -1 : 0;
}
