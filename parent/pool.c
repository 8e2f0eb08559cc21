/* SPDX-License-Identifier: ISC */
/*
 * A responder may be killed at any moment: then what is sent to it fails, and
 * the connection goes to another.  It is chosen by an atomic step, against one
 * that leaves just then.
 */
#include "parent/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"

void
pool_open(struct pool *p)
{
	void *page = mmap(NULL, POOL_PLACES * sizeof(*p->states),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*p = (struct pool){ .states = page == MAP_FAILED ? NULL : page };
}

/* Choose a responder.  Returns whether it waits, and is chosen now. */
static bool
claim(struct pool *p, size_t i)
{
	uint32_t waiting = PLACE_WAITING;

	return p->members[i].pid != 0 &&
	       atomic_compare_exchange_strong(
		   &p->states[i], &waiting, PLACE_BUSY);
}

bool
pool_send(struct pool *p, const struct accepted *a, int64_t now_ms)
{
	const unsigned char admission = (unsigned char)a->admission;
	size_t i;

	/* always the first that waits, so that those at the end become idle
	 * when there are too many */
	for (i = 0; p->states != NULL && i < POOL_PLACES; i++) {
		if (!claim(p, i))
			continue;
		if (fdpass_send(p->members[i].fd, &admission, 1, a->fd) == 0) {
			p->members[i].admission = a->admission;
			p->members[i].since_ms = now_ms;
			return true;
		}
		if (errno != EPIPE && errno != ECONNRESET) {
			/* it lives, and waits on */
			atomic_store(&p->states[i], PLACE_WAITING);
			return false;
		}
	}
	return false;
}

bool
pool_is_rushed(const struct pool *p, int64_t now_ms)
{
	size_t i, n = 0;

	if (p->states == NULL || now_ms > p->forked_ms)
		return false;
	for (i = 0; i < POOL_PLACES; i++) {
		if (p->members[i].pid == 0)
			continue;
		if (atomic_load(&p->states[i]) == PLACE_WAITING)
			return false;
		n += now_ms - p->members[i].since_ms < POOL_SOON_MS;
	}
	return n >= POOL_RUSH;
}

/* A free place and its socket pair.  Returns its number, or POOL_PLACES. */
static size_t
take_place(struct pool *p, int pair[2])
{
	size_t i;

	for (i = 0; p->states != NULL && i < POOL_PLACES; i++)
		if (p->members[i].pid == 0)
			return socketpair(AF_UNIX,
				   SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0
				   ? i
				   : POOL_PLACES;
	return POOL_PLACES;
}

static pid_t
fork_without_place(
    struct children *ch, enum admission admission, struct place *place)
{
	*place = (struct place){ .fd = -1 };
	return children_fork(
	    ch, admission == ADMISSION_OPEN ? CHILD_STREAM : CHILD_REFUSAL);
}

pid_t
pool_fork(struct pool *p, struct children *ch, enum admission admission,
    struct place *place, int64_t now_ms)
{
	int pair[2];
	size_t i = take_place(p, pair);
	pid_t pid;

	p->forked_ms = now_ms;
	if (i == POOL_PLACES)
		return fork_without_place(ch, admission, place);
	atomic_store(&p->states[i], PLACE_BUSY);
	pid = children_fork(ch, CHILD_POOLED);
	if (pid == 0) {
		close(pair[0]);
		*place =
		    (struct place){ .fd = pair[1], .state = &p->states[i] };
		return 0;
	}
	close(pair[1]);
	if (pid == -1)
		close(pair[0]);
	else
		p->members[i] =
		    (struct pool_member){ pid, pair[0], admission, now_ms };
	return pid;
}

void
pool_ended(struct pool *p, pid_t pid)
{
	size_t i;

	for (i = 0; i < POOL_PLACES; i++)
		if (p->members[i].pid == pid) {
			close(p->members[i].fd);
			p->members[i].pid = 0;
		}
}

size_t
pool_count(const struct pool *p, enum admission admission)
{
	size_t i, n = 0;

	for (i = 0; i < POOL_PLACES; i++)
		n += p->members[i].pid != 0 &&
		     p->members[i].admission == admission &&
		     atomic_load(&p->states[i]) == PLACE_BUSY;
	return n;
}

void
pool_close(struct pool *p)
{
	size_t i;

	for (i = 0; i < POOL_PLACES; i++)
		if (p->members[i].pid != 0)
			close(p->members[i].fd);
}
