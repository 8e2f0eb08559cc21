/* SPDX-License-Identifier: ISC */
/*
 * The parent's state as lines "NAME VALUE" in a memory file.  Text, because
 * the image that reads it may be a newer version: it skips what it does not
 * know.
 */
#include "parent/handover.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/password.h"

#define VARIABLE "FCGI_SSE_HANDOVER" /* "PID FD" */

/* The names of the kinds, as lines begin with them.  In the next image nobody
 * sends anything to a pooled responder: it serves what it has. */
static const char *const kind_names[] = { [CHILD_STREAM] = "stream",
	[CHILD_REFUSAL] = "refusal",
	[CHILD_POOLED] = "stream",
	[CHILD_CARRIER] = "carrier",
	[CHILD_RECORDER] = "recorder" };

/* Those beside the listening socket. */
static void
set_flags(const struct parent_state *st, int flags)
{
	const int fds[] = { st->life[0], st->life[1], st->carriers.page_fd };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] != -1)
			fcntl(fds[i], F_SETFD, flags);
}

static void
write_children(FILE *f, const struct parent_state *st)
{
	const struct carriers *c = &st->carriers;
	size_t i;

	for (i = 0; i < st->children.n; i++)
		fprintf(f, "%s %d\n", kind_names[st->children.list[i].kind],
		    (int)st->children.list[i].pid);
	if (c->page_fd != -1)
		fprintf(f, "page %d\n", c->page_fd);
	for (i = 0; i < c->nused; i++)
		if (c->slots[i].pid != 0)
			fprintf(f, "slot %zu %d\n", i, (int)c->slots[i].pid);
}

int
handover_write(const struct parent_state *st)
{
	char value[32];
	int fd = memfd_create("fcgi-sse", 0);
	FILE *f;

	if (fd == -1)
		return -1;
	if ((f = fdopen(dup(fd), "w")) == NULL)
		goto fail;
	fprintf(f, "listen %d\nlife %d\nlife %d\n", st->listen_fd, st->life[0],
	    st->life[1]);
	fprintf(f, "version %s\n", FCGI_SSE_VERSION);
	if (st->password[0] != '\0')
		fprintf(f, "password %s\n", st->password);
	write_children(f, st);
	if (fclose(f) == EOF || lseek(fd, 0, SEEK_SET) == -1)
		goto fail;
	snprintf(value, sizeof(value), "%d %d", (int)getpid(), fd);
	if (setenv(VARIABLE, value, 1) == -1 ||
	    fcntl(st->listen_fd, F_SETFD, 0) == -1)
		goto fail;
	set_flags(st, 0);
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
	set_flags(st, FD_CLOEXEC);
}

/* "NAME VALUE", in place; value is moved to VALUE.  Returns whether the line
 * begins with that name. */
static bool
is_line(const char *line, const char *name, const char **value)
{
	size_t len = strlen(name);

	*value = line + len + 1;
	return strncmp(line, name, len) == 0 && line[len] == ' ';
}

static void
read_child(struct parent_state *st, const char *line)
{
	const char *value, *blank;
	uint64_t n, slot;
	size_t i;

	for (i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++)
		if (is_line(line, kind_names[i], &value) &&
		    parse_u64(value, strlen(value), INT32_MAX, &n) == 0) {
			children_add(
			    &st->children, (pid_t)n, (enum child_kind)i);
			return;
		}
	if (is_line(line, "page", &value) &&
	    parse_u64(value, strlen(value), INT32_MAX, &n) == 0 &&
	    !carriers_adopt_page(&st->carriers, (int)n))
		close((int)n);
	if (is_line(line, "slot", &value) &&
	    (blank = strchr(value, ' ')) != NULL &&
	    parse_u64(value, (size_t)(blank - value), INT32_MAX, &slot) == 0 &&
	    parse_u64(blank + 1, strlen(blank + 1), INT32_MAX, &n) == 0)
		carriers_adopt(&st->carriers, (size_t)slot, (pid_t)n);
}

static void
read_line(struct parent_state *st, char *line)
{
	const char *value;
	uint64_t n;

	line[strcspn(line, "\n")] = '\0';
	if (is_line(line, "listen", &value) &&
	    parse_u64(value, strlen(value), INT32_MAX, &n) == 0)
		st->listen_fd = (int)n;
	if (is_line(line, "life", &value) &&
	    parse_u64(value, strlen(value), INT32_MAX, &n) == 0)
		st->life[st->life[0] == -1 ? 0 : 1] = (int)n;
	if (is_line(line, "version", &value))
		snprintf(st->version, sizeof(st->version), "%.23s", value);
	if (is_line(line, "password", &value))
		snprintf(st->password, sizeof(st->password), "%.7s", value);
	read_child(st, line);
}

/* The memory file that the variable names, or -1: a variable that leaked into
 * another process means nothing. */
static int
handover_fd(void)
{
	const char *value = getenv(VARIABLE), *blank;
	uint64_t pid, fd;

	if (value == NULL || (blank = strchr(value, ' ')) == NULL ||
	    parse_u64(value, (size_t)(blank - value), INT32_MAX, &pid) == -1 ||
	    parse_u64(blank + 1, strlen(blank + 1), INT32_MAX, &fd) == -1 ||
	    pid != (uint64_t)getpid())
		return -1;
	return (int)fd;
}

int
handover_read(struct parent_state *st)
{
	int fd = handover_fd();
	char line[128];
	FILE *f;

	unsetenv(VARIABLE);
	if (fd == -1 || (f = fdopen(fd, "r")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL)
		read_line(st, line);
	fclose(f);
	if (st->listen_fd != -1)
		fcntl(st->listen_fd, F_SETFD, FD_CLOEXEC);
	set_flags(st, FD_CLOEXEC);
	return st->listen_fd == -1 ? -1 : 0;
}

/* --- what changed ------------------------------------------------------- */

void
handover_note_password(struct parent_state *st, const struct config *cfg)
{
	const char *file = cfg->redis.password_file;
	char *password, error[256];
	bool is_same;

	st->password[0] = '\0';
	if (file == NULL ||
	    password_read(file, &password, error, sizeof(error)) == -1)
		return; /* the next image says why */
	is_same = cfg->redis.password != NULL &&
		  strcmp(password, cfg->redis.password) == 0;
	snprintf(st->password, sizeof(st->password), "%s",
	    is_same ? "same" : "changed");
	password_free(password);
}

void
handover_tell(const struct parent_state *st, const struct config *cfg)
{
	const bool has_log =
	    strcmp(cfg->log, "stderr") != 0 && strcmp(cfg->log, "syslog") != 0;
	char version[64] = "", password[200] = "", log[200] = "";

	if (st->version[0] != '\0' &&
	    strcmp(st->version, FCGI_SSE_VERSION) != 0)
		snprintf(
		    version, sizeof(version), " instead of %s", st->version);
	if (st->password[0] != '\0')
		snprintf(password, sizeof(password),
		    "; the password in %.120s %s", cfg->redis_password_file,
		    strcmp(st->password, "changed") == 0 ? "has changed"
							 : "is the same");
	if (has_log)
		snprintf(log, sizeof(log), "; the log %.120s is open anew",
		    cfg->log);
	log_info("restarted by SIGHUP: version %s%s%s%s", FCGI_SSE_VERSION,
	    version, password, log);
}
