/* SPDX-License-Identifier: ISC */
/* kept.h: when a kept child is started, and how it is one.  With real
 * processes. */
#include "parent/kept.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/unit.h"

#define NOW_MS 1000000

struct told {
	int death_signal;
	char name[17];
};

/* A child that says into a pipe what it is, closes its end of the ready
 * pipe at once if it is_ready, and ends when go_fd does. */
static void
run_child(int ready_fd, int told_fd, int go_fd, bool is_ready)
{
	struct told told = { .death_signal = 0 };
	char byte;

	prctl(PR_GET_PDEATHSIG, &told.death_signal);
	prctl(PR_GET_NAME, told.name);
	if (is_ready)
		close(ready_fd);
	_exit(write(told_fd, &told, sizeof(told)) != sizeof(told) ||
	      read(go_fd, &byte, 1) != 0);
}

static bool
is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void
start_and_end(
    struct kept *k, struct children *ch, struct told *told, bool is_ready)
{
	struct pollfd pfd = { .events = POLLIN };
	int told_fds[2], go_fds[2], ready_fd;
	struct child ended;
	siginfo_t info;
	pid_t pid;

	assert_int_equal(pipe(told_fds), 0);
	assert_int_equal(pipe(go_fds), 0);
	pid = kept_fork(k, ch, &ready_fd, NOW_MS);
	if (pid == 0) {
		close(go_fds[1]);
		run_child(ready_fd, told_fds[1], go_fds[0], is_ready);
	}
	assert_true(pid > 0);
	assert_false(kept_is_due(k, ch, NOW_MS + 1000000));
	assert_int_equal(read(told_fds[0], told, sizeof(*told)), sizeof(*told));
	assert_int_equal(kept_ready_due_ms(k), NOW_MS + 2000);
	pfd.fd = k->ready_fd;
	if (is_ready)
		assert_int_equal(poll(&pfd, 1, -1), 1);
	else
		assert_false(is_readable(k->ready_fd));
	close(go_fds[0]);
	close(go_fds[1]);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_status, 0);
	/* who waits for one that dies waits no longer */
	assert_true(is_readable(k->ready_fd));
	close(told_fds[0]);
	close(told_fds[1]);
	assert_true(children_reap(ch, &ended));
	assert_int_equal(ended.kind, CHILD_RECORDER);
	kept_ended(k, NOW_MS + 5000);
	assert_int_equal(k->ready_fd, -1);
	assert_true(kept_ready_due_ms(k) < 0);
}

static void
child_is_awaited_and_named(void **state)
{
	/* it has its name, and does not outlive its parent; it is awaited until
	 * it says that it is ready, or ends; then there is another */
	struct children ch = { 0 };
	struct told told;
	struct kept k;
	int is_ready;

	(void)state;
	kept_init(&k, CHILD_RECORDER, "kept-child");
	assert_true(kept_is_due(&k, &ch, NOW_MS));
	for (is_ready = 0; is_ready < 2; is_ready++) {
		start_and_end(&k, &ch, &told, is_ready != 0);
		assert_string_equal(told.name, "kept-child");
		assert_int_equal(told.death_signal, SIGTERM);
		assert_true(kept_is_due(&k, &ch, NOW_MS + 5000));
	}
	children_free(&ch);
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
		{ 0, 1000, 2000 },
		{ 5000, 0, 0 },
		{ 0, 50, 100 },
	};
	struct children ch = { 0 };
	struct kept k;
	size_t i;

	(void)state;
	kept_init(&k, CHILD_RECORDER, "kept-child");
	for (i = 0; i < ROWS(table); i++) {
		k.started_ms = NOW_MS;
		kept_ended(&k, NOW_MS + table[i].lived_ms);
		assert_in_range(k.due_ms - NOW_MS - table[i].lived_ms,
		    table[i].min_ms, table[i].max_ms);
		assert_false(kept_is_due(&k, &ch, k.due_ms - 1));
		assert_true(kept_is_due(&k, &ch, k.due_ms));
	}
}

static void
failed_fork_is_tried_again(void **state)
{
	/* without a process to be had it is due later, and no descriptor stays
	 * open */
	const struct rlimit none = { 0, 0 };
	struct children ch = { 0 };
	struct kept k;
	int status, fd, ready_fd;
	pid_t pid = fork();

	(void)state;
	assert_true(pid != -1);
	if (pid == 0) {
		/* root has no such limit */
		if (setuid(65534) == -1 && getuid() == 0)
			_exit(77);
		setrlimit(RLIMIT_NPROC, &none);
		kept_init(&k, CHILD_RECORDER, "kept-child");
		fd = dup(0);
		close(fd);
		if (kept_fork(&k, &ch, &ready_fd, NOW_MS) != -1)
			_exit(1);
		if (k.ready_fd != -1 || k.due_ms < NOW_MS + 50 ||
		    k.due_ms > NOW_MS + 100 || k.forking.told[0] == '\0' ||
		    ch.n != 0)
			_exit(2);
		_exit(dup(0) == fd ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_is_awaited_and_named),
		cmocka_unit_test(next_one_waits_if_it_lived_shortly),
		cmocka_unit_test(failed_fork_is_tried_again),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
