/* SPDX-License-Identifier: ISC */
/*
 * A take: what a stream asks of Redis in one step, the snapshot after its
 * positions and the subscription, and what it finds.  Pure.
 */
#ifndef TAKE_H
#define TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "redis/channel.h"
#include "redis/command.h"

/* Records of one take, in bytes: at most, unless the first one is larger. */
#define TAKE_BYTES_MAX (4 << 20)
#define TAKE_BYTES_MIN (128 << 10) /* less than this is a single record */
#define TAKE_SINGLE 1		   /* one record, whatever its size */
/* How large the next one is (next_bytes), its header and an empty frame. */
#define TAKE_PROBE 0

/* What a stream knows of one of its channels. */
struct position {
	uint64_t id;	  /* nothing at or below it is wanted */
	bool is_exact;	  /* it is the id of the channel's last event */
	bool hears_plain; /* listen to plain PUBLISH: no recorder covers it */
	bool is_loose;	  /* what was before does not matter: whatever record
			   * comes first is the next one */
};

/* What a take found in one of them. */
struct taken_channel {
	uint64_t last;	      /* id of its last event, 0: none */
	uint64_t oldest_prev; /* newer than the position: what lay between is
			       * gone.  0 where nothing is new */
};

/* The grant of a session. */
struct taken_grant {
	const char *text; /* NULL: there is none */
	size_t len;	  /* bytes */
};

/* What a take found; the pointers are borrowed (see redis_sub_read_take). */
struct take {
	uint64_t clock; /* last id given out; 0: empty store */
	uint64_t epoch; /* first one; 0: none */
	uint64_t now_us;
	bool is_replica;    /* asked only if highest > clock */
	bool has_more;	    /* records remain: take again from the last */
	bool is_not_atomic; /* made without MULTI, for want of memory in Redis:
			     * what came between shows in one that follows */
	const char *patterns; /* of the active recorder; NULL: there is none */
	const char *token;    /* and its name */
	bool has_relays;      /* it passes messages on live just now */
	const struct taken_grant
	    *grants; /* one for each key that was asked for */
	size_t ngrants;
	const struct taken_channel *channels; /* one for each, but for those */
	size_t nchannels; /* that came in while the take was on its way */
	size_t nrecords;
	uint64_t next_bytes; /* TAKE_PROBE: size of the next record, 0: none */
};

/* The two commands of a take that have more than one word. */
struct take_words {
	struct command eval;	  /* the snapshot's script */
	struct command subscribe; /* live records, notices, the sessions */
	const struct channel_set *channels; /* borrowed, as is the next */
	const struct channel_set *keys;
};

/*
 * Build what is the same in each take of those channels, and with them of the
 * sessions' grants under those keys.  Borrows prefix (that of
 * names in Redis), channels and keys for w's life; both sets stay as they are.
 * Returns 0, or -1 without memory; take_words_free either way.
 */
int take_words_init(struct take_words *w, const char *prefix,
    const struct channel_set *channels, const struct channel_set *keys);
void take_words_free(struct take_words *w);

/* The words to subscribe to the channels and keys from these numbers on, without
 * a take.  0, or -1 without memory; command_free either way. */
int take_subscribe_init(struct command *c, const char *prefix,
    const struct channel_set *channels, size_t first_channel,
    const struct channel_set *keys, size_t first_key);

/*
 * The words of the next take, after positions[] (one for each channel).
 * start: CURSOR_LAST or CURSOR_SINCE replace the positions; other kinds are
 * ignored.  highest: the largest id the stream has seen or claims.  bytes: how
 * much it may bring.
 */
void take_words_set(struct take_words *w, const struct position *positions,
    uint64_t highest, const struct cursor *start, size_t bytes);

/*
 * How much a stream asks for.  Redis cuts a subscriber whose output passes its
 * limit (client-output-buffer-limit pubsub), also in the midst of a take: then
 * a smaller one is asked for, in the end a single record.  That one is over the
 * limit itself if it is cut again and again, for seconds, while Redis does tell
 * each time how large it is: something else that cuts would cut that, too.  The
 * caller says what time it is.
 */
struct take_size {
	size_t bytes;	   /* to ask for */
	unsigned ncuts;	   /* of takes of the one record */
	int64_t cut_at_ms; /* the first of those */
};

void take_size_init(struct take_size *ts);

/* The client is slow: small ones for a while. */
void take_size_rest(struct take_size *ts);

/* The answer is for many: ask for so much at most, but TAKE_BYTES_MIN.  To be
 * called again and again, for it grows. */
void take_size_limit(struct take_size *ts, size_t bytes);

/* The connection was cut while the answer was awaited.  Returns whether there
 * is less to ask for. */
bool take_size_cut(struct take_size *ts, int64_t now_ms);

/* The answer came, with next_bytes.  Returns true if the next record is over
 * the limit, and must be passed over. */
bool take_size_answered(
    struct take_size *ts, uint64_t next_bytes, int64_t now_ms);

#endif
