/* SPDX-License-Identifier: ISC */
/* The blocks of a stream.  Runs in the responder. */
#include "outlet.h"

#include <string.h>

#include "base/clock.h"
#include "block.h"
#include "redis/record.h"

#define HEADER_LEN_MAX 4096
#define SCRATCH_LEN_MAX (1 << 20)   /* a reset of 1,024 channels fits */
#define PENDING_LEN_MAX (256 << 20) /* a take, and one record of any size */
#define KEEP_LEN_MAX 65536	    /* of memory, while nothing waits */

void
outlet_init(struct outlet *o, struct client *cl, uint64_t heartbeat_s)
{
	memset(o, 0, sizeof(*o));
	o->cl = cl;
	o->heartbeat_s = heartbeat_s;
	buf_init(&o->header, HEADER_LEN_MAX);
	buf_init(&o->scratch, SCRATCH_LEN_MAX);
	buf_init(&o->pending, PENDING_LEN_MAX);
}

void
outlet_free(struct outlet *o)
{
	buf_free(&o->header);
	buf_free(&o->scratch);
	buf_free(&o->pending);
}

static enum client_result
append(struct outlet *o, const void *p, size_t len)
{
	if (buf_put(&o->pending, p, len) == -1)
		return CLIENT_GONE;
	if (o->waiting_ms == 0 && len > 0)
		o->waiting_ms = clock_now_ms();
	return CLIENT_OK;
}

enum client_result
outlet_put(struct outlet *o, const void *p, size_t len)
{
	if (!o->is_open) {
		o->is_open = true;
		o->last_sign_ms = clock_now_ms();
		if (append(o, o->header.bytes, o->header.len) == CLIENT_GONE)
			return CLIENT_GONE;
		buf_free(&o->header);
	}
	return append(o, p, len);
}

enum client_result
outlet_put_scratch(struct outlet *o)
{
	enum client_result result =
	    outlet_put(o, o->scratch.bytes, o->scratch.len);

	buf_reset(&o->scratch);
	return result;
}

size_t
outlet_pending_len(const struct outlet *o)
{
	return o->pending.len - o->written_len;
}

/* Let go of what was written.  A client may be a little behind for ever. */
static void
drop_written(struct outlet *o)
{
	const size_t left = outlet_pending_len(o);

	if (left == 0 && o->pending.cap > KEEP_LEN_MAX) {
		buf_free(&o->pending);
	} else if (o->written_len >= left) { /* so each byte moves once or so */
		memmove(
		    o->pending.bytes, o->pending.bytes + o->written_len, left);
		o->pending.len = left;
	} else {
		return;
	}
	o->written_len = 0;
}

bool
outlet_has_room(const struct outlet *o)
{
	return outlet_pending_len(o) <= client_room(o->cl);
}

enum client_result
outlet_write(struct outlet *o)
{
	size_t len = outlet_pending_len(o);

	if (len > client_room(o->cl))
		len = client_room(o->cl);
	if (len == 0)
		return CLIENT_OK;
	if (client_write(o->cl, o->pending.bytes + o->written_len, len) ==
		CLIENT_GONE ||
	    client_flush(o->cl) == CLIENT_GONE)
		return CLIENT_GONE;
	o->written_len += len;
	/* page code hears only events whose names it knows */
	if (o->heartbeat_s == 0)
		o->last_sign_ms = clock_now_ms();
	o->waiting_ms = outlet_pending_len(o) > 0 ? clock_now_ms() : 0;
	drop_written(o);
	return CLIENT_OK;
}

enum client_result
outlet_put_start(struct outlet *o, uint64_t retry_ms, uint64_t floor)
{
	buf_printf(&o->scratch, "retry: %llu\n", (unsigned long long)retry_ms);
	if (outlet_put_position(o, floor) == CLIENT_GONE)
		return CLIENT_GONE;
	return o->heartbeat_s != 0 ? outlet_put_heartbeat(o) : CLIENT_OK;
}

enum client_result
outlet_put_position(struct outlet *o, uint64_t id)
{
	block_put_position(&o->scratch, id);
	o->cursor = id;
	return outlet_put_scratch(o);
}

enum client_result
outlet_put_record(struct outlet *o, const struct record *rec)
{
	if (outlet_put(o, rec->frame, rec->frame_len) == CLIENT_GONE)
		return CLIENT_GONE;
	if (rec->id < o->cursor)
		return outlet_put_position(o, o->cursor);
	o->cursor = rec->id;
	return CLIENT_OK;
}

enum client_result
outlet_put_heartbeat(struct outlet *o)
{
	o->last_sign_ms = clock_now_ms();
	block_put_heartbeat(&o->scratch, o->heartbeat_s);
	return outlet_put_scratch(o);
}

enum client_result
outlet_put_reset(struct outlet *o, const struct channel_set *channels,
    const bool *is_affected, enum reset_reason reason, uint64_t clock)
{
	block_put_reset(&o->scratch, channels, is_affected, reason, clock);
	return outlet_put_scratch(o);
}

enum client_result
outlet_put_answer(struct outlet *o)
{
	buf_free(&o->header);
	return outlet_put_scratch(o);
}

enum client_result
outlet_put_end(struct outlet *o, const char *reason)
{
	block_put_end(&o->scratch, reason);
	return outlet_put_scratch(o);
}
