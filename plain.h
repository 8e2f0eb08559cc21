/* SPDX-License-Identifier: ISC */
/*
 * Plain messages in a stream: which channels it must hear them on itself, since
 * nobody records them, and which of those that it passed on come again as
 * records.  All who are subscribed hear the same messages and announcements in
 * the same order: what came before a recorder's announcement is no record of
 * its, what came after will be one.  Messages that a recorder passes on itself,
 * while Redis takes no writes, are known by their place in its queue.  Pure.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "redis/channel.h"
#include "redis/record.h"
#include "redis/take.h"

#define PLAIN_TOKEN_SIZE 64
#define PLAIN_TOKENS_MAX 4
#define PLAIN_RANGES_MAX 8

/* Of the channel's records of origin r with ids after base, that are still to
 * come, those from the firstth to the lastth were passed on. */
struct plain_range {
	uint64_t base, first, last;
};

struct plain_relayed {
	struct plain_range ranges[PLAIN_RANGES_MAX]; /* oldest first */
	size_t n;
	bool has_begun; /* there was one before */
};

/* Others do not look into it. */
struct plain {
	size_t nchannels;
	bool is_newcomer; /* what was before its first one is not its */

	/* what a recorder passed on, by channel; owned; NULL: there is none */
	struct plain_relayed *relayed;
	size_t nranges;			 /* of all of them together */
	char recorder[PLAIN_TOKEN_SIZE]; /* that one; "": not known */
	bool has_relays;		 /* a take has seen that it does, */
	struct buf relays;		 /* until then they are held here */

	/* after an announcement, until a take shows what it is worth */
	bool is_holding;
	char announced[PLAIN_TOKENS_MAX][PLAIN_TOKEN_SIZE]; /* a ring */
	size_t nannounced;
	struct buf held; /* len, bytes, len, bytes ... */
};

/* For a stream of n channels; is_newcomer: one that asked for nothing in the
 * past. */
void plain_init(struct plain *p, size_t n, bool is_newcomer);
void plain_free(struct plain *p);

/* Does nothing wait for a take, and was nothing passed on that is still to come
 * as a record?  Then another that has heard the same channels knows the same. */
bool plain_is_quiet(const struct plain *p);

/* There are n channels now: more at the end (0, or -1 without memory); or only
 * those that are kept, in their order, while nothing is held. */
int plain_add_channels(struct plain *p, size_t n);
void plain_keep_channels(struct plain *p, const bool *is_kept);

/* Note in positions[] (one for each channel) where nobody records what comes:
 * patterns are the active recorder's, comma-separated; NULL: there is none.
 * Returns whether that is other than what stood there. */
bool plain_update_coverage(struct position *positions,
    const struct channel_set *channels, const char *patterns);

/* Append the frame of a plain message.  Returns 0, or -1 with out unchanged if
 * the message is a record (another site's), or its frame would pass out's
 * limit, or there is no memory. */
int plain_put_frame(struct buf *out, const char *payload, size_t len);

/* --- an announcement ---------------------------------------------------- */

/* One was heard ("0 0 r\nup ATTEMPT TOKEN", or another one, or a forged one):
 * after "up" messages are held until a take shows who records; after that of
 * another recorder what a recorder passes on is held, too.  Returns whether it is one
 * for which a take is needed at once. */
bool plain_hear_notice(struct plain *p, const char *notice, size_t len);

/* Is this message to be held?  Then it is kept (up to a megabyte of them). */
bool plain_keep(
    struct plain *p, size_t channel, const char *payload, size_t len);

/* A take has found this recorder, or NULL: does it record what is held?  (Of
 * several that were announced it may be any: who announces can be lying.)  If
 * not, pass it on: *at is 0 at first; false: there is no more.  Then drop it. */
bool plain_are_recorded(const struct plain *p, const char *token);
bool plain_next_held(const struct plain *p, size_t *at, size_t *channel,
    const char **payload, size_t *len);
void plain_drop_held(struct plain *p);

/* --- from the recorder -------------------------------------------------- */

/* A take has found this recorder, or NULL.  If it is another one, whose
 * announcement was missed, what the one before passed on will not be recorded. */
void plain_note_recorder(struct plain *p, const char *token);

/* Anybody can say that a message is from the recorder: until a take shows that
 * one passes messages on, it is held (up to a megabyte).  Returns whether it
 * is. */
bool plain_hold_relay(struct plain *p, size_t channel, const struct relay *r);

/* What a take shows.  Then get what was held, if it is true: *at is 0 at first;
 * false: there is no more.  Then drop it. */
void plain_set_relays(struct plain *p, bool has_relays);
bool plain_next_relay(
    const struct plain *p, size_t *at, size_t *channel, struct relay *r);
void plain_drop_relays(struct plain *p);

/* A message that the recorder passes on: note its place.  Returns whether it is
 * to be passed on: it is new, and none before it was missed, which would come
 * after it then, as a record. */
bool plain_hear_relay(struct plain *p, size_t channel, const struct relay *r);

/* The connection was cut: from here on what does not come was missed. */
void plain_cut(struct plain *p);

/* A record of the channel has come, once and in order: was the message that it
 * was made of passed on? */
bool plain_was_passed(
    struct plain *p, size_t channel, const struct record *rec);

#endif
