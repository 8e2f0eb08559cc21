/* SPDX-License-Identifier: ISC */
/*
 * log.h: one line, one write, and nothing in it that moves a terminal.  The
 * standard error is a socket that keeps each write apart from the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "test/unit/unit.h"

static int kept_stderr = -1, heard = -1;
static char line[20000]; /* the last write, NUL-terminated */

static int
catch_stderr(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	heard = fds[0];
	kept_stderr = dup(STDERR_FILENO);
	if (kept_stderr == -1 || dup2(fds[1], STDERR_FILENO) == -1)
		return -1;
	close(fds[1]);
	log_set_role(NULL);
	return log_open("stderr", false);
}

static int
release_stderr(void **state)
{
	(void)state;
	if (kept_stderr != -1) {
		dup2(kept_stderr, STDERR_FILENO);
		close(kept_stderr);
		kept_stderr = -1;
	}
	if (heard != -1)
		close(heard);
	heard = -1;
	log_set_role(NULL);
	return log_open("stderr", false);
}

/* The next write to the standard error, into line; its length, 0 if none. */
static size_t
hear(void)
{
	ssize_t n = recv(heard, line, sizeof(line) - 1, MSG_DONTWAIT);

	if (n < 0)
		n = 0;
	line[n] = '\0';
	return (size_t)n;
}

/* what a line must be, after any time stamp */
static const char *
wanted(const char *role_and_level, const char *text)
{
	static char want[20000];

	snprintf(want, sizeof(want), "%s[%ld]%s: %s\n",
	    program_invocation_short_name, (long)getpid(), role_and_level,
	    text);
	return want;
}

static void
line_names_its_level(void **state)
{
	/* each level is named after the program, its pid and its role */
	(void)state;
	log_error("a %s %d", "b", 3);
	hear();
	assert_string_equal(line, wanted(": error", "a b 3"));
	log_warn("w");
	hear();
	assert_string_equal(line, wanted(": warn", "w"));
	log_info("i");
	hear();
	assert_string_equal(line, wanted(": info", "i"));
	log_set_role("recorder");
	log_info("%s", "");
	hear();
	assert_string_equal(line, wanted(" recorder: info", ""));
	assert_int_equal(hear(), 0);
}

static void
debug_lines_come_with_debug(void **state)
{
	/* debug lines come only with --debug */
	(void)state;
	log_debug("quiet");
	assert_int_equal(hear(), 0);
	assert_int_equal(log_open("stderr", true), 0);
	log_debug("loud");
	hear();
	assert_string_equal(line, wanted(": debug", "loud"));
	assert_int_equal(log_open("stderr", false), 0);
	log_debug("quiet again");
	assert_int_equal(hear(), 0);
	log_info("still here");
	assert_true(hear() > 0);
}

static void
control_characters_are_replaced(void **state)
{
	/* of what strangers send no control character leaves, so that nobody
	 * forges a second line or moves a terminal; UTF-8 does */
	static const struct {
		const char *sent, *want;
	} table[] = {
		{ "a\nb", "a?b" },
		{ "a\r\nerror: forged", "a??error: forged" },
		{ "\x1b[31mred", "?[31mred" },
		{ "a\tb\vc\fd\be\af", "a?b?c?d?e?f" },
		{ "a\x01z\x1f\x7f", "a?z??" },
		{ "\n", "?" },
		{ "a\n", "a?" },
		{ "caf\xc3\xa9 \xf0\x9f\x98\x80",
		    "caf\xc3\xa9 \xf0\x9f\x98\x80" },
		{ "%s %n %m", "%s %n %m" },
		{ " ~!", " ~!" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		log_error("%s", table[i].sent);
		hear();
		assert_string_equal(line, wanted(": error", table[i].want));
		assert_int_equal(hear(), 0);
	}
}

static void
long_lines_are_cut(void **state)
{
	/* a line of any length is one write of less than 4 KiB, and ends */
	static const int lengths[] = { 100, 3700, 3839, 3840, 3841, 4096,
		9999 };
	char role[9999], name[] = "recorder";
	size_t i, len;

	(void)state;
	for (i = 0; i < ROWS(lengths); i++) {
		log_error("%0*d", lengths[i], 0);
		len = hear();
		assert_true(len > 0 && len <= 4096);
		assert_true(strchr(line, '\n') == line + len - 1);
		assert_int_equal(hear(), 0);
		if (lengths[i] < 3840)
			assert_true(len > (size_t)lengths[i]);
	}
	memset(role, 'r', sizeof(role));
	role[sizeof(role) - 1] = '\0';
	log_set_role(role);
	log_error("%05000d", 0);
	len = hear();
	assert_true(len > 3900 && len <= 4096);
	assert_true(line[len - 1] == '\n');
	log_set_role(name);
}

static void
logging_keeps_errno(void **state)
{
	/* logging leaves errno as it was, also when nobody can be told */
	struct trouble t = { "" };

	(void)state;
	errno = ENOENT;
	log_error("open");
	assert_int_equal(errno, ENOENT);
	trouble_tell(&t, "open");
	trouble_over(&t, "over");
	assert_int_equal(errno, ENOENT);
	close(STDERR_FILENO);
	errno = EINTR;
	log_error("lost");
	assert_int_equal(errno, EINTR);
}

static void
trouble_is_told_once(void **state)
{
	/* a line when it begins, when it has another reason, and when it
	 * ends; each trouble by itself */
	static const struct {
		enum { TELL_A, TELL_B, OVER_A, OVER_B } call;
		const char *reason, *level, *want; /* NULL: no line */
	} table[] = {
		{ OVER_A, "right", NULL, NULL },
		{ TELL_A, "one", ": error", "a: one" },
		{ TELL_A, "one", NULL, NULL },
		{ TELL_B, "one", ": error", "b: one" },
		{ TELL_A, "one", NULL, NULL },
		{ TELL_A, "two", ": error", "a: two" },
		{ TELL_A, "two", NULL, NULL },
		{ TELL_A, "tw", ": error", "a: tw" },
		{ TELL_A, "one", ": error", "a: one" },
		{ OVER_A, "right", ": info", "a: right" },
		{ OVER_A, "right", NULL, NULL },
		{ TELL_B, "one", NULL, NULL },
		{ TELL_A, "one", ": error", "a: one" },
		{ OVER_B, "right", ": info", "b: right" },
		{ TELL_A, "one", NULL, NULL },
	};
	struct trouble a = { "" }, b = { "" };
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		switch (table[i].call) {
		case TELL_A:
			trouble_tell(&a, "a: %s", table[i].reason);
			break;
		case TELL_B:
			trouble_tell(&b, "b: %s", table[i].reason);
			break;
		case OVER_A:
			trouble_over(&a, "a: %s", table[i].reason);
			break;
		case OVER_B:
			trouble_over(&b, "b: %s", table[i].reason);
			break;
		}
		if (hear() == 0 && table[i].want != NULL)
			fail_msg("row %zu: nothing", i);
		assert_string_equal(
		    line, table[i].want == NULL
			      ? ""
			      : wanted(table[i].level, table[i].want));
		assert_int_equal(hear(), 0);
	}
}

static void
cause_is_told_once(void **state)
{
	/* a line when it begins, and when its cause is another, whatever the
	 * text names; no cause is one, too */
	static const struct {
		const char *cause, *name;
		bool is_told;
	} table[] = {
		{ "one", "a", true },
		{ "one", "b", false },
		{ "two", "b", true },
		{ "two", "a", false },
		{ "", "a", true },
		{ "", "b", false },
		{ "one", "a", true },
	};
	struct trouble t = { "" };
	char want[20];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		trouble_tell_cause(&t, table[i].cause, "%s: %s", table[i].name,
		    table[i].cause);
		snprintf(want, sizeof(want), "%s: %s", table[i].name,
		    table[i].cause);
		if ((hear() != 0) != table[i].is_told)
			fail_msg("row %zu: <%s>", i, line);
		if (table[i].is_told)
			assert_string_equal(line, wanted(": error", want));
	}
	trouble_over(&t, "right");
	hear();
	assert_string_equal(line, wanted(": info", "right"));
	trouble_over(&t, "right");
	assert_int_equal(hear(), 0);
}

static void
long_trouble_is_told_whole(void **state)
{
	/* of a long text the line has all, and once, too */
	struct trouble t = { "" };
	size_t len;

	(void)state;
	trouble_tell(&t, "%0*d", 1000, 0);
	len = hear();
	assert_true(len > 1000);
	trouble_tell(&t, "%0*d", 1000, 0);
	assert_int_equal(hear(), 0);
	trouble_over(&t, "%0*d", 1000, 0);
	assert_true(hear() > 1000);
	assert_int_equal(t.told[0], '\0');
}

static void
read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd != -1);
	n = read(fd, line, sizeof(line) - 1);
	assert_true(n >= 0);
	line[n] = '\0';
	close(fd);
}

static void
file_is_appended_to(void **state)
{
	/* a file is appended to, each line after the time in UTC; the standard
	 * error hears nothing; a file that cannot be opened leaves all as it
	 * was, but for debug */
	char path[] = "/tmp/log_test.XXXXXX", *end;
	time_t before, stamp;
	struct tm tm = { 0 };
	struct stat st;
	int fd, first_free;

	(void)state;
	assert_true((first_free = dup(STDERR_FILENO)) != -1);
	close(first_free);
	assert_true((fd = mkstemp(path)) != -1);
	assert_true(write(fd, "old\n", 4) == 4);
	close(fd);
	assert_int_equal(log_open(path, false), 0);
	before = time(NULL);
	log_error("one\ntwo");
	assert_int_equal(hear(), 0);
	read_file(path);
	assert_memory_equal(line, "old\n", 4);
	end = strptime(line + 4, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	assert_non_null(end);
	assert_string_equal(end, wanted(": error", "one?two"));
	assert_int_equal(end - line, 4 + 21);
	stamp = timegm(&tm);
	assert_true(stamp >= before && stamp <= before + 10);

	errno = 0;
	assert_int_equal(log_open("/nonexistent/log", true), -1);
	assert_int_equal(errno, ENOENT);
	log_warn("three");
	assert_int_equal(hear(), 0);
	read_file(path);
	assert_non_null(strstr(line, ": warn: three\n"));
	assert_int_equal(unlink(path), 0);

	/* one that is not there is made, and not for everybody to read */
	assert_int_equal(log_open(path, false), 0);
	log_info("%05000d", 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
	assert_true(st.st_size > 3850 && st.st_size <= 4096);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(log_open("stderr", false), 0);
	log_info("back");
	assert_true(hear() > 0);
	/* no file stays open */
	assert_int_equal(fd = dup(STDERR_FILENO), first_free);
	close(fd);
}

#define TEST(function)                                                         \
	cmocka_unit_test_setup_teardown(function, catch_stderr, release_stderr)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(line_names_its_level),
		TEST(debug_lines_come_with_debug),
		TEST(control_characters_are_replaced),
		TEST(long_lines_are_cut),
		TEST(logging_keeps_errno),
		TEST(trouble_is_told_once),
		TEST(cause_is_told_once),
		TEST(long_trouble_is_told_whole),
		TEST(file_is_appended_to),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
