/* SPDX-License-Identifier: ISC */
/* handover.h: what one image of the parent leaves to the next.  Here the same
 * process is both. */
#include "parent/handover.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/unit/unit.h"

static struct parent_state
fresh(void)
{
	struct parent_state st;

	state_init(&st);
	return st;
}

/* A parent with a socket, or what stands for one, a pipe, and carriers. */
static struct parent_state
working(void)
{
	struct parent_state st = fresh();

	st.listen_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(pipe2(st.life, O_CLOEXEC), 0);
	assert_int_equal(carriers_open(&st.carriers, 10, 100), 0);
	return st;
}

static void
stop(struct parent_state *st)
{
	int i;

	close(st->listen_fd);
	for (i = 0; i < 2; i++)
		if (st->life[i] != -1)
			close(st->life[i]);
	state_free(st);
}

/* Are all its descriptors closed by an exec (FD_CLOEXEC), or none (0)? */
static void
check_flags(const struct parent_state *st, int want)
{
	assert_int_equal(fcntl(st->listen_fd, F_GETFD), want);
	assert_int_equal(fcntl(st->life[0], F_GETFD), want);
	assert_int_equal(fcntl(st->life[1], F_GETFD), want);
	assert_int_equal(fcntl(st->carriers.page_fd, F_GETFD), want);
	/* the next image has a door of its own */
	if (st->carriers.door[0] != -1) {
		assert_int_equal(
		    fcntl(st->carriers.door[0], F_GETFD), FD_CLOEXEC);
		assert_int_equal(
		    fcntl(st->carriers.door[1], F_GETFD), FD_CLOEXEC);
	}
}

static void
next_image_knows_what_was(void **state)
{
	/* the version before it, and whether the password file is another than
	 * at that one's start; nothing where no file can be read */
	static const struct {
		const char *path, *at_start, *want;
	} table[] = {
		{ "/proc/self/comm", "handover_test", "same" },
		{ "/proc/self/comm", "handover", "changed" },
		{ "/proc/self/comm", NULL, "changed" },
		{ "/nonexistent/password", "x", "" },
		{ NULL, "x", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		struct parent_state old = working(), new = fresh();
		struct config cfg = { .redis.password_file = table[i].path };

		if (table[i].at_start != NULL)
			cfg.redis.password = strdup(table[i].at_start);
		handover_note_password(&old, &cfg);
		assert_true(handover_write(&old) != -1);
		assert_int_equal(handover_read(&new), 0);
		assert_string_equal(new.version, FCGI_SSE_VERSION);
		assert_string_equal(new.password, table[i].want);
		new.carriers.page_fd = -1; /* it is old's */
		state_free(&new);
		free(cfg.redis.password);
		stop(&old);
	}
}

static void
next_image_finds_all(void **state)
{
	/* the socket, both ends of the pipe and the carriers' page, which stay
	 * open over the exec and no longer, and the children; once */
	struct parent_state old = working(), new = fresh();

	(void)state;
	children_add(&old.children, 11, CHILD_STREAM);
	children_add(&old.children, 12, CHILD_RECORDER);
	children_add(&old.children, 13, CHILD_STREAM);
	children_add(&old.children, 14, CHILD_REFUSAL);
	children_add(&old.children, 15, CHILD_POOLED);
	children_add(&old.children, 16, CHILD_CARRIER);
	children_add(&old.children, 17, CHILD_CARRIER);
	assert_true(carriers_adopt(&old.carriers, 0, 17));
	assert_true(carriers_adopt(&old.carriers, 5, 16));
	old.carriers.nstreams[0] = 7;
	old.carriers.nstreams[5] = 8;
	old.carriers.nstreams[6] = 100; /* nobody's */
	check_flags(&old, FD_CLOEXEC);
	assert_true(handover_write(&old) != -1);
	check_flags(&old, 0);

	assert_int_equal(handover_read(&new), 0);
	assert_int_equal(new.listen_fd, old.listen_fd);
	assert_int_equal(new.life[0], old.life[0]);
	assert_int_equal(new.life[1], old.life[1]);
	check_flags(&new, FD_CLOEXEC);
	assert_string_equal(new.recorder.name, "sse-recorder");
	assert_int_equal(new.recorder.ready_fd, -1);
	assert_int_equal(new.children.n, 7);
	/* nobody sends to a pooled responder any more */
	assert_int_equal(new.children.count[CHILD_STREAM], 3);
	assert_int_equal(new.children.count[CHILD_POOLED], 0);
	assert_int_equal(new.children.count[CHILD_CARRIER], 2);
	assert_int_equal(new.children.count[CHILD_RECORDER], 1);
	assert_int_equal(new.children.count[CHILD_REFUSAL], 1);
	assert_int_equal(new.children.list[1].pid, 12);
	/* both look at the same numbers */
	assert_int_equal(new.carriers.page_fd, old.carriers.page_fd);
	assert_int_equal(carriers_count_streams(&new.carriers), 15);
	old.carriers.nstreams[5] = 1;
	assert_int_equal(carriers_count_streams(&new.carriers), 8);
	new.carriers.page_fd = -1;
	state_free(&new);

	new = fresh();
	assert_int_equal(handover_read(&new), -1);
	assert_int_equal(new.listen_fd, -1);
	assert_int_equal(new.life[0], -1);
	assert_int_equal(new.carriers.page_fd, -1);
	stop(&old);
}

static void
parent_without_a_pipe_hands_over_the_rest(void **state)
{
	struct parent_state old = fresh(), new = fresh();

	(void)state;
	old.listen_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_true(handover_write(&old) != -1);
	assert_int_equal(handover_read(&new), 0);
	assert_int_equal(new.listen_fd, old.listen_fd);
	assert_int_equal(new.life[0], -1);
	assert_int_equal(new.life[1], -1);
	stop(&old);
}

static void
failed_exec_leaves_no_trace(void **state)
{
	/* what was put there is taken back, and no child inherits the socket or
	 * the pipe */
	struct parent_state old = working(), new = fresh();
	int fd;

	(void)state;
	assert_true((fd = handover_write(&old)) != -1);
	handover_undo(&old, fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	check_flags(&old, FD_CLOEXEC);
	assert_int_equal(handover_read(&new), -1);
	stop(&old);
}

/* Text that an image left. */
static void
write_state(const char *text)
{
	char value[32];
	int fd = memfd_create("test", 0);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	snprintf(value, sizeof(value), "%d %d", (int)getpid(), fd);
	setenv("FCGI_SSE_HANDOVER", value, 1);
}

static void
lines_of_other_versions_are_skipped(void **state)
{
	/* what is not known says nothing */
	struct parent_state st = fresh();
	char text[100];
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)state;
	snprintf(text, sizeof(text),
	    "token abc\nlisten %d\nlife x\nlife -1\nlifeline 7\nstream 1x\n"
	    "page x\nslot 1 5\nslot x\nslot\n",
	    fd);
	write_state(text);
	assert_int_equal(handover_read(&st), 0);
	assert_int_equal(st.listen_fd, fd);
	assert_int_equal(st.life[0], -1);
	assert_int_equal(st.children.n, 0);
	assert_int_equal(st.carriers.nused, 0);
	close(fd);
	st = fresh();
	write_state("token abc\n");
	assert_int_equal(handover_read(&st), -1);
}

static void
leaked_variable_means_nothing(void **state)
{
	/* another process' state is not ours */
	static const char *const values[] = { "", "x", "1", "1 0", "0 0",
		"-1 0", "99999999999 0" };
	struct parent_state st = fresh();
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(values); i++) {
		setenv("FCGI_SSE_HANDOVER", values[i], 1);
		assert_int_equal(handover_read(&st), -1);
		assert_int_equal(st.listen_fd, -1);
		assert_null(getenv("FCGI_SSE_HANDOVER"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_image_finds_all),
		cmocka_unit_test(next_image_knows_what_was),
		cmocka_unit_test(parent_without_a_pipe_hands_over_the_rest),
		cmocka_unit_test(failed_exec_leaves_no_trace),
		cmocka_unit_test(lines_of_other_versions_are_skipped),
		cmocka_unit_test(leaked_variable_means_nothing),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
