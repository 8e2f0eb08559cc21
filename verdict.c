/* SPDX-License-Identifier: ISC */
/* The last to say no is heard: nothing of an earlier verdict is left. */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>

int
verdict_refuse(struct verdict *v, enum http_status status, const char *fmt, ...)
{
	va_list ap;

	v->status = status;
	v->is_misconfigured = false;
	va_start(ap, fmt);
	vsnprintf(v->sentence, sizeof(v->sentence), fmt, ap);
	va_end(ap);
	return -1;
}

int
verdict_misconfigured(struct verdict *v, const char *fmt, ...)
{
	va_list ap;

	v->status = HTTP_FORBIDDEN;
	v->is_misconfigured = true;
	va_start(ap, fmt);
	vsnprintf(v->sentence, sizeof(v->sentence), fmt, ap);
	va_end(ap);
	return -1;
}
