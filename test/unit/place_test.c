/* SPDX-License-Identifier: ISC */
/* place.h: what a responder that waits gets, and when it ends.  The test is its
 * parent. */
#include "parent/place.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "test/unit/unit.h"

static const unsigned char open_bytes[] = { ADMISSION_OPEN };

struct fixture {
	struct place place;
	_Atomic uint32_t state;
	int parent_fd;
};

static void
set_up(struct fixture *f)
{
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	f->parent_fd = pair[0];
	f->state = PLACE_BUSY;
	f->place = (struct place){ .fd = pair[1], .state = &f->state };
}

static void
tear_down(struct fixture *f)
{
	close(f->parent_fd);
	close(f->place.fd);
}

static void
on_signal(int sig)
{
	(void)sig;
}

/* SIGTERM is blocked and has a handler, as in a responder. */
static void
catch_stop(void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void
connection_comes(void **state)
{
	/* with what the parent says about it; the state is the parent's then */
	static const enum admission admissions[] = { ADMISSION_OPEN,
		ADMISSION_FULL, ADMISSION_STOPPING };
	unsigned char byte;
	struct accepted a;
	struct fixture f;
	size_t i;

	(void)state;
	set_up(&f);
	for (i = 0; i < ROWS(admissions); i++) {
		byte = (unsigned char)admissions[i];
		assert_int_equal(
		    fdpass_send(f.parent_fd, &byte, 1, STDIN_FILENO), 0);
		assert_true(place_wait(&f.place, &a));
		assert_int_equal(a.admission, admissions[i]);
		assert_true(a.fd > STDERR_FILENO);
		assert_int_equal(f.state, PLACE_WAITING);
		close(a.fd);
	}
	tear_down(&f);
}

static void
other_messages_end_it(void **state)
{
	/* one without a connection, an admission that nobody knows, one that is
	 * too long */
	static const struct {
		const char *msg;
		int fd;
	} table[] = { { "\0", -1 }, { "\3", STDIN_FILENO },
		{ "\0\0", STDIN_FILENO } };
	struct accepted a;
	struct fixture f;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		set_up(&f);
		fd = dup(STDIN_FILENO);
		close(fd);
		assert_int_equal(fdpass_send(f.parent_fd, table[i].msg,
				     i == 2 ? 2 : 1, table[i].fd),
		    0);
		assert_false(place_wait(&f.place, &a));
		assert_int_equal(dup(STDIN_FILENO), fd); /* none stays open */
		close(fd);
		tear_down(&f);
	}
}

static void
parent_that_is_gone_ends_it(void **state)
{
	/* at once; but what it sent before comes first */
	const int64_t began_ms = clock_now_ms();
	struct accepted a;
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_int_equal(
	    fdpass_send(f.parent_fd, open_bytes, 1, STDIN_FILENO), 0);
	close(f.parent_fd);
	assert_true(place_wait(&f.place, &a));
	close(a.fd);
	assert_false(place_wait(&f.place, &a));
	assert_true(clock_now_ms() - began_ms < PLACE_IDLE_MS / 2);
	close(f.place.fd);
}

static void
signal_ends_it(void **state)
{
	/* one that came before it waited, too; it says that it leaves */
	const int64_t began_ms = clock_now_ms();
	struct accepted a;
	struct fixture f;

	(void)state;
	catch_stop(on_signal);
	set_up(&f);
	raise(SIGTERM);
	assert_false(place_wait(&f.place, &a));
	assert_int_equal(f.state, PLACE_LEFT);
	assert_true(clock_now_ms() - began_ms < PLACE_IDLE_MS / 2);
	tear_down(&f);
}

static struct fixture *chosen;
static int choice_fd;

/* Just now the parent chooses this responder. */
static void
on_choice(int sig)
{
	(void)sig;
	atomic_store(chosen->place.state, PLACE_BUSY);
	if (write(choice_fd, "x", 1) == -1)
		_exit(1);
}

/* A parent that is slow to send. */
static pid_t
start_parent(const struct fixture *f, int fd)
{
	pid_t pid = fork();
	char byte;

	assert_true(pid != -1);
	if (pid == 0) {
		if (read(fd, &byte, 1) != 1)
			_exit(1);
		usleep(150 * 1000);
		_exit(fdpass_send(f->parent_fd, open_bytes, 1, STDIN_FILENO));
	}
	return pid;
}

static void
who_is_chosen_does_not_leave(void **state)
{
	/* a signal comes when a connection is on its way: it is served */
	struct accepted a;
	struct fixture f;
	int fds[2], status;
	pid_t pid;

	(void)state;
	set_up(&f);
	assert_int_equal(pipe(fds), 0);
	chosen = &f;
	choice_fd = fds[1];
	pid = start_parent(&f, fds[0]);
	catch_stop(on_choice);
	raise(SIGTERM);
	assert_true(place_wait(&f.place, &a));
	assert_int_equal(f.state, PLACE_BUSY);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(a.fd);
	close(fds[0]);
	close(fds[1]);
	tear_down(&f);
}

static void
it_serves_so_many(void **state)
{
	/* the parent does not choose it again */
	struct accepted a;
	struct fixture f;

	(void)state;
	set_up(&f);
	assert_int_equal(
	    fdpass_send(f.parent_fd, open_bytes, 1, STDIN_FILENO), 0);
	f.place.nserved = PLACE_SERVES_MAX - 2;
	assert_true(place_wait(&f.place, &a));
	close(a.fd);
	f.state = PLACE_BUSY;
	assert_false(place_wait(&f.place, &a));
	assert_int_equal(f.state, PLACE_LEFT);
	tear_down(&f);
}

static void
without_a_place_nothing_comes(void **state)
{
	struct place none = { .fd = -1 };
	struct accepted a;

	(void)state;
	assert_false(place_wait(&none, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection_comes),
		cmocka_unit_test(other_messages_end_it),
		cmocka_unit_test(parent_that_is_gone_ends_it),
		cmocka_unit_test(signal_ends_it),
		cmocka_unit_test(who_is_chosen_does_not_leave),
		cmocka_unit_test(it_serves_so_many),
		cmocka_unit_test(without_a_place_nothing_comes),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
