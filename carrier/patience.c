/* SPDX-License-Identifier: ISC */
/* One slow client, or a slow web server? */
#include "carrier/patience.h"

#include "carrier/fan_write.h"

/* So much may wait for one client, unless it has taken nothing for so long: */
#define BEHIND_LEN ((size_t)256 << 10)
#define BEHIND_MS 2000
/* less long where so much waits in all (of one large event no socket takes all at
 * once); and where it is as much as this, at once */
#define WAITING_LEN_MAX ((size_t)32 << 20)
#define CROWDED_MS 500
#define WAITING_LEN_LIMIT (4 * WAITING_LEN_MAX)
#define PAUSE_MAX_MS 5000 /* Redis would cut the connection by and by */
#define COME_BACK_MS 5000

static int64_t
time_for_one_ms(const struct fan *f)
{
	if (f->waiting_len > WAITING_LEN_LIMIT)
		return 0;
	return f->waiting_len > WAITING_LEN_MAX ? CROWDED_MS : BEHIND_MS;
}

static bool
is_slow(const struct fan *f, const struct carried *c, int64_t now_ms)
{
	return c->state == CARRIED_LIVE && c->waiting_len > BEHIND_LEN &&
	       now_ms >= c->blocked_ms + time_for_one_ms(f);
}

static void
send_slow_back(struct fan *f, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (is_slow(f, f->streams[i], now_ms))
			fan_send_back(f, f->streams[i], COME_BACK_MS);
}

void
patience_mind(struct patience *p, struct fan *f, int64_t now_ms)
{
	const bool most_are = f->nblocked > f->n / 2;

	if (f->waiting_len <= BEHIND_LEN) {
		p->paused_ms = 0;
		return;
	}
	if (most_are && p->paused_ms == 0 && f->waiting_len > WAITING_LEN_MAX)
		p->paused_ms = now_ms;
	if (p->paused_ms != 0 && now_ms < patience_due_ms(p)) {
		if (f->waiting_len < WAITING_LEN_MAX / 4)
			p->paused_ms = 0;
		return;
	}
	p->paused_ms = 0;
	if (!most_are || f->waiting_len > WAITING_LEN_MAX)
		send_slow_back(f, now_ms);
}

bool
patience_is_paused(const struct patience *p)
{
	return p->paused_ms != 0;
}

int64_t
patience_due_ms(const struct patience *p)
{
	return p->paused_ms != 0 ? p->paused_ms + PAUSE_MAX_MS : INT64_MAX;
}
