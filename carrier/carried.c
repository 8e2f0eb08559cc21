/* SPDX-License-Identifier: ISC */
/* One stream of many. */
#include "carrier/carried.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/fcgi_record.h"

#define HELD_LEN_MAX (1 << 20) /* more ends the stream: it comes back */

static int
copy_session(struct carried *c, const struct offer *o)
{
	c->grant_len = o->grant_len;
	c->grant = malloc(o->grant_len + 1);
	c->user = strdup(o->user);
	if (c->grant == NULL || c->user == NULL)
		return -1;
	memcpy(c->grant, o->grant, o->grant_len);
	return 0;
}

struct carried *
carried_new(const struct offer *o, int fd)
{
	struct carried *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	*c = (struct carried){ .state = CARRIED_GUEST,
		.fd = fd,
		.key = CARRIED_NO_KEY,
		.heartbeat_s = o->heartbeat_s,
		.end_due_ms = o->end_due_ms };
	outflow_init(&c->out, -1, o->request_id);
	buf_init(&c->held, HELD_LEN_MAX);
	c->channels = calloc(o->nchannels, sizeof(*c->channels));
	c->places = calloc(o->nchannels, sizeof(*c->places));
	c->positions = calloc(o->nchannels, sizeof(*c->positions));
	if (c->channels == NULL || c->places == NULL || c->positions == NULL ||
	    copy_session(c, o) == -1) {
		carried_free(c);
		return NULL;
	}
	return c;
}

void
carried_free(struct carried *c)
{
	close(c->fd);
	outflow_free(&c->out);
	buf_free(&c->held);
	free(c->channels);
	free(c->places);
	free(c->positions);
	free(c->grant);
	free(c->user);
	free(c);
}

void
carried_move_in(struct carried *c, int fd, const struct offer_move *m)
{
	close(c->fd);
	c->fd = c->out.fd = fd;
	c->state = CARRIED_LIVE;
	c->floor = m->floor;
	c->heard = m->heard;
	c->cursor = m->cursor;
	c->seen = m->floor;
	c->last_sign_ms = m->last_sign_ms;
}

bool
carried_has_left(struct carried *c, uint32_t events)
{
	unsigned char bytes[64], records[FCGI_RECORD_END_LEN];
	ssize_t n;

	if (events & (EPOLLERR | EPOLLHUP))
		return true;
	n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == -1)
		return errno != EAGAIN && errno != EINTR;
	if (n > 0 && (n < 2 || bytes[1] != 2)) /* FCGI_ABORT_REQUEST */
		return false;
	fcgi_record_put_end(records, c->out.request_id);
	send(c->fd, records, sizeof(records), MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}
