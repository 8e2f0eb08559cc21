/* SPDX-License-Identifier: ISC */
/* fdpass.h: messages and descriptors, and none that stays open by mistake. */
#include "base/fdpass.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/unit.h"

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
open_pair(int pair[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void
close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static bool
is_same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Send n times fd, past fdpass_send, which sends one at most. */
static void
send_many(int sock, int fd, size_t n)
{
	char byte = 'x', control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	size_t i;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &mh, 0), 1);
}

static void
message_and_descriptor_arrive(void **state)
{
	/* each message as one; a descriptor with the one that it was sent with,
	 * close-on-exec; the sender keeps its own */
	int pair[2], pipe_fds[2], fd, before = open_fds();
	char msg[16];

	(void)state;
	open_pair(pair);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(fdpass_send(pair[0], "abc", 3, pipe_fds[1]), 0);
	assert_int_equal(fdpass_send(pair[0], "de", 2, -1), 0);
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), 3);
	assert_memory_equal(msg, "abc", 3);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(is_same_file(fd, pipe_fds[1]));
	assert_int_equal(fcntl(pipe_fds[1], F_GETFD), 0);
	close(fd);
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), 2);
	assert_memory_equal(msg, "de", 2);
	assert_int_equal(fd, -1);
	close_pair(pipe_fds);
	close_pair(pair);
	assert_int_equal(open_fds(), before);
}

static void
nobody_waits(void **state)
{
	/* for a message, for room, for a peer that is gone */
	int pair[2], fd, sent;
	char msg[1024] = "";

	(void)state;
	open_pair(pair);
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), -1);
	assert_int_equal(errno, EAGAIN);
	for (sent = 0; fdpass_send(pair[0], msg, sizeof(msg), -1) == 0; sent++)
		;
	assert_int_equal(errno, EAGAIN);
	assert_true(sent > 0);
	/* what was sent before the end arrives */
	close(pair[0]);
	for (; sent > 0; sent--)
		assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd),
		    sizeof(msg));
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(fdpass_send(pair[1], "x", 1, STDIN_FILENO), -1);
	assert_int_equal(errno, EPIPE);
	close(pair[1]);
}

static void
surplus_descriptors_are_closed(void **state)
{
	/* one of several is kept; with more than anybody sends the message is
	 * refused */
	static const struct {
		size_t n;
		ssize_t want;
	} table[] = { { 1, 1 }, { 2, 1 }, { 4, 1 }, { 5, -1 }, { 16, -1 } };
	int pair[2], fd, before = open_fds();
	char byte;
	size_t i;

	(void)state;
	open_pair(pair);
	for (i = 0; i < ROWS(table); i++) {
		send_many(pair[0], STDIN_FILENO, table[i].n);
		assert_int_equal(
		    fdpass_receive(pair[1], &byte, 1, &fd), table[i].want);
		assert_int_equal(fd != -1, table[i].want == 1);
		if (fd == -1)
			assert_int_equal(errno, EMSGSIZE);
		else
			close(fd);
		assert_int_equal(open_fds(), before + 2);
	}
	close_pair(pair);
}

static void
cut_message_is_refused(void **state)
{
	/* with its descriptor; the next one arrives */
	int pair[2], fd, before = open_fds();
	char msg[2];

	(void)state;
	open_pair(pair);
	assert_int_equal(fdpass_send(pair[0], "abc", 3, STDIN_FILENO), 0);
	assert_int_equal(fdpass_send(pair[0], "de", 2, STDIN_FILENO), 0);
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(fd, -1);
	assert_int_equal(open_fds(), before + 2);
	assert_int_equal(fdpass_receive(pair[1], msg, sizeof(msg), &fd), 2);
	assert_true(fd != -1);
	close(fd);
	close_pair(pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_and_descriptor_arrive),
		cmocka_unit_test(nobody_waits),
		cmocka_unit_test(surplus_descriptors_are_closed),
		cmocka_unit_test(cut_message_is_refused),
	};

	return cmocka_run_group_tests_name("fdpass", tests, NULL, NULL);
}
