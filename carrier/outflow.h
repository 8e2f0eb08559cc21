/* SPDX-License-Identifier: ISC */
/*
 * What leaves a carrier to one client, as FastCGI records, without ever waiting
 * for it.  Most of it is the same for many clients: it stands once in a batch,
 * that the caller owns, and is borrowed from there until outflow_write.
 */
#ifndef OUTFLOW_H
#define OUTFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define OUTFLOW_SHARES_MAX 12

/* Others do not look into it. */
struct outflow {
	int fd; /* borrowed */
	uint16_t request_id;
	bool is_split; /* a frame in pending takes several records */
	unsigned nshares;
	uint32_t shares_len;
	struct {
		uint32_t at, len;
	} shares[OUTFLOW_SHARES_MAX]; /* of the batch */
	struct buf pending; /* records that the socket has not taken, but for */
	size_t written_len; /* so much of them; it begins with a record */
	size_t last_at;	    /* the last record in pending */
};

enum outflow_result {
	OUTFLOW_DONE,	 /* all is written */
	OUTFLOW_BLOCKED, /* the socket takes no more: wait for POLLOUT */
	OUTFLOW_GONE	 /* nobody reads any more */
};

void outflow_init(struct outflow *o, int fd, uint16_t request_id);
void outflow_free(struct outflow *o);

/* len bytes at this place in the batch; or bytes of the client's own, which are
 * copied.  0, or -1 without memory: nothing of it is put, then. */
int outflow_put_shared(
    struct outflow *o, const struct buf *batch, size_t at, size_t len);
int outflow_put(
    struct outflow *o, const struct buf *batch, const void *p, size_t len);

/* Is there something to write? */
bool outflow_has_some(const struct outflow *o);

/* How much waits, that the socket did not take. */
size_t outflow_pending_len(const struct outflow *o);

/* Write what the socket takes.  Nothing is borrowed from the batch any more. */
enum outflow_result outflow_write(struct outflow *o, const struct buf *batch);

/*
 * The answer ends: with what was begun to be written, then the block of len
 * bytes (or none), then END_REQUEST.  What else waits is forgotten.  Returns as
 * outflow_put.
 */
int outflow_end(struct outflow *o, const void *block, size_t len);

#endif
