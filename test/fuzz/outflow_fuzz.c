/* SPDX-License-Identifier: ISC */
/*
 * carrier/outflow.h under a fuzzer: whatever is put, and however little the
 * socket takes, what arrives is that, in order, in records of FastCGI; after the
 * end it is whole frames of it, the last block, and END_REQUEST.  Input: steps of
 * three bytes, which kind and a number.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "carrier/outflow.h"
#include "test/fcgi_reader.h"

#define ID 7
#define LEN_MAX (3 * (size_t)UINT16_MAX + 1) /* of one frame */
#define TOO_MUCH ((size_t)512 << 10)
#define LAST "data: last\n\n"

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

struct run {
	struct outflow o;
	struct buf batch;
	struct buf want;
	size_t *ends, nends; /* of the frames in want; owned */
	bool has_ended;
};

/* the socket: what it takes, and what it took */
static size_t room;
static struct buf sent;

/* instead of libc's */
ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t i, n, all = 0;

	(void)fd;
	(void)flags;
	for (i = 0; i < message->msg_iovlen; i++) {
		n = message->msg_iov[i].iov_len < room
			? message->msg_iov[i].iov_len
			: room;
		assert(buf_put(&sent, message->msg_iov[i].iov_base, n) == 0);
		room -= n;
		all += n;
	}
	if (all > 0)
		return (ssize_t)all;
	errno = EAGAIN;
	return -1;
}

/* len bytes, each time from another place of a text without a pattern. */
static void
put_bytes(struct buf *b, size_t len)
{
	static unsigned char text[2 * LEN_MAX];
	static size_t at;
	uint64_t chance = 1;
	size_t i;

	for (i = 0; text[0] == 0 && i < sizeof(text); i++) {
		chance = chance * UINT64_C(6364136223846793005) + 1;
		text[i] = (unsigned char)(chance >> 56 | 1);
	}
	assert(buf_put(b, text + at, len) == 0);
	at = (at + 7919) % LEN_MAX;
}

static void
put_own(struct run *r, size_t len)
{
	const size_t at = r->want.len;

	put_bytes(&r->want, len);
	assert(outflow_put(&r->o, &r->batch, r->want.bytes + at, len) == 0);
	r->ends[++r->nends] = r->want.len;
}

static void
put_shared(struct run *r, size_t len)
{
	const size_t at = r->batch.len;

	put_bytes(&r->batch, len);
	assert(buf_put(&r->want, r->batch.bytes + at, len) == 0);
	assert(outflow_put_shared(&r->o, &r->batch, at, len) == 0);
	r->ends[++r->nends] = r->want.len;
}

static void
take(struct run *r, size_t len)
{
	enum outflow_result result;

	room = len;
	result = outflow_write(&r->o, &r->batch);
	assert(result != OUTFLOW_GONE);
	assert((result == OUTFLOW_DONE) == !outflow_has_some(&r->o));
	buf_free(&r->batch); /* nothing is borrowed from it any more */
}

static void
end(struct run *r)
{
	assert(outflow_end(&r->o, LAST, strlen(LAST)) == 0);
	r->has_ended = true;
}

static void
step(struct run *r, unsigned kind, size_t number)
{
	if (r->want.len > TOO_MUCH)
		kind |= 4; /* no more */
	switch (kind % 8) {
	case 0:
		put_own(r, number % 300 + 1);
		break;
	case 1:
		put_own(r, number * 3 + 1);
		break;
	case 2:
		put_shared(r, number % 300 + 1);
		break;
	case 3:
		put_shared(r, number * 3 + 1);
		break;
	case 4:
		put_bytes(&r->batch, number % 300); /* for others */
		break;
	case 5:
		take(r, number % 300);
		break;
	case 6:
		take(r, number * 3);
		break;
	default:
		if (number % 16 == 0)
			end(r);
		else
			take(r, number);
		break;
	}
}

static bool
ends_at(const struct run *r, size_t len)
{
	size_t i;

	for (i = 0; i <= r->nends; i++)
		if (r->ends[i] == len)
			return true;
	return false;
}

static void
check(const struct run *r)
{
	struct fcgi_reader got;

	fcgi_reader_read(&got, sent.bytes, sent.len, ID);
	assert(!got.is_bad && got.rest == 0);
	assert(got.has_ended == r->has_ended);
	if (r->has_ended) {
		assert(got.len >= strlen(LAST));
		got.len -= strlen(LAST);
		assert(memcmp(got.content + got.len, LAST, strlen(LAST)) == 0);
		assert(ends_at(r, got.len));
	} else {
		assert(got.len == r->want.len);
	}
	assert(
	    got.len == 0 || memcmp(got.content, r->want.bytes, got.len) == 0);
	fcgi_reader_free(&got);
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	struct run r = { .ends = calloc(size / 3 + 1, sizeof(*r.ends)) };

	assert(r.ends != NULL);
	outflow_init(&r.o, -1, ID);
	buf_init(&r.batch, SIZE_MAX / 2);
	buf_init(&r.want, SIZE_MAX / 2);
	buf_init(&sent, SIZE_MAX / 2);
	for (; size >= 3 && !r.has_ended; input += 3, size -= 3)
		step(&r, input[0], (size_t)input[1] << 8 | input[2]);
	while (outflow_has_some(&r.o))
		take(&r, 40000);
	check(&r);
	outflow_free(&r.o);
	buf_free(&r.batch);
	buf_free(&r.want);
	buf_free(&sent);
	free(r.ends);
	return 0;
}
