/* SPDX-License-Identifier: ISC */
/* What a follower hears, into one client's outlet.  Runs in the responder. */
#include "stream_sink.h"

#define CONGESTED_LEN (256 << 10) /* more waits for the client */

static struct outlet *
outlet_of(struct sink *s)
{
	return ((struct stream_sink *)s)->out;
}

static enum client_result
start(struct sink *s, uint64_t floor)
{
	return outlet_put_start(
	    outlet_of(s), ((struct stream_sink *)s)->retry_ms, floor);
}

static enum client_result
put_record(struct sink *s, size_t channel, const struct record *rec)
{
	(void)channel;
	return outlet_put_record(outlet_of(s), rec);
}

/* It was sent without its id. */
static enum client_result
put_passed(struct sink *s, size_t channel, const struct record *rec)
{
	struct outlet *out = outlet_of(s);

	(void)channel;
	return rec->id > out->cursor ? outlet_put_position(out, rec->id)
				     : CLIENT_OK;
}

static enum client_result
put_message(struct sink *s, size_t channel, const char *frame, size_t len)
{
	(void)channel;
	return outlet_put(outlet_of(s), frame, len);
}

static enum client_result
put_reset(struct sink *s, const struct reset *r)
{
	struct outlet *out = outlet_of(s);

	if (r->reason == RESET_FLUSHED && out->cursor > r->id)
		out->cursor = r->id;
	return outlet_put_reset(
	    out, r->channels, r->is_affected, r->reason, r->id);
}

static enum client_result
put_position(struct sink *s, uint64_t id)
{
	return outlet_put_position(outlet_of(s), id);
}

static bool
is_congested(const struct sink *s)
{
	return outlet_pending_len(((const struct stream_sink *)s)->out) >
	       CONGESTED_LEN;
}

static bool
session_spoke(struct sink *s, size_t key)
{
	(void)s;
	(void)key;
	return true; /* there is but one */
}

static bool
grants_changed(struct sink *s, const struct take *t)
{
	return t->ngrants > 0 &&
	       !session_is_current(((struct stream_sink *)s)->session,
		   t->grants[0].text, t->grants[0].len);
}

void
stream_sink_init(struct stream_sink *s, struct outlet *out,
    const struct session *session, uint64_t retry_ms)
{
	static const struct sink_ops ops = { .start = start,
		.record = put_record,
		.passed = put_passed,
		.message = put_message,
		.reset = put_reset,
		.position = put_position,
		.is_congested = is_congested,
		.session_spoke = session_spoke,
		.grants_changed = grants_changed };

	*s = (struct stream_sink){ { &ops }, out, session, retry_ms };
}
