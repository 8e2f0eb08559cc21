/* SPDX-License-Identifier: ISC */
/* To Redis' socket, and what hiredis makes of a full queue in front of it. */
#include "redis/connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <hiredis/hiredis.h>

#include "base/clock.h"

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 50

redisContext *
connect_begin(const struct redis_address *ra)
{
	return ra->unix_path != NULL ? redisConnectUnixNonBlock(ra->unix_path)
				     : redisConnectNonBlock(ra->host, ra->port);
}

static redisContext *
connect_within(const struct redis_address *ra, int64_t limit_ms)
{
	const struct timeval limit = { .tv_sec = limit_ms / 1000,
		.tv_usec = limit_ms % 1000 * 1000 };

	return ra->unix_path != NULL
		   ? redisConnectUnixWithTimeout(ra->unix_path, limit)
		   : redisConnectWithTimeout(ra->host, ra->port, limit);
}

redisContext *
connect_wait(const struct redis_address *ra)
{
	const int64_t end_ms = clock_now_ms() + REDIS_CONNECT_TIMEOUT_MS;
	redisContext *context = connect_within(ra, REDIS_CONNECT_TIMEOUT_MS);

	while (connect_queue_is_full(ra, context) && clock_now_ms() < end_ms) {
		redisFree(context);
		poll(NULL, 0, (int)connect_pause_ms());
		context = connect_within(ra, REDIS_CONNECT_TIMEOUT_MS);
	}
	return context;
}

/* From 1.1 on hiredis takes EAGAIN for EINPROGRESS where nobody waits; then the
 * socket has no other side. */
static bool
is_unconnected(int fd)
{
	struct sockaddr_un sa;
	socklen_t len = sizeof(sa);

	return getpeername(fd, (struct sockaddr *)&sa, &len) == -1 &&
	       errno == ENOTCONN;
}

bool
connect_queue_is_full(
    const struct redis_address *ra, const redisContext *context)
{
	if (context == NULL || ra->unix_path == NULL)
		return false;
	if (context->err == 0)
		return is_unconnected(context->fd);
	return context->err == REDIS_ERR_IO &&
	       strcmp(context->errstr, strerror(EAGAIN)) == 0;
}

int64_t
connect_pause_ms(void)
{
	return clock_random(PAUSE_MIN_MS, PAUSE_MAX_MS);
}
