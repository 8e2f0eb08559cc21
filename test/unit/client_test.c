/* SPDX-License-Identifier: ISC */
/* client.h: what the web server sees of a connection's end.  The test is the
 * web server. */
#include "client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/unit/unit.h"

#define KEEP 1 /* FCGI_KEEP_CONN */

/* A request for a stream, as a web server writes it. */
static void
write_request(int fd, unsigned char flags)
{
	const unsigned char request[] = {
		1, 1, 0, 1, 0, 8, 0, 0,	    /* BEGIN_REQUEST */
		0, 1, flags, 0, 0, 0, 0, 0, /* RESPONDER */
		1, 4, 0, 1, 0, 4, 0, 0,	    /* PARAMS: A=B */
		1, 1, 'A', 'B',		    /**/
		1, 4, 0, 1, 0, 0, 0, 0,	    /* their end */
		1, 5, 0, 1, 0, 0, 0, 0,	    /* STDIN's */
	};

	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
}

static struct client *
open_client(int *server_fd, unsigned char flags)
{
	struct client *cl;
	const char *why;
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	write_request(pair[1], flags);
	cl = client_accept(pair[0], 5000, 5000, &why);
	assert_non_null(cl);
	assert_string_equal(client_env(cl)[1], "A=B");
	assert_int_equal(client_skip_body(cl, 0), 0);
	assert_int_equal(client_write(cl, "abc", 3), CLIENT_OK);
	assert_int_equal(client_flush(cl), CLIENT_OK);
	*server_fd = pair[1];
	return cl;
}

/* Nothing more has come on fd, and not its end either. */
static bool
is_silent(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&pfd, 1, 100) == 0;
}

static void
read_written(int fd)
{
	char text[64];

	/* 5 bytes of padding, a header, "abc" */
	assert_int_equal(read(fd, text, sizeof(text)), 16);
	assert_memory_equal(text + 8, "abc", 3);
}

static void
moved_connection_lives_on(void **state)
{
	/* the process to which it moved can still write and read; when it closes,
	 * too, that is the end */
	struct client *cl;
	int server_fd, moved_fd, closed_fd;
	char byte;

	(void)state;
	cl = open_client(&server_fd, 0);
	closed_fd = client_fd(cl);
	moved_fd = dup(closed_fd);
	assert_int_equal(client_write(cl, "lost", 4), CLIENT_OK);
	client_forget(cl);
	read_written(server_fd);
	assert_true(is_silent(server_fd));
	assert_int_equal(write(closed_fd, "x", 1), -1);
	assert_int_equal(write(moved_fd, "x", 1), 1);
	assert_int_equal(read(server_fd, &byte, 1), 1);
	assert_int_equal(write(server_fd, "y", 1), 1);
	assert_int_equal(read(moved_fd, &byte, 1), 1);
	close(moved_fd);
	assert_int_equal(read(server_fd, &byte, 1), 0);
	close(server_fd);
}

static void
ended_answer_is_told(void **state)
{
	/* END_REQUEST and the end, also where the web server would send another
	 * request: a descriptor that stays open would keep it waiting */
	static const unsigned char flags[] = { 0, KEEP };
	struct client *cl;
	char text[128];
	int server_fd, fd;
	ssize_t n;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(flags); i++) {
		cl = open_client(&server_fd, flags[i]);
		fd = client_fd(cl);
		read_written(server_fd);
		shutdown(server_fd, SHUT_WR); /* else it lingers */
		client_end(cl);
		assert_int_equal(write(fd, "x", 1), -1);
		n = read(server_fd, text, sizeof(text));
		assert_true(n >= 16);
		assert_int_equal(text[n - 15], 3);
		assert_int_equal(read(server_fd, text, sizeof(text)), 0);
		close(server_fd);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_connection_lives_on),
		cmocka_unit_test(ended_answer_is_told),
	};

	client_init();
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
