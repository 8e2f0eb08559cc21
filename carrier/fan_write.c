/* SPDX-License-Identifier: ISC */
/* The way to the streams of a carrier. */
#include "carrier/fan_write.h"

#include <sys/epoll.h>

#include "base/clock.h"
#include "reply.h"

#define BATCH_KEEP_LEN (256 << 10) /* of memory, from one turn to the next */
#define NO_MEMORY_MS 5000	   /* it comes back */

static void
note_unwritten(struct fan *f, struct carried *c)
{
	if (c->has_unwritten)
		return;
	c->has_unwritten = true;
	c->next_unwritten = f->unwritten;
	f->unwritten = c;
}

void
fan_put_sign(struct fan *f, struct carried *c, const void *p, size_t len)
{
	if (c->state != CARRIED_LIVE)
		return;
	note_unwritten(f, c);
	if (outflow_put(&c->out, &f->batch, p, len) == -1)
		fan_send_back(f, c, NO_MEMORY_MS);
}

void
fan_put(struct fan *f, struct carried *c, const void *p, size_t len)
{
	if (!c->is_muted)
		fan_put_sign(f, c, p, len);
	else if (c->state == CARRIED_LIVE && buf_put(&c->held, p, len) == -1)
		fan_send_back(f, c, NO_MEMORY_MS);
}

void
fan_put_shared(struct fan *f, struct carried *c, size_t at, size_t len)
{
	if (c->state != CARRIED_LIVE)
		return;
	if (c->is_muted) {
		fan_put(f, c, f->batch.bytes + at, len);
		return;
	}
	note_unwritten(f, c);
	if (outflow_put_shared(&c->out, &f->batch, at, len) == -1)
		fan_send_back(f, c, NO_MEMORY_MS);
}

void
fan_unmute(struct fan *f, struct carried *c)
{
	struct buf held = c->held;

	if (!c->is_muted)
		return;
	c->is_muted = false;
	buf_init(&c->held, held.limit_len);
	if (held.len > 0)
		fan_put(f, c, held.bytes, held.len);
	buf_free(&held);
}

void
fan_end(struct fan *f, struct carried *c, const void *block, size_t len)
{
	if (c->state != CARRIED_LIVE)
		return;
	c->state = CARRIED_ENDING;
	c->is_muted = false;
	buf_free(&c->held);
	note_unwritten(f, c);
	if (outflow_end(&c->out, block, len) == -1)
		fan_gone(f, c);
}

void
fan_send_back(struct fan *f, struct carried *c, int64_t within_ms)
{
	buf_reset(&f->scratch);
	reply_put_retry(&f->scratch, clock_random(within_ms / 4, within_ms));
	fan_end(f, c, f->scratch.bytes, f->scratch.len);
}

static void
look_for_write(struct fan *f, struct carried *c, bool wants_write)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP |
					    (wants_write ? EPOLLOUT : 0U),
		.data = { .ptr = c } };

	if (c->wants_write == wants_write)
		return;
	c->wants_write = wants_write;
	epoll_ctl(f->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

/* What waits, and since when it does without getting less. */
static void
count_waiting(struct fan *f, struct carried *c, int64_t now_ms)
{
	const size_t len = outflow_pending_len(&c->out);

	if (c->blocked_ms == 0 && len > 0)
		f->nblocked++;
	if (c->blocked_ms != 0 && len == 0)
		f->nblocked--;
	if (len == 0)
		c->blocked_ms = 0;
	else if (c->blocked_ms == 0 || len < c->waiting_len)
		c->blocked_ms = now_ms;
	f->waiting_len += len - c->waiting_len;
	c->waiting_len = len;
}

void
fan_write_one(struct fan *f, struct carried *c, int64_t now_ms)
{
	enum outflow_result result;

	if (c->state != CARRIED_LIVE && c->state != CARRIED_ENDING)
		return;
	result = outflow_write(&c->out, &f->batch);
	/* page code hears only events whose names it knows */
	if (c->heartbeat_s == 0 && result == OUTFLOW_DONE)
		c->last_sign_ms = now_ms;
	count_waiting(f, c, now_ms);
	if (result == OUTFLOW_GONE ||
	    (result == OUTFLOW_DONE && c->state == CARRIED_ENDING))
		fan_gone(f, c);
	else
		look_for_write(f, c, result == OUTFLOW_BLOCKED);
}

void
fan_write(struct fan *f, int64_t now_ms)
{
	struct carried *c;

	while ((c = f->unwritten) != NULL) {
		f->unwritten = c->next_unwritten;
		c->has_unwritten = false;
		if (outflow_has_some(&c->out))
			fan_write_one(f, c, now_ms);
	}
	if (f->batch.cap > BATCH_KEEP_LEN)
		buf_free(&f->batch);
	else
		buf_reset(&f->batch);
}
