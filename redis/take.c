/* SPDX-License-Identifier: ISC */
/* The words of a take; what EVAL's mean stands in lua/snapshot.lua. */
#include "redis/take.h"

#include "lua_snapshot.h"

static void
add_keys(struct command *c, const struct channel_set *keys, size_t first)
{
	size_t i;

	for (i = first; i < keys->n; i++)
		command_add(c, keys->items[i].name, keys->items[i].len);
}

static void
build_eval(struct take_words *w)
{
	struct command *c = &w->eval;
	size_t i;

	command_add_text(c, "EVAL");
	command_add(c, lua_snapshot.text, lua_snapshot.len);
	command_add_number(c, 4 + w->keys->n + 2 * w->channels->n);
	command_add_name(c, "clock", "");
	command_add_name(c, "epoch", "");
	command_add_name(c, "recorder", "");
	command_add_name(c, "last", "");
	add_keys(c, w->keys, 0);
	for (i = 0; i < w->channels->n; i++) {
		command_add_name(c, "history:", w->channels->items[i].name);
		command_add_name(c, "meta:", w->channels->items[i].name);
	}
	command_fix(c);
}

static void
build_subscribe(struct take_words *w)
{
	struct command *c = &w->subscribe;
	size_t i;

	command_add_text(c, "SUBSCRIBE");
	command_add_name(c, "recorder", "");
	for (i = 0; i < w->channels->n; i++)
		command_add_name(c, "event:", w->channels->items[i].name);
	add_keys(c, w->keys, 0);
	command_fix(c);
}

int
take_words_init(struct take_words *w, const char *prefix,
    const struct channel_set *channels, const struct channel_set *keys)
{
	const size_t n = channels->n, m = keys->n;
	int eval, subscribe;

	w->channels = channels;
	w->keys = keys;
	eval = command_init(&w->eval, prefix, 12 + m + 3 * n, 9 + 3 * n);
	subscribe = command_init(&w->subscribe, prefix, 2 + m + 2 * n, 1 + n);
	if (eval == -1 || subscribe == -1)
		return -1;
	build_eval(w);
	build_subscribe(w);
	return 0;
}

void
take_words_free(struct take_words *w)
{
	command_free(&w->eval);
	command_free(&w->subscribe);
}

int
take_subscribe_init(struct command *c, const char *prefix,
    const struct channel_set *channels, size_t first_channel,
    const struct channel_set *keys, size_t first_key)
{
	const size_t n = channels->n - first_channel + keys->n - first_key;
	size_t i;

	if (command_init(c, prefix, 1 + n, n) == -1)
		return -1;
	command_add_text(c, "SUBSCRIBE");
	for (i = first_channel; i < channels->n; i++)
		command_add_name(c, "event:", channels->items[i].name);
	add_keys(c, keys, first_key);
	return 0;
}

static void
set_eval(struct take_words *w, const struct position *positions,
    uint64_t highest, const struct cursor *start, size_t bytes)
{
	struct command *c = &w->eval;
	size_t i;

	command_rewind(c);
	command_add_number(c, bytes);
	command_add_number(c, highest);
	command_add_text(c, start->kind == CURSOR_LAST	  ? "last"
			    : start->kind == CURSOR_SINCE ? "since"
							  : "");
	command_add_number(c, start->number);
	command_add_number(c, w->keys->n);
	for (i = 0; i < w->channels->n; i++)
		command_add_number(c, positions[i].id);
}

/* The last words of SUBSCRIBE: plain channels. */
static void
set_subscribe(struct take_words *w, const struct position *positions)
{
	const struct channel_set *channels = w->channels;
	size_t i;

	command_rewind(&w->subscribe);
	for (i = 0; i < channels->n; i++)
		if (positions[i].hears_plain)
			command_add(&w->subscribe, channels->items[i].name,
			    channels->items[i].len);
}

void
take_words_set(struct take_words *w, const struct position *positions,
    uint64_t highest, const struct cursor *start, size_t bytes)
{
	set_eval(w, positions, highest, start, bytes);
	set_subscribe(w, positions);
}

/* --- how much ----------------------------------------------------------- */

#define CUTS_MIN 3
#define CUTS_MS 3000

void
take_size_init(struct take_size *ts)
{
	*ts = (struct take_size){ .bytes = TAKE_BYTES_MAX };
}

void
take_size_rest(struct take_size *ts)
{
	if (ts->bytes > TAKE_BYTES_MIN)
		ts->bytes = TAKE_BYTES_MIN;
}

void
take_size_limit(struct take_size *ts, size_t bytes)
{
	const size_t most = bytes > TAKE_BYTES_MIN ? bytes : TAKE_BYTES_MIN;

	if (ts->bytes > most)
		ts->bytes = most;
}

bool
take_size_cut(struct take_size *ts, int64_t now_ms)
{
	switch (ts->bytes) {
	case TAKE_PROBE:
		return false; /* it is not the size */
	case TAKE_SINGLE:
		if (ts->ncuts++ == 0)
			ts->cut_at_ms = now_ms;
		ts->bytes = TAKE_PROBE;
		return true;
	default:
		ts->bytes =
		    ts->bytes > TAKE_BYTES_MIN ? ts->bytes / 2 : TAKE_SINGLE;
		return true;
	}
}

static void
grow(struct take_size *ts)
{
	ts->bytes += ts->bytes / 8; /* slowly: the limit may be just above */
	if (ts->bytes < TAKE_BYTES_MIN)
		ts->bytes = TAKE_BYTES_MIN;
	if (ts->bytes > TAKE_BYTES_MAX)
		ts->bytes = TAKE_BYTES_MAX;
}

bool
take_size_answered(struct take_size *ts, uint64_t next_bytes, int64_t now_ms)
{
	const bool is_small = next_bytes < TAKE_BYTES_MIN;
	bool is_over;

	if (ts->bytes != TAKE_PROBE) {
		ts->ncuts = 0;
		grow(ts);
		return false;
	}
	ts->bytes = TAKE_SINGLE;
	is_over = !is_small && ts->ncuts >= CUTS_MIN &&
		  now_ms - ts->cut_at_ms >= CUTS_MS;
	if (is_small || is_over)
		ts->ncuts = 0;
	return is_over;
}
