/* SPDX-License-Identifier: ISC */
/* A program for the shell: plain sentences, no log. */
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>

int
complain(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("sse-publish: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return code;
}
