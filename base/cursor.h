/* SPDX-License-Identifier: ISC */
/* Where a client wants to begin. */
#ifndef CURSOR_H
#define CURSOR_H

#include <stdint.h>

enum cursor_kind {
	CURSOR_NONE,	 /* now */
	CURSOR_ID,	 /* after this id */
	CURSOR_EARLIEST, /* with the oldest that is kept */
	CURSOR_UNKNOWN,	 /* it named one that we never gave */
	CURSOR_LAST,	 /* with the newest N */
	CURSOR_SINCE	 /* with what is at most N seconds old */
};

struct cursor {
	enum cursor_kind kind;
	uint64_t number; /* the id, N events, or N seconds */
};

#endif
