/* SPDX-License-Identifier: ISC */
/* pool.h: who gets a connection, who counts as what, and what becomes of those
 * that were killed.  With real processes. */
#include "parent/pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/unit.h"

#define NOW_MS 1000000

static const struct accepted connection = { STDIN_FILENO, ADMISSION_OPEN };

/* A responder that waits at once, and serves by writing its number to out_fd.
 * With out_fd -1 it serves for ever what it has. */
static pid_t
start(struct pool *p, struct children *ch, enum admission admission, int out_fd)
{
	struct place place;
	struct accepted a;
	pid_t pid = pool_fork(p, ch, admission, &place, NOW_MS), self;

	if (pid == 0) {
		alarm(60);
		pool_close(p);
		if (out_fd == -1)
			for (;;)
				pause();
		while (place_wait(&place, &a)) {
			self = getpid();
			if (write(out_fd, &self, sizeof(self)) == -1)
				break;
			close(a.fd);
		}
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void
wait_until_waiting(const struct pool *p, size_t place)
{
	while (atomic_load(&p->states[place]) != PLACE_WAITING)
		usleep(1000);
}

static pid_t
who_served(int fd)
{
	pid_t pid;

	assert_int_equal(read(fd, &pid, sizeof(pid)), sizeof(pid));
	return pid;
}

static void
kill_and_reap(struct pool *p, struct children *ch, pid_t pid)
{
	struct child ended;
	siginfo_t info;

	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(children_reap(ch, &ended));
	assert_int_equal(ended.pid, pid);
	assert_int_equal(ended.kind, CHILD_POOLED);
	pool_ended(p, ended.pid);
}

static void
end_all(struct children *ch)
{
	size_t i;

	for (i = 0; i < ch->n; i++)
		kill(ch->list[i].pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	children_free(ch);
}

static void
first_that_waits_serves(void **state)
{
	/* again and again; when nobody waits nobody gets it */
	struct children ch = { 0 };
	struct pool p;
	pid_t first, second;
	int fds[2], i;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pool_open(&p);
	assert_false(pool_send(&p, &connection, NOW_MS));
	first = start(&p, &ch, ADMISSION_OPEN, fds[1]);
	second = start(&p, &ch, ADMISSION_OPEN, fds[1]);
	for (i = 0; i < 10; i++) {
		wait_until_waiting(&p, 0);
		wait_until_waiting(&p, 1);
		assert_true(pool_send(&p, &connection, NOW_MS));
		assert_int_equal(who_served(fds[0]), first);
	}
	wait_until_waiting(&p, 0);
	kill(first, SIGSTOP); /* what it gets it does not serve yet */
	assert_true(pool_send(&p, &connection, NOW_MS));
	assert_true(pool_send(&p, &connection, NOW_MS));
	assert_int_equal(who_served(fds[0]), second);
	wait_until_waiting(&p, 1);
	kill(second, SIGSTOP);
	assert_true(pool_send(&p, &connection, NOW_MS));
	assert_false(pool_send(&p, &connection, NOW_MS));
	kill_and_reap(&p, &ch, first);
	kill_and_reap(&p, &ch, second);
	children_free(&ch);
}

static void
killed_one_gets_nothing(void **state)
{
	/* it is not reaped yet, and had said that it waits: the next one serves */
	struct children ch = { 0 };
	struct pool p;
	siginfo_t info;
	pid_t first, second;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pool_open(&p);
	first = start(&p, &ch, ADMISSION_OPEN, fds[1]);
	second = start(&p, &ch, ADMISSION_OPEN, fds[1]);
	wait_until_waiting(&p, 0);
	wait_until_waiting(&p, 1);
	kill(first, SIGKILL);
	assert_int_equal(
	    waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
	assert_true(pool_send(&p, &connection, NOW_MS));
	assert_int_equal(who_served(fds[0]), second);
	kill_and_reap(&p, &ch, first);
	kill_and_reap(&p, &ch, second);
	assert_false(pool_send(&p, &connection, NOW_MS));
	children_free(&ch);
}

static void
they_count_as_what_they_serve(void **state)
{
	/* who waits, and who has left, as nothing */
	static const struct accepted full = { STDIN_FILENO, ADMISSION_FULL };
	struct children ch = { 0 };
	struct pool p;
	pid_t stream, refusal, waiting;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pool_open(&p);
	stream = start(&p, &ch, ADMISSION_OPEN, -1);
	refusal = start(&p, &ch, ADMISSION_STOPPING, -1);
	waiting = start(&p, &ch, ADMISSION_OPEN, fds[1]);
	wait_until_waiting(&p, 2);
	assert_int_equal(ch.count[CHILD_POOLED], 3);
	assert_int_equal(pool_count(&p, ADMISSION_OPEN), 1);
	assert_int_equal(pool_count(&p, ADMISSION_STOPPING), 1);
	assert_int_equal(pool_count(&p, ADMISSION_FULL), 0);
	kill(waiting, SIGSTOP);
	assert_true(pool_send(&p, &full, NOW_MS));
	assert_int_equal(pool_count(&p, ADMISSION_OPEN), 1);
	assert_int_equal(pool_count(&p, ADMISSION_FULL), 1);
	atomic_store(&p.states[2], PLACE_LEFT);
	assert_int_equal(pool_count(&p, ADMISSION_FULL), 0);
	kill_and_reap(&p, &ch, stream);
	assert_int_equal(pool_count(&p, ADMISSION_OPEN), 0);
	kill_and_reap(&p, &ch, refusal);
	kill_and_reap(&p, &ch, waiting);
	children_free(&ch);
}

static void
many_at_once_are_a_rush(void **state)
{
	/* when several have just begun, and nobody waits; for a millisecond
	 * after each that was forked */
	struct children ch = { 0 };
	struct pool none = { 0 }, p;
	size_t i;

	(void)state;
	pool_open(&p);
	for (i = 0; i < POOL_RUSH; i++) {
		assert_false(pool_is_rushed(&p, NOW_MS));
		start(&p, &ch, ADMISSION_OPEN, -1);
	}
	assert_true(pool_is_rushed(&p, NOW_MS));
	assert_false(pool_is_rushed(&p, NOW_MS + 1));
	atomic_store(&p.states[3], PLACE_WAITING);
	assert_false(pool_is_rushed(&p, NOW_MS));
	assert_true(pool_send(&p, &connection, NOW_MS));
	assert_true(pool_is_rushed(&p, NOW_MS));
	/* one that serves for long will not wait soon */
	p.members[5].since_ms = NOW_MS - POOL_SOON_MS;
	assert_false(pool_is_rushed(&p, NOW_MS));
	assert_false(pool_is_rushed(&none, NOW_MS));
	end_all(&ch);
}

static void
places_are_limited(void **state)
{
	/* who finds none, or no pool, serves once; a place that is free again is
	 * taken again */
	static const struct {
		enum admission admission;
		enum child_kind want;
	} table[] = { { ADMISSION_OPEN, CHILD_STREAM },
		{ ADMISSION_FULL, CHILD_REFUSAL },
		{ ADMISSION_STOPPING, CHILD_REFUSAL } };
	struct children ch = { 0 };
	struct pool none = { 0 }, p;
	size_t i;

	(void)state;
	pool_open(&p);
	for (i = 0; i < POOL_PLACES; i++)
		start(&p, &ch, ADMISSION_OPEN, -1);
	assert_int_equal(ch.count[CHILD_POOLED], POOL_PLACES);
	for (i = 0; i < ROWS(table); i++) {
		start(&p, &ch, table[i].admission, -1);
		assert_int_equal(ch.list[ch.n - 1].kind, table[i].want);
		start(&none, &ch, table[i].admission, -1);
		assert_int_equal(ch.list[ch.n - 1].kind, table[i].want);
	}
	assert_int_equal(pool_count(&p, ADMISSION_OPEN), POOL_PLACES);
	kill_and_reap(&p, &ch, ch.list[10].pid);
	start(&p, &ch, ADMISSION_OPEN, -1);
	assert_int_equal(ch.count[CHILD_POOLED], POOL_PLACES);
	end_all(&ch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_that_waits_serves),
		cmocka_unit_test(killed_one_gets_nothing),
		cmocka_unit_test(they_count_as_what_they_serve),
		cmocka_unit_test(many_at_once_are_a_rush),
		cmocka_unit_test(places_are_limited),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
