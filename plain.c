/* SPDX-License-Identifier: ISC */
/* Plain messages that no recorder records: live, without an id. */
#include "plain.h"

#include <string.h>

#include "base/glob.h"
#include "redis/event.h"
#include "redis/sse.h"
#include "redis/record.h"

void
plain_free(struct plain *p)
{
	recent_free(&p->recent);
}

bool
plain_update_coverage(struct position *positions,
    const struct channel_set *channels, const char *patterns)
{
	bool changed = false, hears;
	size_t i;

	for (i = 0; i < channels->n; i++) {
		hears = patterns == NULL ||
			!glob_any_matches(patterns, channels->items[i].name,
			    channels->items[i].len);
		changed |= hears != positions[i].hears_plain;
		positions[i].hears_plain = hears;
	}
	return changed;
}

int
plain_put_frame(struct plain *p, struct buf *out, size_t channel,
    const char *payload, size_t len, int64_t now_ms)
{
	const size_t before = out->len;
	struct event ev;
	int failed;

	if (record_has_header(payload, len))
		return -1;
	event_from_payload(&ev, payload, len);
	failed = sse_put_event(out, &ev);
	if (!failed)
		recent_add(&p->recent, channel, out->bytes + before,
		    out->len - before, now_ms);
	event_free(&ev);
	return failed;
}

bool
plain_was_passed(
    struct plain *p, size_t channel, const struct record *rec, int64_t now_ms)
{
	return rec->origin == ORIGIN_RECORDED &&
	       recent_take(
		   &p->recent, channel, rec->body, rec->body_len, now_ms);
}

void
plain_hear_notice(struct plain *p, const char *notice, size_t len)
{
	struct notice n;

	if (notice_parse(&n, notice, len) != NOTICE_UP ||
	    n.token_len >= sizeof(p->recorder) ||
	    (strlen(p->recorder) == n.token_len &&
		memcmp(p->recorder, n.token, n.token_len) == 0))
		return;
	memcpy(p->recorder, n.token, n.token_len);
	p->recorder[n.token_len] = '\0';
	recent_free(&p->recent);
}
