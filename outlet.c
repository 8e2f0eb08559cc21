/* SPDX-License-Identifier: ISC */
/* The blocks of a stream.  Runs in the responder. */
#include "outlet.h"

#include <string.h>

#include "base/clock.h"
#include "redis/record.h"

#define HEADER_LEN_MAX 4096
#define SCRATCH_LEN_MAX (1 << 20) /* a reset of 1,024 channels fits */

void
outlet_init(struct outlet *o, struct client *cl, uint64_t heartbeat_s)
{
	memset(o, 0, sizeof(*o));
	o->cl = cl;
	o->heartbeat_s = heartbeat_s;
	buf_init(&o->header, HEADER_LEN_MAX);
	buf_init(&o->scratch, SCRATCH_LEN_MAX);
}

void
outlet_free(struct outlet *o)
{
	buf_free(&o->header);
	buf_free(&o->scratch);
}

static enum client_result
put_header(struct outlet *o)
{
	enum client_result result = CLIENT_OK;

	if (o->header.len > 0)
		result = client_write(o->cl, o->header.bytes, o->header.len);
	o->unflushed_len += o->header.len;
	buf_free(&o->header);
	o->is_open = true;
	o->last_write_ms = clock_now_ms();
	return result;
}

enum client_result
outlet_put(struct outlet *o, const void *p, size_t len)
{
	if (!o->is_open && put_header(o) == CLIENT_GONE)
		return CLIENT_GONE;
	o->unflushed_len += len;
	return len > 0 ? client_write(o->cl, p, len) : CLIENT_OK;
}

enum client_result
outlet_put_scratch(struct outlet *o)
{
	enum client_result result =
	    outlet_put(o, o->scratch.bytes, o->scratch.len);

	buf_reset(&o->scratch);
	return result;
}

enum client_result
outlet_flush(struct outlet *o)
{
	if (o->unflushed_len == 0)
		return CLIENT_OK;
	o->unflushed_len = 0;
	o->last_write_ms = clock_now_ms();
	return client_flush(o->cl);
}

enum client_result
outlet_put_id(struct outlet *o, uint64_t id)
{
	buf_printf(&o->scratch, "id: %llu\n\n", (unsigned long long)id);
	o->cursor = id;
	return o->heartbeat_s != 0 ? outlet_put_heartbeat(o)
				   : outlet_put_scratch(o);
}

enum client_result
outlet_put_record(struct outlet *o, const struct record *rec)
{
	if (outlet_put(o, rec->frame, rec->frame_len) == CLIENT_GONE)
		return CLIENT_GONE;
	if (rec->id < o->cursor)
		return outlet_put_id(o, o->cursor);
	o->cursor = rec->id;
	return CLIENT_OK;
}

enum client_result
outlet_put_heartbeat(struct outlet *o)
{
	if (o->heartbeat_s != 0)
		buf_printf(&o->scratch,
		    "event: stream-heartbeat\ndata: %llu\n\n",
		    (unsigned long long)o->heartbeat_s);
	else
		buf_puts(&o->scratch, ":\n\n");
	return outlet_put_scratch(o);
}

enum client_result
outlet_put_retry(struct outlet *o, int64_t retry_ms)
{
	buf_printf(&o->scratch, "retry: %lld\n\n", (long long)retry_ms);
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
	enum client_result result;

	buf_free(&o->header);
	result = outlet_put_scratch(o);
	return result == CLIENT_OK ? outlet_flush(o) : result;
}

enum client_result
outlet_put_end(struct outlet *o, const char *reason)
{
	buf_printf(&o->scratch,
	    "event: stream-end\ndata: {\"reason\":\"%s\"}\n\n", reason);
	return outlet_put_scratch(o);
}
