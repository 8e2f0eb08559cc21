/* SPDX-License-Identifier: ISC */
/* handover.h: what one image of the parent leaves to the next.  Here the same
 * process is both. */
#include "parent/handover.h"

#include <fcntl.h>
#include <unistd.h>

#include "test/unit/unit.h"

static struct parent_state
fresh(void)
{
	struct parent_state st = { .listen_fd = -1 };

	kept_init(&st.recorder, CHILD_RECORDER, "kept-child");
	return st;
}

static void
next_image_finds_all(void **state)
{
	/* the socket, which stays open over the exec and no longer, the
	 * children and the recorder's token; once */
	struct parent_state old = fresh(), new = fresh();

	(void)state;
	old.listen_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	memcpy(
	    old.recorder.token, "0123456789abcdef0123456789abcdef", TOKEN_SIZE);
	children_add(&old.children, 11, CHILD_STREAM);
	children_add(&old.children, 12, CHILD_RECORDER);
	children_add(&old.children, 13, CHILD_STREAM);
	children_add(&old.children, 14, CHILD_REFUSAL);
	assert_true(handover_write(&old) != -1);
	assert_int_equal(fcntl(old.listen_fd, F_GETFD), 0);

	assert_int_equal(handover_read(&new), 0);
	assert_int_equal(new.listen_fd, old.listen_fd);
	assert_int_equal(fcntl(new.listen_fd, F_GETFD), FD_CLOEXEC);
	assert_string_equal(new.recorder.token, old.recorder.token);
	assert_string_equal(new.recorder.name, "kept-child");
	assert_int_equal(new.recorder.ready_fd, -1);
	assert_int_equal(new.children.n, 4);
	assert_int_equal(new.children.count[CHILD_STREAM], 2);
	assert_int_equal(new.children.count[CHILD_RECORDER], 1);
	assert_int_equal(new.children.count[CHILD_REFUSAL], 1);
	assert_int_equal(new.children.list[1].pid, 12);
	children_free(&new.children);

	new = fresh();
	assert_int_equal(handover_read(&new), -1);
	assert_int_equal(new.listen_fd, -1);
	close(old.listen_fd);
	children_free(&old.children);
}

static void
failed_exec_leaves_no_trace(void **state)
{
	/* what was put there is taken back, and no child inherits the socket */
	struct parent_state old = fresh(), new = fresh();
	int fd;

	(void)state;
	old.listen_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_true((fd = handover_write(&old)) != -1);
	handover_undo(&old, fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(fcntl(old.listen_fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_read(&new), -1);
	close(old.listen_fd);
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
		cmocka_unit_test(failed_exec_leaves_no_trace),
		cmocka_unit_test(leaked_variable_means_nothing),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
