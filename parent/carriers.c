/* SPDX-License-Identifier: ISC */
/*
 * The memory file has a fixed length, of which only what is used costs
 * anything; a carrier keeps its slot from its start to its end, also over an
 * exec of the parent.
 */
#include "parent/carriers.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUICK_MS 200 /* after one that did not live longer the next one waits */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
#define LOOK_MS 1000 /* then those that came have moved */
#define PAGE_LEN (CARRIERS_MAX * sizeof(uint32_t))

void
carriers_init(struct carriers *c)
{
	*c = (struct carriers){ .page_fd = -1,
		.door = { -1, -1 },
		.backoff = {
		    .min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS } };
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* Map the page, which is c's from here on.  Returns 0, or -1 with errno. */
static int
use_page(struct carriers *c, int page_fd)
{
	void *page = mmap(
	    NULL, PAGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);

	if (page == MAP_FAILED)
		return -1;
	c->slots = calloc(CARRIERS_MAX, sizeof(*c->slots));
	if (c->slots == NULL) {
		munmap(page, PAGE_LEN);
		return -1;
	}
	c->nstreams = page;
	c->page_fd = page_fd;
	return 0;
}

static int
make_page(struct carriers *c)
{
	int fd = memfd_create("sse-carriers", MFD_CLOEXEC);

	if (fd == -1)
		return -1;
	if (ftruncate(fd, PAGE_LEN) == 0 && use_page(c, fd) == 0)
		return 0;
	close(fd);
	return -1;
}

int
carriers_open(struct carriers *c, uint64_t per_carrier, uint64_t max_streams)
{
	c->per_carrier = per_carrier;
	c->max_streams = max_streams;
	if (c->nstreams == NULL && make_page(c) == -1)
		return -1;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->door);
}

bool
carriers_adopt_page(struct carriers *c, int page_fd)
{
	struct stat st;

	/* a shorter one would mean SIGBUS */
	return c->nstreams == NULL && fstat(page_fd, &st) == 0 &&
	       st.st_size >= (off_t)PAGE_LEN && use_page(c, page_fd) == 0;
}

static void
fill_slot(struct carriers *c, size_t slot, const struct carrier *carrier)
{
	c->slots[slot] = *carrier;
	if (slot >= c->nused)
		c->nused = slot + 1;
}

bool
carriers_adopt(struct carriers *c, size_t slot, pid_t pid)
{
	if (c->nstreams == NULL || slot >= CARRIERS_MAX)
		return false;
	fill_slot(c, slot, &(struct carrier){ .pid = pid, .is_old = true });
	return true;
}

uint64_t
carriers_count_streams(const struct carriers *c)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->nused; i++)
		if (c->slots[i].pid != 0)
			n += atomic_load(&c->nstreams[i]);
	return n;
}

/* There is room for so many streams, in carriers that have held in all. */
static uint64_t
count_room(const struct carriers *c, uint64_t *held)
{
	uint64_t room = 0, n;
	size_t i;

	*held = 0;
	for (i = 0; i < c->nused; i++) {
		if (c->slots[i].pid == 0 || c->slots[i].is_old)
			continue;
		n = atomic_load(&c->nstreams[i]);
		if (n < c->per_carrier)
			room += c->per_carrier - n;
		*held += c->per_carrier;
	}
	return room;
}

static uint64_t
least_room(const struct carriers *c)
{
	return c->per_carrier < 8 ? 1 : c->per_carrier / 8;
}

bool
carriers_are_short(struct carriers *c, int64_t now_ms)
{
	uint64_t room, held;
	bool is_short;

	if (c->door[0] == -1)
		return false;
	if (now_ms >= c->look_ms)
		c->look_ms = 0;
	room = count_room(c, &held);
	is_short =
	    room < least_room(c) && held < c->max_streams + c->per_carrier;
	c->is_wanted = is_short && now_ms < c->due_ms;
	return is_short && !c->is_wanted;
}

void
carriers_expect(struct carriers *c, uint64_t ncoming, int64_t now_ms)
{
	uint64_t held;

	if (c->door[0] != -1 && count_room(c, &held) < least_room(c) + ncoming)
		c->look_ms = now_ms + LOOK_MS;
}

int64_t
carriers_due_ms(const struct carriers *c)
{
	int64_t due_ms = c->is_wanted ? c->due_ms : INT64_MAX;

	return c->look_ms != 0 && c->look_ms < due_ms ? c->look_ms : due_ms;
}

/* The first free slot, or CARRIERS_MAX. */
static size_t
find_slot(const struct carriers *c)
{
	size_t i;

	for (i = 0; i < c->nused && c->slots[i].pid != 0; i++)
		;
	return i;
}

pid_t
carriers_fork(struct carriers *c, struct children *ch,
    struct carrier_link *link, int64_t now_ms)
{
	size_t slot = find_slot(c);
	pid_t pid;

	if (slot == CARRIERS_MAX) {
		trouble_tell(&c->starting,
		    "there are %d carriers, and no more are started; "
		    "--streams-per-process is low",
		    CARRIERS_MAX);
		c->due_ms = now_ms + BACKOFF_MAX_MS;
		return -1;
	}
	atomic_store(&c->nstreams[slot], 0);
	pid = children_fork(ch, CHILD_CARRIER);
	if (pid == 0) {
		prctl(PR_SET_NAME, "sse-carrier");
		*link = (struct carrier_link){ .door_fd = c->door[0],
			.nstreams = &c->nstreams[slot] };
		close_fd(&c->door[1]);
		close_fd(&c->page_fd);
	} else if (pid == -1) {
		trouble_tell(&c->starting,
		    "cannot start a carrier: %s; still trying",
		    strerror(errno));
		c->due_ms = now_ms + backoff_next(&c->backoff);
		c->is_wanted = true;
	} else {
		trouble_over(&c->starting, "carriers are started again");
		fill_slot(c, slot,
		    &(struct carrier){ .pid = pid, .started_ms = now_ms });
	}
	return pid;
}

void
carriers_ended(struct carriers *c, pid_t pid, int64_t now_ms)
{
	struct carrier *ended = NULL;
	size_t i;

	for (i = 0; i < c->nused && ended == NULL; i++)
		if (c->slots[i].pid == pid)
			ended = &c->slots[i];
	if (ended == NULL)
		return;
	atomic_store(&c->nstreams[ended - c->slots], 0);
	if (!ended->is_old && now_ms - ended->started_ms <= QUICK_MS)
		c->due_ms = now_ms + backoff_next(&c->backoff);
	else
		backoff_reset(&c->backoff);
	ended->pid = 0;
	while (c->nused > 0 && c->slots[c->nused - 1].pid == 0)
		c->nused--;
}

void
carriers_close_but_door(struct carriers *c)
{
	close_fd(&c->door[0]);
	close_fd(&c->page_fd);
}

void
carriers_close(struct carriers *c)
{
	carriers_close_but_door(c);
	close_fd(&c->door[1]);
}

void
carriers_free(struct carriers *c)
{
	carriers_close(c);
	if (c->nstreams != NULL)
		munmap((void *)(uintptr_t)c->nstreams, PAGE_LEN);
	free(c->slots);
	carriers_init(c);
}
