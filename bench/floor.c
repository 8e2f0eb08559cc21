/* SPDX-License-Identifier: ISC */
/*
 * floor REDIS-SOCKET: the least that a process can do which carries many
 * streams.  It listens on descriptor 0, as FastCGI 2.2 has it.  What one read
 * from Redis brings goes to all connections, whatever channel they asked for,
 * with one sendmsg each.
 *
 * It is no server: it believes what nginx writes (FastCGI 3.3; one request a
 * connection), keeps no history, sends no heartbeat, escapes nothing, and waits
 * for a socket that is full.
 */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

enum { FCGI_STDIN = 5, FCGI_STDOUT = 6, FCGI_HEADER_LEN = 8 };
enum { FDS_MAX = 1 << 16, BATCH_MAX = 65535, FRAME_OVERHEAD_MAX = 64 };

static bool is_open[FDS_MAX]; /* does this descriptor have a stream? */
static int fd_end;	      /* above the highest that had one */

static void
leave(int fd)
{
	is_open[fd] = false;
	close(fd);
}

/* One STDOUT record of request 1. */
static void
send_record(int fd, char *bytes, size_t len)
{
	uint8_t head[FCGI_HEADER_LEN] = { 1, FCGI_STDOUT, 0, 1,
		(uint8_t)(len >> 8), (uint8_t)len, 0, 0 };
	struct iovec iov[] = { { head, sizeof(head) }, { bytes, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)(sizeof(head) + len))
		leave(fd);
}

static void
send_batch(char *bytes, size_t *len)
{
	for (int fd = 0; *len > 0 && fd < fd_end; fd++)
		if (is_open[fd])
			send_record(fd, bytes, *len);
	*len = 0;
}

static void
read_redis(redisContext *redis)
{
	static unsigned long long id;
	static char batch[BATCH_MAX];
	size_t len = 0;
	void *next;

	if (redisBufferRead(redis) != REDIS_OK)
		errx(1, "Redis: %s", redis->errstr);
	while (redisGetReplyFromReader(redis, &next) == REDIS_OK && next) {
		redisReply *reply = next;

		if (reply->elements == 4) { /* pmessage, *, channel, data */
			redisReply *data = reply->element[3];

			if (data->len > BATCH_MAX - FRAME_OVERHEAD_MAX)
				errx(1, "a message of %zu bytes", data->len);
			if (data->len > BATCH_MAX - FRAME_OVERHEAD_MAX - len)
				send_batch(batch, &len);
			len += (size_t)snprintf(batch + len, BATCH_MAX - len,
			    "id: %llu\ndata: %s\n\n", ++id, data->str);
		}
		freeReplyObject(reply);
	}
	send_batch(batch, &len);
}

/* Its last record is an empty STDIN. */
static bool
request_is_whole(const uint8_t *bytes, size_t len)
{
	const uint8_t *last = bytes + len - FCGI_HEADER_LEN;

	return len >= FCGI_HEADER_LEN && last[1] == FCGI_STDIN &&
	       last[4] == 0 && last[5] == 0;
}

static void
read_client(int fd)
{
	uint8_t bytes[4096];
	char start[] = "Content-Type: text/event-stream\r\n\r\n:\n\n";
	ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

	/* EAGAIN: the event is of one that had this number before */
	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0 || is_open[fd]) { /* to a stream only its end can come */
		leave(fd);
	} else if (request_is_whole(bytes, (size_t)len)) {
		recv(fd, bytes, (size_t)len, 0);
		is_open[fd] = true;
		fd_end = fd < fd_end ? fd_end : fd + 1;
		send_record(fd, start, sizeof(start) - 1);
	}
}

static void
watch(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0 || fd >= FDS_MAX ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		err(1, "descriptor %d", fd);
}

int
main(int argc, char **argv)
{
	struct epoll_event events[64];
	redisContext *redis;
	int epoll = epoll_create1(0);

	if (argc != 2)
		errx(64, "usage: floor REDIS-SOCKET <LISTENING-SOCKET");
	redis = redisConnectUnix(argv[1]);
	if (redis == NULL || redis->err)
		errx(1, "no Redis at %s", argv[1]);
	freeReplyObject(redisCommand(redis, "PSUBSCRIBE *"));
	watch(epoll, redis->fd);
	watch(epoll, STDIN_FILENO);
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == redis->fd)
				read_redis(redis);
			else if (fd == STDIN_FILENO)
				watch(epoll, accept(STDIN_FILENO, NULL, NULL));
			else
				read_client(fd);
		}
	}
}
