/* SPDX-License-Identifier: ISC */
/* The children by kind: what becomes of each kind when one has ended. */
#include "parent/state.h"

#include "base/clock.h"

void
state_init(struct parent_state *st)
{
	*st = (struct parent_state){ .listen_fd = -1, .life = { -1, -1 } };
	kept_init(&st->recorder, CHILD_RECORDER, "sse-recorder");
	carriers_init(&st->carriers);
}

void
state_reap(struct parent_state *st)
{
	struct child ended;

	while (children_reap(&st->children, &ended))
		switch (ended.kind) {
		case CHILD_STREAM:
		case CHILD_REFUSAL:
			break;
		case CHILD_POOLED:
			pool_ended(&st->pool, ended.pid);
			break;
		case CHILD_CARRIER:
			carriers_ended(
			    &st->carriers, ended.pid, clock_now_ms());
			break;
		case CHILD_RECORDER:
			kept_ended(&st->recorder, clock_now_ms());
			break;
		}
}

uint64_t
state_count_responders(const struct parent_state *st)
{
	return st->children.count[CHILD_STREAM] +
	       pool_count(&st->pool, ADMISSION_OPEN);
}

uint64_t
state_count_streams(const struct parent_state *st)
{
	return state_count_responders(st) +
	       carriers_count_streams(&st->carriers);
}

size_t
state_count_refusals(const struct parent_state *st)
{
	return st->children.count[CHILD_REFUSAL] +
	       pool_count(&st->pool, ADMISSION_FULL) +
	       pool_count(&st->pool, ADMISSION_STOPPING);
}

void
state_free(struct parent_state *st)
{
	children_free(&st->children);
	carriers_free(&st->carriers);
}
