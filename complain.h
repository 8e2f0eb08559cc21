/* SPDX-License-Identifier: ISC */
/* What sse-publish says when it fails, and what it exits with. */
#ifndef COMPLAIN_H
#define COMPLAIN_H

#include <sysexits.h>

/* It may be published, now or later, or not: nobody knows. */
#define EX_UNKNOWN EX_PROTOCOL

/* One sentence on standard error, behind all that was printed.  Returns code. */
int complain(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
