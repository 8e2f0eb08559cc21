/* SPDX-License-Identifier: ISC */
/*
 * What the next answers on the recorder's publishing connection belong to:
 * Redis answers in the order in which it was asked.  Pure.
 */
#ifndef EXPECTED_H
#define EXPECTED_H

#include <stdbool.h>
#include <stddef.h>

#include "recorder/record_queue.h"

#define EXPECT_MAX (INFLIGHT_MAX + 8)

enum expected {
	EXPECT_MESSAGE,	  /* was it recorded? */
	EXPECT_RELAYED,	  /* was it passed on? */
	EXPECT_FORGOTTEN, /* were the streams told? */
	EXPECT_ACQUIRED,  /* of the lease */
	EXPECT_RENEWED,
	EXPECT_NOTHING /* of use */
};

/* All zero: none is due.  Others read n, expected.c writes. */
struct expected_answers {
	enum expected ring[EXPECT_MAX];
	size_t first, n;
};

/* One more is due, after the others: EXPECT_MAX at most. */
void expected_add(struct expected_answers *e, enum expected what);

/* One has come: *what is what it belongs to.  false: none was due. */
bool expected_next(struct expected_answers *e, enum expected *what);

/* The connection is gone: none will come. */
void expected_clear(struct expected_answers *e);

#endif
