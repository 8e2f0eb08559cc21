/* SPDX-License-Identifier: ISC */
/*
 * Lists of origins (SSE_ORIGIN), separated by blanks or commas, against what a
 * browser sends as Origin (RFC 6454 6.2): scheme://host[:port], the port only
 * where it is not the scheme's own; or "null".  Pure.
 */
#ifndef ORIGIN_H
#define ORIGIN_H

#include <stdbool.h>

#include "verdict.h"

/*
 * Can each origin of the list be one that a browser sends, or is it "*"?
 * Returns 0; or -1 with v filled, also for a list of nothing: what can never
 * match is a mistake, and the sentence says what to write instead.
 */
int origin_check_list(const char *list, struct verdict *v);

/* Is origin in the list?  "*" is only itself; case does not count. */
bool origin_is_listed(const char *list, const char *origin);

#endif
