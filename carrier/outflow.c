/* SPDX-License-Identifier: ISC */
/* The way to one client of many. */
#include "carrier/outflow.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "carrier/fcgi_record.h"

#define PENDING_LEN_MAX ((size_t)256 << 20) /* a record of any size, and some */
#define KEEP_LEN_MAX 4096		    /* of memory, while nothing waits */

void
outflow_init(struct outflow *o, int fd, uint16_t request_id)
{
	*o = (struct outflow){ .fd = fd, .request_id = request_id };
	buf_init(&o->pending, PENDING_LEN_MAX);
}

void
outflow_free(struct outflow *o)
{
	buf_free(&o->pending);
}

size_t
outflow_pending_len(const struct outflow *o)
{
	return o->pending.len - o->written_len;
}

bool
outflow_has_some(const struct outflow *o)
{
	return o->nshares > 0 || outflow_pending_len(o) > 0;
}

/* --- pending ------------------------------------------------------------ */

static unsigned char *
head_at(const struct outflow *o, size_t at)
{
	return (unsigned char *)o->pending.bytes + at;
}

/* Content of one record more in pending; of the last one there, if that has
 * room and nothing of it was written. */
static int
add_record(struct outflow *o, const void *p, size_t len)
{
	unsigned char head[FCGI_RECORD_HEAD_LEN];
	size_t content_len;

	if (o->last_at >= o->written_len && o->last_at < o->pending.len) {
		content_len = fcgi_record_content_len(head_at(o, o->last_at));
		if (content_len + len <= FCGI_RECORD_CONTENT_MAX) {
			if (buf_put(&o->pending, p, len) == -1)
				return -1;
			fcgi_record_put_head(head_at(o, o->last_at),
			    o->request_id, content_len + len);
			return 0;
		}
	}
	fcgi_record_put_head(head, o->request_id, len);
	if (buf_put(&o->pending, head, sizeof(head)) == -1)
		return -1;
	if (buf_put(&o->pending, p, len) == -1) {
		o->pending.len -= sizeof(head);
		return -1;
	}
	o->last_at = o->pending.len - len - sizeof(head);
	return 0;
}

/* All of it, or nothing. */
static int
add(struct outflow *o, const char *p, size_t len)
{
	const size_t old_len = o->pending.len, old_last_at = o->last_at;
	const bool is_split = len > FCGI_RECORD_CONTENT_MAX;
	size_t part;

	for (; len > 0; p += part, len -= part) {
		part = len < FCGI_RECORD_CONTENT_MAX ? len
						     : FCGI_RECORD_CONTENT_MAX;
		if (add_record(o, p, part) == -1) {
			/* (what takes several begins with one of its own) */
			o->pending.len = old_len;
			o->last_at = old_last_at;
			return -1;
		}
	}
	o->is_split |= is_split;
	return 0;
}

/* What was borrowed becomes the client's own. */
static int
own_shares(struct outflow *o, const struct buf *batch)
{
	unsigned i;

	for (i = 0; i < o->nshares; i++)
		if (add(o, batch->bytes + o->shares[i].at, o->shares[i].len) ==
		    -1)
			return -1;
	o->nshares = 0;
	o->shares_len = 0;
	return 0;
}

/* Forget the records that are written.  A client may be a little behind for
 * ever. */
static void
drop_written(struct outflow *o)
{
	size_t begin = 0, next = 0;

	if (outflow_pending_len(o) == 0) {
		buf_reset(&o->pending);
		if (o->pending.cap > KEEP_LEN_MAX)
			buf_free(&o->pending);
		o->written_len = o->last_at = 0;
		o->is_split = false;
		return;
	}
	if (o->written_len < outflow_pending_len(o))
		return; /* so each byte moves once or so */
	while (next <= o->written_len) {
		begin = next;
		next += FCGI_RECORD_HEAD_LEN +
			fcgi_record_content_len(head_at(o, begin));
	}
	memmove(
	    o->pending.bytes, o->pending.bytes + begin, o->pending.len - begin);
	o->pending.len -= begin;
	o->written_len -= begin;
	o->last_at -= begin;
}

/* --- putting ------------------------------------------------------------ */

int
outflow_put_shared(
    struct outflow *o, const struct buf *batch, size_t at, size_t len)
{
	const size_t last = o->nshares - 1U;

	if (outflow_pending_len(o) > 0)
		return add(o, batch->bytes + at, len);
	if (len > FCGI_RECORD_CONTENT_MAX - o->shares_len) {
		if (own_shares(o, batch) == -1)
			return -1;
		return add(o, batch->bytes + at, len);
	}
	o->shares_len += (uint32_t)len;
	if (o->nshares > 0 && o->shares[last].at + o->shares[last].len == at) {
		o->shares[last].len += (uint32_t)len;
		return 0;
	}
	o->shares[o->nshares].at = (uint32_t)at;
	o->shares[o->nshares].len = (uint32_t)len;
	return ++o->nshares < OUTFLOW_SHARES_MAX ? 0 : own_shares(o, batch);
}

int
outflow_put(
    struct outflow *o, const struct buf *batch, const void *p, size_t len)
{
	return own_shares(o, batch) == -1 ? -1 : add(o, p, len);
}

/* --- writing ------------------------------------------------------------ */

static ssize_t
send_parts(const struct outflow *o, struct iovec *parts, size_t n)
{
	const struct msghdr m = { .msg_iov = parts, .msg_iovlen = n };

	return sendmsg(o->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool
is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR ||
	       error == ENOBUFS || error == ENOMEM;
}

/* Straight from the batch: what the socket does not take is pending then. */
static enum outflow_result
write_shares(struct outflow *o, const struct buf *batch)
{
	unsigned char head[FCGI_RECORD_HEAD_LEN];
	const size_t len = sizeof(head) + o->shares_len;
	struct iovec parts[1 + OUTFLOW_SHARES_MAX];
	unsigned i;
	ssize_t n;

	fcgi_record_put_head(head, o->request_id, o->shares_len);
	parts[0] = (struct iovec){ head, sizeof(head) };
	for (i = 0; i < o->nshares; i++)
		parts[1 + i] = (struct iovec){ batch->bytes + o->shares[i].at,
			o->shares[i].len };
	n = send_parts(o, parts, 1 + o->nshares);
	if (n == -1 && !is_passing(errno))
		return OUTFLOW_GONE;
	if (n == (ssize_t)len) {
		o->nshares = 0;
		o->shares_len = 0;
		return OUTFLOW_DONE;
	}
	if (own_shares(o, batch) == -1)
		return OUTFLOW_GONE;
	o->written_len = n > 0 ? (size_t)n : 0;
	return OUTFLOW_BLOCKED;
}

static enum outflow_result
write_pending(struct outflow *o)
{
	struct iovec part = { o->pending.bytes + o->written_len,
		outflow_pending_len(o) };
	ssize_t n = send_parts(o, &part, 1);

	if (n == -1)
		return is_passing(errno) ? OUTFLOW_BLOCKED : OUTFLOW_GONE;
	o->written_len += (size_t)n;
	drop_written(o);
	return outflow_pending_len(o) > 0 ? OUTFLOW_BLOCKED : OUTFLOW_DONE;
}

enum outflow_result
outflow_write(struct outflow *o, const struct buf *batch)
{
	if (outflow_pending_len(o) > 0) {
		if (own_shares(o, batch) == -1)
			return OUTFLOW_GONE;
		return write_pending(o);
	}
	return o->nshares > 0 ? write_shares(o, batch) : OUTFLOW_DONE;
}

/* --- the end ------------------------------------------------------------ */

/* Only the record whose first byte has left is to be completed. */
static void
forget_unbegun(struct outflow *o)
{
	size_t end = 0;

	o->nshares = 0;
	o->shares_len = 0;
	if (o->is_split)
		return; /* half a frame would swallow what follows */
	while (end < o->written_len)
		end += FCGI_RECORD_HEAD_LEN +
		       fcgi_record_content_len(head_at(o, end));
	o->pending.len = end;
	o->last_at = end;
}

int
outflow_end(struct outflow *o, const void *block, size_t len)
{
	unsigned char end[FCGI_RECORD_END_LEN];

	forget_unbegun(o);
	if (len > 0 && add(o, block, len) == -1)
		return -1;
	fcgi_record_put_end(end, o->request_id);
	return buf_put(&o->pending, end, sizeof(end));
}
