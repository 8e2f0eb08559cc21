/* SPDX-License-Identifier: ISC */
/* client.h: what the web server sees of a connection's end.  The test is the
 * web server. */
#include "client.h"

#include <netinet/in.h>
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

/* A connected pair; size: of the buffer to send from the first, or 0. */
static void
open_pair(int family, int size, int pair[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int listening;

	if (family == AF_UNIX) {
		assert_int_equal(socketpair(family, SOCK_STREAM, 0, pair), 0);
	} else {
		listening = socket(family, SOCK_STREAM, 0);
		assert_int_equal(
		    bind(listening, (struct sockaddr *)&sin, len), 0);
		assert_int_equal(listen(listening, 1), 0);
		getsockname(listening, (struct sockaddr *)&sin, &len);
		pair[1] = socket(family, SOCK_STREAM, 0);
		assert_int_equal(
		    connect(pair[1], (struct sockaddr *)&sin, len), 0);
		pair[0] = accept(listening, NULL, NULL);
		close(listening);
	}
	if (size != 0)
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Write blocks of size, as far as there is room, until poll() knows of none. */
static void
write_what_fits(struct client *cl, size_t size)
{
	static const char block[32768];
	struct pollfd pfd = { .fd = client_fd(cl), .events = POLLOUT };
	size_t n;

	for (;;) {
		n = size < client_room(cl) ? size : client_room(cl);
		if (n < size) {
			if (poll(&pfd, 1, 0) == 0)
				return;
			client_note_writable(cl);
			n = size < client_room(cl) ? size : client_room(cl);
		}
		/* one that waits fails after the write timeout */
		assert_int_equal(client_write(cl, block, n), CLIENT_OK);
		assert_int_equal(client_flush(cl), CLIENT_OK);
	}
}

static void
what_fits_never_waits(void **state)
{
	/* whatever the buffer, and however small the writes that fill it */
	static const struct {
		int family, buffer_size;
	} sockets[] = {
		{ AF_UNIX, 0 },
		{ AF_UNIX, 16384 },
		{ AF_UNIX, 65536 },
		{ AF_INET, 0 },
		{ AF_INET, 16384 },
		{ AF_INET, 65536 },
	};
	static const size_t sizes[] = { 1, 100, 1500, 9000, 32768 };
	struct client *cl;
	const char *why;
	size_t i, j;
	int pair[2];

	(void)state;
	for (i = 0; i < ROWS(sockets); i++) {
		for (j = 0; j < ROWS(sizes); j++) {
			open_pair(
			    sockets[i].family, sockets[i].buffer_size, pair);
			write_request(pair[1], 0);
			cl = client_accept(pair[0], 5000, 50, &why);
			assert_non_null(cl);
			assert_int_equal(client_skip_body(cl, 0), 0);
			write_what_fits(cl, sizes[j]);
			close(pair[1]);
			client_forget(cl);
		}
	}
}

static void
many_small_writes_need_no_poll(void **state)
{
	/* what is known of the client lasts for some ten of them */
	struct client *cl;
	int server_fd, n;

	(void)state;
	cl = open_client(&server_fd, 0);
	client_note_writable(cl);
	for (n = 0; client_room(cl) >= 100; n++) {
		assert_int_equal(client_write(cl, "100 bytes", 9), CLIENT_OK);
		assert_int_equal(client_flush(cl), CLIENT_OK);
	}
	assert_in_range(n, 10, 20);
	close(server_fd);
	client_forget(cl);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_connection_lives_on),
		cmocka_unit_test(ended_answer_is_told),
		cmocka_unit_test(what_fits_never_waits),
		cmocka_unit_test(many_small_writes_need_no_poll),
	};

	client_init();
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
