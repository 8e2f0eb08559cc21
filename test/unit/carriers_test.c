/* SPDX-License-Identifier: ISC */
/* carriers.h: when another one is started, what it has, and what is left when it
 * ends.  With real processes. */
#include "parent/carriers.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "test/unit/unit.h"

#define NOW_MS 1000000

static void
open_carriers(struct carriers *c, uint64_t per_carrier, uint64_t max_streams)
{
	carriers_init(c);
	assert_int_equal(carriers_open(c, per_carrier, max_streams), 0);
}

/* As if some had been started that have so many streams; -1 ends the list. */
static void
fill(struct carriers *c, const int *nstreams, bool is_old)
{
	size_t i;

	for (i = 0; nstreams[i] != -1; i++) {
		assert_true(carriers_adopt(c, i, (pid_t)(i + 1)));
		c->slots[i].is_old = is_old;
		c->nstreams[i] = (uint32_t)nstreams[i];
	}
}

static void
one_is_started_when_room_is_short(void **state)
{
	/* less than an eighth of a carrier, or none; not more of them than the
	 * streams may fill, and one */
	static const struct {
		uint64_t per_carrier, max_streams;
		int nstreams[5];
		bool want;
	} table[] = {
		{ 100, 1000, { -1 }, true },
		{ 100, 1000, { 0, -1 }, false },
		{ 100, 1000, { 88, -1 }, false },
		{ 100, 1000, { 89, -1 }, true },
		{ 100, 1000, { 95, 95, -1 }, true },
		{ 100, 1000, { 94, 94, -1 }, false },
		{ 100, 1000, { 100, 0, -1 }, false },
		{ 100, 1000, { 100, 100, -1 }, true },
		/* one that has too many has no room, and takes none away */
		{ 100, 1000, { 150, 80, -1 }, false },
		{ 2, 1000, { 1, -1 }, false },
		{ 2, 1000, { 2, -1 }, true },
		{ 10000, 1000, { -1 }, true },
		{ 10000, 1000, { 9000, -1 }, true },
		{ 10000, 1000, { 9999, 9999, -1 }, false },
		{ 10, 20, { 10, -1 }, true },
		{ 10, 20, { 10, 10, -1 }, true },
		{ 10, 20, { 10, 10, 10, -1 }, false },
		{ 10, 25, { 10, 10, 10, -1 }, true },
		{ 10, 25, { 10, 10, 10, 10, -1 }, false },
	};
	struct carriers c;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		open_carriers(&c, table[i].per_carrier, table[i].max_streams);
		fill(&c, table[i].nstreams, false);
		if (carriers_are_short(&c, NOW_MS) != table[i].want)
			fail_msg("row %zu", i);
		/* those of the image before have no room */
		fill(&c, table[i].nstreams, true);
		assert_true(carriers_are_short(&c, NOW_MS));
		carriers_free(&c);
	}
	carriers_init(&c);
	assert_false(carriers_are_short(&c, NOW_MS)); /* not opened */
	assert_int_equal(carriers_count_streams(&c), 0);
}

/* One that writes the name of its process into fd, and then a byte when the
 * other end of the door is closed; its number of streams becomes 5. */
static pid_t
start(struct carriers *c, struct children *ch, int fd)
{
	struct carrier_link link;
	char name[17] = "", byte;
	struct pollfd door;
	int came;
	pid_t pid = carriers_fork(c, ch, &link, NOW_MS);

	if (pid == 0) {
		alarm(60);
		prctl(PR_GET_NAME, name);
		atomic_store(link.nstreams, 5);
		if (write(fd, name, sizeof(name)) == -1)
			_exit(1);
		door = (struct pollfd){ .fd = link.door_fd, .events = POLLIN };
		poll(&door, 1, -1);
		if (fdpass_receive(link.door_fd, &byte, 1, &came) != 0 ||
		    write(fd, "x", 1) == -1)
			_exit(2);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void
reap(struct carriers *c, struct children *ch, pid_t pid, int64_t now_ms)
{
	struct child ended;
	siginfo_t info;

	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(children_reap(ch, &ended));
	assert_int_equal(ended.kind, CHILD_CARRIER);
	carriers_ended(c, ended.pid, now_ms);
}

static void
carrier_has_a_slot_and_a_door(void **state)
{
	/* it has its name, the parent sees how many streams it has, and the door
	 * ends when nobody holds the other side any more; its end is the end of
	 * its streams */
	struct children ch = { 0 };
	struct carriers c;
	char text[32];
	pid_t pids[2];
	int fds[2], i;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	open_carriers(&c, 10, 100);
	for (i = 0; i < 2; i++) {
		pids[i] = start(&c, &ch, fds[1]);
		assert_int_equal(read(fds[0], text, sizeof(text)), 17);
		assert_string_equal(text, "sse-carrier");
		assert_int_equal(carriers_count_streams(&c), 5 * (i + 1));
	}
	assert_int_equal(ch.count[CHILD_CARRIER], 2);
	carriers_close(&c);
	for (i = 0; i < 2; i++)
		assert_int_equal(read(fds[0], text, 1), 1);
	reap(&c, &ch, pids[0], NOW_MS + 1000);
	assert_int_equal(carriers_count_streams(&c), 5);
	reap(&c, &ch, pids[1], NOW_MS + 1000);
	assert_int_equal(carriers_count_streams(&c), 0);
	assert_int_equal(c.nused, 0);
	children_free(&ch);
	carriers_free(&c);
}

static void
slots_are_used_again(void **state)
{
	/* with nothing in them; the others keep theirs */
	struct children ch = { 0 };
	struct carriers c;
	char text[32];
	pid_t first, second, third;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	open_carriers(&c, 10, 100);
	first = start(&c, &ch, fds[1]);
	second = start(&c, &ch, fds[1]);
	while (carriers_count_streams(&c) != 10)
		assert_true(read(fds[0], text, sizeof(text)) > 0);
	reap(&c, &ch, first, NOW_MS + 1000);
	assert_int_equal(c.nstreams[0], 0);
	assert_int_equal(c.nstreams[1], 5);
	third = start(&c, &ch, fds[1]);
	assert_int_equal(c.slots[0].pid, third);
	assert_int_equal(c.slots[1].pid, second);
	reap(&c, &ch, second, NOW_MS + 1000);
	reap(&c, &ch, third, NOW_MS + 1000);
	children_free(&ch);
	carriers_free(&c);
}

static void
next_one_waits_if_it_lived_shortly(void **state)
{
	/* one that lived for more than 0.2 s is followed at once, others with
	 * back-off up to two seconds */
	static const struct {
		int64_t lived_ms, min_ms, max_ms;
	} table[] = {
		{ 201, 0, 0 },
		{ 200, 50, 100 },
		{ 0, 100, 200 },
		{ 0, 200, 400 },
		{ 0, 400, 800 },
		{ 0, 800, 1600 },
		{ 0, 1000, 2000 },
		{ 5000, 0, 0 },
		{ 0, 50, 100 },
	};
	struct carriers c;
	int64_t now_ms;
	size_t i;

	(void)state;
	open_carriers(&c, 10, 100);
	for (i = 0; i < ROWS(table); i++) {
		assert_true(carriers_adopt(&c, 0, 7));
		c.slots[0].is_old = false;
		c.slots[0].started_ms = NOW_MS;
		now_ms = NOW_MS + table[i].lived_ms;
		c.due_ms = now_ms;
		carriers_ended(&c, 7, now_ms);
		assert_in_range(
		    c.due_ms - now_ms, table[i].min_ms, table[i].max_ms);
		assert_false(carriers_are_short(&c, c.due_ms - 1));
		assert_true(c.is_wanted);
		assert_true(carriers_are_short(&c, c.due_ms));
		assert_false(c.is_wanted);
	}
	carriers_free(&c);
}

static void
those_who_come_are_looked_at_again(void **state)
{
	/* as soon as they have moved: perhaps some found no room */
	static const struct {
		uint64_t ncoming;
		int nstreams[5], want_nstreams;
		bool is_looked_at, want;
	} table[] = {
		{ 1, { 0, -1 }, 1, false, false },
		{ 5, { 5, -1 }, 10, true, true },
		{ 5, { 4, -1 }, 9, false, false },
		{ 5, { 5, -1 }, 5, true, false },
		{ 10, { 5, 5, -1 }, 10, true, true },
	};
	struct carriers c;
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		open_carriers(&c, 10, 1000);
		fill(&c, table[i].nstreams, false);
		assert_int_equal(carriers_due_ms(&c), INT64_MAX);
		carriers_expect(&c, table[i].ncoming, NOW_MS);
		if (table[i].is_looked_at != (carriers_due_ms(&c) < INT64_MAX))
			fail_msg("row %zu", i);
		for (k = 0; k < c.nused; k++)
			c.nstreams[k] = (uint32_t)table[i].want_nstreams;
		if (carriers_are_short(&c, NOW_MS + 5000) != table[i].want)
			fail_msg("row %zu", i);
		assert_int_equal(carriers_due_ms(&c), INT64_MAX);
		carriers_free(&c);
	}
	carriers_init(&c);
	carriers_expect(&c, 5, NOW_MS); /* not opened */
	assert_int_equal(carriers_due_ms(&c), INT64_MAX);
}

static void
no_more_than_there_are_slots(void **state)
{
	/* it is said once */
	struct children ch = { 0 };
	struct carrier_link link;
	struct carriers c;
	size_t i;

	(void)state;
	open_carriers(&c, 2, 1000000);
	for (i = 0; i < CARRIERS_MAX; i++) {
		assert_true(carriers_adopt(&c, i, (pid_t)i + 1));
		c.slots[i].is_old = false;
		c.nstreams[i] = 2;
	}
	assert_false(carriers_adopt(&c, CARRIERS_MAX, 1));
	assert_true(carriers_are_short(&c, NOW_MS));
	assert_int_equal(carriers_fork(&c, &ch, &link, NOW_MS), -1);
	assert_true(c.starting.told[0] != '\0');
	assert_false(carriers_are_short(&c, NOW_MS));
	assert_int_equal(ch.n, 0);
	carriers_free(&c);
}

static void
short_page_is_not_adopted(void **state)
{
	/* nor one that cannot be mapped, nor a second one */
	struct carriers c;
	int fd = memfd_create("test", MFD_CLOEXEC), pipe_fds[2];

	(void)state;
	carriers_init(&c);
	assert_false(carriers_adopt(&c, 0, 1));
	assert_false(carriers_adopt_page(&c, fd));
	assert_int_equal(ftruncate(fd, CARRIERS_MAX * sizeof(uint32_t) - 1), 0);
	assert_false(carriers_adopt_page(&c, fd));
	assert_int_equal(pipe(pipe_fds), 0);
	assert_false(carriers_adopt_page(&c, pipe_fds[0]));
	assert_int_equal(ftruncate(fd, CARRIERS_MAX * sizeof(uint32_t)), 0);
	assert_true(carriers_adopt_page(&c, fd));
	assert_false(carriers_adopt_page(&c, fd));
	assert_true(carriers_adopt(&c, 0, 1));
	c.nstreams[0] = 3;
	/* what was adopted stays when some more may be started */
	assert_int_equal(carriers_open(&c, 10, 100), 0);
	assert_int_equal(carriers_count_streams(&c), 3);
	assert_int_equal(c.page_fd, fd);
	carriers_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_started_when_room_is_short),
		cmocka_unit_test(carrier_has_a_slot_and_a_door),
		cmocka_unit_test(slots_are_used_again),
		cmocka_unit_test(next_one_waits_if_it_lived_shortly),
		cmocka_unit_test(those_who_come_are_looked_at_again),
		cmocka_unit_test(no_more_than_there_are_slots),
		cmocka_unit_test(short_page_is_not_adopted),
	};

	return cmocka_run_group_tests_name("carriers", tests, NULL, NULL);
}
