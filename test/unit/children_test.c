/* SPDX-License-Identifier: ISC */
/* children.h: counts, reaping, and who gets a signal.  With real processes. */
#include "parent/children.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/unit.h"

/* A child that lives until a signal ends it. */
static pid_t
start(struct children *ch, enum child_kind kind)
{
	pid_t pid = children_fork(ch, kind);

	if (pid == 0) {
		alarm(60);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void
wait_until_ended(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void
counts_by_kind(void **state)
{
	/* a fork counts, a reap uncounts; a signal reaches its kind only */
	struct children ch = { 0 };
	struct child ended;
	pid_t stream, recorder;

	(void)state;
	stream = start(&ch, CHILD_STREAM);
	recorder = start(&ch, CHILD_RECORDER);
	assert_int_equal(ch.count[CHILD_STREAM], 1);
	assert_int_equal(ch.count[CHILD_REFUSAL], 0);
	assert_int_equal(ch.count[CHILD_RECORDER], 1);
	assert_false(children_reap(&ch, &ended));

	children_signal(&ch, CHILD_STREAM, SIGKILL);
	wait_until_ended(stream);
	assert_true(children_reap(&ch, &ended));
	assert_int_equal(ended.kind, CHILD_STREAM);
	assert_int_equal(ch.count[CHILD_STREAM], 0);
	assert_int_equal(ch.count[CHILD_RECORDER], 1);
	assert_int_equal(kill(recorder, 0), 0);
	assert_false(children_reap(&ch, &ended));

	children_signal(&ch, CHILD_RECORDER, SIGKILL);
	wait_until_ended(recorder);
	assert_true(children_reap(&ch, &ended));
	assert_int_equal(ended.kind, CHILD_RECORDER);
	assert_int_equal(ch.n, 0);
	children_free(&ch);
}

static void
strangers_are_reaped(void **state)
{
	/* one that is in no list is
	 * reaped, too, and hides none after it */
	struct children ch = { 0 };
	struct child ended;
	pid_t stranger = fork(), ours;

	(void)state;
	if (stranger == 0)
		_exit(0);
	ours = start(&ch, CHILD_REFUSAL);
	children_signal(&ch, CHILD_REFUSAL, SIGKILL);
	wait_until_ended(stranger);
	wait_until_ended(ours);
	assert_true(children_reap(&ch, &ended));
	assert_int_equal(ended.kind, CHILD_REFUSAL);
	assert_false(children_reap(&ch, &ended));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	children_free(&ch);
}

static void
list_grows(void **state)
{
	/* the list grows; each keeps its kind */
	struct children ch = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(children_add(&ch, (pid_t)(i + 1),
				     i % 2 ? CHILD_STREAM : CHILD_REFUSAL),
		    0);
	assert_int_equal(ch.n, 1000);
	assert_int_equal(ch.count[CHILD_STREAM], 500);
	assert_int_equal(ch.count[CHILD_REFUSAL], 500);
	for (i = 0; i < 1000; i++)
		assert_int_equal(ch.list[i].pid, i + 1);
	children_free(&ch);
	assert_int_equal(ch.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_by_kind),
		cmocka_unit_test(strangers_are_reaped),
		cmocka_unit_test(list_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
