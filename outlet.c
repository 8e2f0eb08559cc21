/* SPDX-License-Identifier: ISC */
/* The blocks of a stream.  Runs in the responder. */
#include "outlet.h"

#include <string.h>

#include "base/clock.h"
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

enum client_result
outlet_write(struct outlet *o)
{
	size_t len = outlet_pending_len(o);

	if (len == 0)
		return CLIENT_OK;
	if (len > client_write_len(o->cl))
		len = client_write_len(o->cl);
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
outlet_put_start(struct outlet *o, int64_t retry_ms, uint64_t floor)
{
	buf_printf(&o->scratch, "retry: %lld\n", (long long)retry_ms);
	if (outlet_put_position(o, floor) == CLIENT_GONE)
		return CLIENT_GONE;
	return o->heartbeat_s != 0 ? outlet_put_heartbeat(o) : CLIENT_OK;
}

enum client_result
outlet_put_position(struct outlet *o, uint64_t id)
{
	buf_printf(&o->scratch,
	    "id: %llu\nevent: stream-position\ndata: %llu\n\n",
	    (unsigned long long)id, (unsigned long long)id);
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
	if (o->heartbeat_s != 0)
		buf_printf(&o->scratch,
		    "event: stream-heartbeat\ndata: %llu\n\n",
		    (unsigned long long)o->heartbeat_s);
	else
		buf_puts(&o->scratch, ":\n");
	return outlet_put_scratch(o);
}

/* A channel name in JSON: of what must be escaped it can hold only quotes. */
static void
put_json_name(struct buf *b, const struct channel *c)
{
	size_t i;

	buf_putc(b, '"');
	for (i = 0; i < c->len; i++) {
		if (c->name[i] == '"')
			buf_putc(b, '\\');
		buf_putc(b, c->name[i]);
	}
	buf_putc(b, '"');
}

enum client_result
outlet_put_reset(struct outlet *o, const struct channel_set *channels,
    const bool *is_affected, enum reset_reason reason, uint64_t clock)
{
	const char *comma = "";
	size_t i;

	buf_puts(&o->scratch, "event: stream-reset\ndata: {\"channels\":[");
	for (i = 0; i < channels->n; i++) {
		if (!is_affected[i])
			continue;
		buf_puts(&o->scratch, comma);
		put_json_name(&o->scratch, &channels->items[i]);
		comma = ",";
	}
	buf_printf(&o->scratch, "],\"reason\":\"%s\",\"id\":\"%llu\"}\n\n",
	    reset_reason_name(reason), (unsigned long long)clock);
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
	buf_printf(&o->scratch,
	    "event: stream-end\ndata: {\"reason\":\"%s\"}\n\n", reason);
	return outlet_put_scratch(o);
}
