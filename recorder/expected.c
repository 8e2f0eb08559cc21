/* SPDX-License-Identifier: ISC */
/* A ring. */
#include "recorder/expected.h"

#include <assert.h>

void
expected_add(struct expected_answers *e, enum expected what)
{
	assert(e->n < EXPECT_MAX);
	e->ring[(e->first + e->n++) % EXPECT_MAX] = what;
}

bool
expected_next(struct expected_answers *e, enum expected *what)
{
	if (e->n == 0)
		return false;
	*what = e->ring[e->first];
	e->first = (e->first + 1) % EXPECT_MAX;
	e->n--;
	return true;
}

void
expected_clear(struct expected_answers *e)
{
	e->n = 0;
}
