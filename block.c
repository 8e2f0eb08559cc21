/* SPDX-License-Identifier: ISC */
/* Blocks as text. */
#include "block.h"

void
block_put_position(struct buf *b, uint64_t id)
{
	buf_printf(b, "id: %llu\nevent: stream-position\ndata: %llu\n\n",
	    (unsigned long long)id, (unsigned long long)id);
}

void
block_put_heartbeat(struct buf *b, uint64_t interval_s)
{
	if (interval_s != 0)
		buf_printf(b, "event: stream-heartbeat\ndata: %llu\n\n",
		    (unsigned long long)interval_s);
	else
		buf_puts(b, ":\n");
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

void
block_put_reset(struct buf *b, const struct channel_set *channels,
    const bool *is_affected, enum reset_reason reason, uint64_t id)
{
	const char *comma = "";
	size_t i;

	buf_puts(b, "event: stream-reset\ndata: {\"channels\":[");
	for (i = 0; i < channels->n; i++) {
		if (!is_affected[i])
			continue;
		buf_puts(b, comma);
		put_json_name(b, &channels->items[i]);
		comma = ",";
	}
	buf_printf(b, "],\"reason\":\"%s\",\"id\":\"%llu\"}\n\n",
	    reset_reason_name(reason), (unsigned long long)id);
}

void
block_put_end(struct buf *b, const char *reason)
{
	buf_printf(
	    b, "event: stream-end\ndata: {\"reason\":\"%s\"}\n\n", reason);
}
