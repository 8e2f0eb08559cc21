/* SPDX-License-Identifier: ISC */
/* The order of the questions matters: each answer makes the later ones moot. */
#include "resume.h"

#include "base/cursor.h"

#define ID_MAX (UINT64_C(1) << 53) /* Lua counts exactly up to here */
#define MINUTE_US 60000000

const char *
reset_reason_name(enum reset_reason reason)
{
	switch (reason) {
	case RESET_UNKNOWN:
		return "unknown";
	case RESET_FLUSHED:
		return "flushed";
	case RESET_TRIMMED:
		return "trimmed";
	case RESET_OVERSIZED:
		return "oversized";
	case RESET_NONE:
		break;
	}
	return "none";
}

uint64_t
resume_position(const struct cursor *c)
{
	if (c->kind == CURSOR_ID)
		return c->number;
	return c->kind == CURSOR_EARLIEST ? 0 : ID_MAX;
}

static struct resume
decide_cursor(uint64_t cursor, const struct take *t, bool any_trimmed)
{
	struct resume r = { .floor = cursor, .reason = RESET_NONE };
	/* what was before the first event of this store is not forgotten */
	uint64_t since = cursor > t->epoch ? cursor : t->epoch;

	if (cursor > t->now_us + MINUTE_US && cursor > t->clock) {
		r.reason = RESET_UNKNOWN;
		r.floor = t->clock;
	} else if (cursor > 0 && (t->epoch == 0 || cursor < t->epoch)) {
		r.reason = RESET_FLUSHED;
		/* a new store whose time is behind gives out lower ids */
		if (cursor > t->clock && !t->is_replica)
			r.floor = t->clock;
	} else if (cursor > t->clock && t->is_replica) {
		r.is_lagging = true;
	} else if (cursor > t->clock) {
		r.reason = RESET_FLUSHED;
		r.floor = t->clock;
	} else if (cursor != t->clock && t->epoch > 0 &&
		   since + META_AGE_US < t->now_us) {
		r.reason = RESET_TRIMMED;
		r.affects_all = true;
	} else if (any_trimmed) {
		r.reason = RESET_TRIMMED;
	}
	return r;
}

struct resume
resume_decide(const struct cursor *c, const struct take *t, uint64_t first_id,
    bool any_trimmed)
{
	struct resume r = { .floor = t->clock, .reason = RESET_NONE };

	switch (c->kind) {
	case CURSOR_ID:
		return decide_cursor(c->number, t, any_trimmed);
	case CURSOR_EARLIEST:
	case CURSOR_LAST:
	case CURSOR_SINCE:
		if (first_id > 0)
			r.floor = first_id > t->epoch ? first_id - 1 : 0;
		break;
	case CURSOR_UNKNOWN:
		r.reason = RESET_UNKNOWN;
		break;
	case CURSOR_NONE:
		break;
	}
	return r;
}
