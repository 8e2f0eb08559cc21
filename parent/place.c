/* SPDX-License-Identifier: ISC */
/*
 * Who leaves says so in one atomic step, which fails if the parent has chosen
 * this responder in the same moment: then a connection is on its way, and is
 * served.
 */
#include "parent/place.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"

#define CHOSEN_MS 100 /* what is on its way is looked for as often */

/* Returns whether nothing will be sent any more. */
static bool
leave(struct place *pl)
{
	uint32_t waiting = PLACE_WAITING;

	return atomic_compare_exchange_strong(pl->state, &waiting, PLACE_LEFT);
}

/* Returns whether a connection came; what else there is means the end. */
static bool
receive(const struct place *pl, struct accepted *next)
{
	unsigned char admission;

	if (fdpass_receive(pl->fd, &admission, 1, &next->fd) != 1)
		return false;
	if (next->fd == -1 || admission > ADMISSION_STOPPING) {
		if (next->fd != -1)
			close(next->fd);
		return false;
	}
	next->admission = (enum admission)admission;
	return true;
}

bool
place_wait(struct place *pl, struct accepted *next)
{
	struct pollfd pfd = { .fd = pl->fd, .events = POLLIN };
	struct timespec ts = { PLACE_IDLE_MS / 1000, 0 };
	sigset_t unblocked;

	if (pl->fd == -1)
		return false;
	if (++pl->nserved >= PLACE_SERVES_MAX) {
		atomic_store(pl->state, PLACE_LEFT);
		return false;
	}
	sigprocmask(SIG_BLOCK, NULL, &unblocked);
	sigdelset(&unblocked, SIGTERM);
	atomic_store(pl->state, PLACE_WAITING);
	while (ppoll(&pfd, 1, &ts, &unblocked) <= 0) {
		if (leave(pl))
			return false;
		ts = (struct timespec){ 0, CHOSEN_MS * 1000000 };
	}
	return receive(pl, next);
}
