/* SPDX-License-Identifier: ISC */
/*
 * What a stream writes: blocks of text/event-stream (HTML 9.2.6), gathered
 * until they are flushed, and the id that the browser remembers meanwhile.
 */
#ifndef OUTLET_H
#define OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "client.h"
#include "redis/channel.h"
#include "redis/record.h"
#include "resume.h"

struct outlet {
	struct client *cl;    /* borrowed */
	struct buf header;    /* it leaves with the first block */
	bool is_open;	      /* it has left */
	struct buf scratch;   /* blocks are built here */
	uint64_t cursor;      /* the id that the client remembers */
	uint64_t heartbeat_s; /* of heartbeats that are events; else 0 */
	struct buf pending;   /* what the client has not taken yet, */
	size_t written_len;   /* but for so much of it */
	int64_t waiting_ms;   /* since when it takes none; 0: nothing waits */
	int64_t last_sign_ms; /* of life, that the client can hear */
};

/* heartbeat_s: the interval that heartbeats tell page code, as events; 0: they
 * are comments.  The stream's header, with its blank line, is the caller's to
 * append to o->header; nothing can be written in front of it. */
void outlet_init(struct outlet *o, struct client *cl, uint64_t heartbeat_s);
void outlet_free(struct outlet *o);

/* Bytes, or what was built in o->scratch.  They wait for outlet_write.  Like all
 * functions here they return CLIENT_GONE when it cannot go on (for want of
 * memory). */
enum client_result outlet_put(struct outlet *o, const void *p, size_t len);
enum client_result outlet_put_scratch(struct outlet *o);

/* Not a stream: what was built in o->scratch is the whole answer, with a header
 * of its own.  To be called instead of all others that put, while o is not
 * open. */
enum client_result outlet_put_answer(struct outlet *o);

/* How many bytes wait. */
size_t outlet_pending_len(const struct outlet *o);

/* Does all that waits go without blocking, as far as is known?  If not, poll. */
bool outlet_has_room(const struct outlet *o);

/* Write what goes without blocking: after outlet_has_room, or when poll says that
 * the client takes something (client_note_writable).  CLIENT_GONE: nobody reads
 * any more. */
enum client_result outlet_write(struct outlet *o);

/* The first block: how long the browser is to wait before it comes back, and
 * where the stream begins.  A heartbeat that is an event follows, since from it
 * page code learns how long silence may last. */
enum client_result outlet_put_start(
    struct outlet *o, uint64_t retry_ms, uint64_t floor);

/* The blocks of block.h.  A position is the cursor from then on. */
enum client_result outlet_put_position(struct outlet *o, uint64_t id);

/* A record's frame.  The cursor never goes back: after a late record comes
 * the highest id as a position. */
enum client_result outlet_put_record(
    struct outlet *o, const struct record *rec);

enum client_result outlet_put_heartbeat(struct outlet *o);
enum client_result outlet_put_reset(struct outlet *o,
    const struct channel_set *channels, const bool *is_affected,
    enum reset_reason reason, uint64_t clock);
enum client_result outlet_put_end(struct outlet *o, const char *reason);

#endif
