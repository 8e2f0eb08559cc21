/* SPDX-License-Identifier: ISC */
/* Which descriptors each kind of child keeps: an end that stays open in another
 * process would never be heard. */
#include "parent/start.h"

#include <stdbool.h>
#include <unistd.h>

#include "base/clock.h"

/* In all. */
static void
close_of_parent(struct parent_state *st)
{
	close(st->listen_fd);
	kept_close_ready(&st->recorder);
	pool_close(&st->pool);
}

/* In those that listen for the recorder's end. */
static void
close_of_recorder(struct parent_state *st)
{
	if (st->life[1] != -1)
		close(st->life[1]);
}

void
start_recorder(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run)
{
	int ready_fd;

	if (kept_fork(
		&st->recorder, &st->children, &ready_fd, clock_now_ms()) != 0)
		return;
	close_of_parent(st);
	close(st->life[0]);
	carriers_close(&st->carriers);
	run->record(cfg, ready_fd);
}

static int
fork_responder(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run, const struct accepted *a)
{
	struct responder_link link = { .life_fd = st->life[0],
		.door_fd = st->carriers.door[1] };
	pid_t pid = pool_fork(&st->pool, &st->children, a->admission,
	    &link.place, clock_now_ms());

	if (pid != 0)
		return pid == -1 ? -1 : 0;
	close_of_parent(st);
	close_of_recorder(st);
	carriers_close_but_door(&st->carriers);
	run->serve(cfg, a, &link);
}

int
start_responder(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run, const struct accepted *a)
{
	return pool_send(&st->pool, a, clock_now_ms())
		   ? 0
		   : fork_responder(st, cfg, run, a);
}

static void
fork_carrier(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run, int64_t now)
{
	struct carrier_link link;

	if (carriers_fork(&st->carriers, &st->children, &link, now) != 0)
		return;
	close_of_parent(st);
	close_of_recorder(st);
	link.life_fd = st->life[0];
	run->carry(cfg, &link);
}

void
start_carrier(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run)
{
	const int64_t now = clock_now_ms();

	if (carriers_are_short(&st->carriers, now))
		fork_carrier(st, cfg, run, now);
}

void
start_late_carrier(struct parent_state *st, const struct config *cfg,
    const struct listener_children *run)
{
	const uint64_t outside =
	    state_count_streams(st) - carriers_count_streams(&st->carriers);
	const int64_t now = clock_now_ms();

	if (carriers_are_late(&st->carriers, outside, now))
		fork_carrier(st, cfg, run, now);
}
