/* SPDX-License-Identifier: ISC */
/*
 * One line for the administrator.  Errors are logged once, by the function
 * that decides what becomes of them.  Every process uses it; it knows no
 * module of the project.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

/*
 * Where lines go: "stderr", "syslog", or the path of a file to append to.
 * Before the first call: stderr.  Returns 0, or -1 with errno if the file
 * cannot be opened.  target is borrowed for the call.
 */
int log_open(const char *target, bool debug);

/* Stands in every line after the program's name, e.g. "recorder"; borrowed
 * for ever. */
void log_set_role(const char *role);

/*
 * One line each; control characters of what strangers sent are printed as
 * "?".  error: something was refused or lost; warn: somebody should look;
 * info: starts and stops; debug: only with --debug.
 */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Something that is wrong for a while, said once: an object for each such
 * thing.  All zero: nothing is wrong.
 */
struct trouble {
	char told[256]; /* what was said when it began; "": nothing is wrong */
};

/* It is wrong: an error line when that begins, and when the text is another
 * than the last time.  So nothing may stand in it that differs from try to
 * try. */
void trouble_tell(struct trouble *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As trouble_tell, but it is told again only when cause is another: the text
 * may name one of several that it concerns. */
void trouble_tell_cause(struct trouble *t, const char *cause, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));

/* It is right, as nearly always: an info line if it was wrong. */
void trouble_over(struct trouble *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
