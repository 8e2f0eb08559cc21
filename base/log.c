/* SPDX-License-Identifier: ISC */
/*
 * Lines for the administrator: stderr, a file or syslog.  Several processes
 * share the descriptor, so each line is one write(2) of less than 4 KiB
 * (atomic in a pipe, and in a file opened to append).  What strangers sent may
 * stand in a line, so no control character leaves.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096

static struct {
	enum { TO_STDERR, TO_FILE, TO_SYSLOG } target;
	int file_fd; /* owned; only with TO_FILE */
	bool debug;
	const char *role; /* borrowed for ever; NULL: none */
} log_state = { .file_fd = -1 };

int
log_open(const char *target, bool debug)
{
	bool to_syslog = strcmp(target, "syslog") == 0;
	int fd = -1;

	log_state.debug = debug;
	if (!to_syslog && strcmp(target, "stderr") != 0) {
		fd = open(
		    target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (fd == -1)
			return -1;
	}
	if (log_state.file_fd != -1)
		(void)close(log_state.file_fd);
	log_state.file_fd = fd;
	if (to_syslog)
		openlog(program_invocation_short_name, LOG_PID, LOG_DAEMON);
	if (fd != -1)
		log_state.target = TO_FILE;
	else
		log_state.target = to_syslog ? TO_SYSLOG : TO_STDERR;
	return 0;
}

void
log_set_role(const char *role)
{
	log_state.role = role;
}

static void
write_line(const char *line, size_t len)
{
	int fd =
	    log_state.target == TO_FILE ? log_state.file_fd : STDERR_FILENO;

	/* a log that cannot be written has nobody to be told */
	while (write(fd, line, len) == -1 && errno == EINTR)
		continue;
}

/* The current time in UTC as "2024-01-31T23:59:59Z ".  Returns its length. */
static size_t
put_time(char *line, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL)
		return 0;
	return strftime(line, size, "%Y-%m-%dT%H:%M:%SZ ", &tm);
}

static void log_line(int priority, const char *level, const char *fmt,
    va_list ap) __attribute__((format(printf, 3, 0)));

static void
log_line(int priority, const char *level, const char *fmt, va_list ap)
{
	char text[LINE_BYTES_MAX - 256], line[LINE_BYTES_MAX];
	const char *role = log_state.role;
	int saved_errno = errno;
	size_t len = 0, i;

	/* fmt first: it may hold %m */
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	for (i = 0; text[i] != '\0'; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	if (log_state.target == TO_SYSLOG) {
		syslog(priority, "%s%s%s: %s", role == NULL ? "" : role,
		    role == NULL ? "" : ": ", level, text);
		errno = saved_errno;
		return;
	}
	if (log_state.target == TO_FILE)
		len = put_time(line, sizeof(line));
	/* the name and the role are ours, and short; if not, they are cut */
	(void)snprintf(line + len, sizeof(line) - len,
	    "%.100s[%ld]%s%.100s: "
	    "%s: %s",
	    program_invocation_short_name, (long)getpid(),
	    role == NULL ? "" : " ", role == NULL ? "" : role, level, text);
	len = strlen(line);
	line[len++] = '\n'; /* in place of the NUL */
	write_line(line, len);
	errno = saved_errno;
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERR, "error", fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_WARNING, "warn", fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_INFO, "info", fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_state.debug)
		return;
	va_start(ap, fmt);
	log_line(LOG_DEBUG, "debug", fmt, ap);
	va_end(ap);
}

/* Keeps text. */
static bool
is_new(struct trouble *t, const char *text)
{
	if (strcmp(text, t->told) == 0)
		return false;
	(void)snprintf(t->told, sizeof(t->told), "%s", text);
	return true;
}

void
trouble_tell(struct trouble *t, const char *fmt, ...)
{
	char text[sizeof(t->told)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!is_new(t, text))
		return;
	va_start(ap, fmt);
	log_line(LOG_ERR, "error", fmt, ap);
	va_end(ap);
}

void
trouble_tell_cause(struct trouble *t, const char *cause, const char *fmt, ...)
{
	char text[sizeof(t->told)];
	va_list ap;

	/* a byte in front: an empty cause is one, too */
	(void)snprintf(text, sizeof(text), ":%s", cause);
	if (!is_new(t, text))
		return;
	va_start(ap, fmt);
	log_line(LOG_ERR, "error", fmt, ap);
	va_end(ap);
}

void
trouble_over(struct trouble *t, const char *fmt, ...)
{
	va_list ap;

	if (t->told[0] == '\0')
		return;
	t->told[0] = '\0';
	va_start(ap, fmt);
	log_line(LOG_INFO, "info", fmt, ap);
	va_end(ap);
}
