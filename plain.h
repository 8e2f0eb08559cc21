/* SPDX-License-Identifier: ISC */
/*
 * Plain messages in a stream: which channels it must hear them on, their
 * frames, and which of them come again as records.  Pure; the caller says what
 * time it is.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "recent.h"
#include "redis/channel.h"
#include "redis/record.h"
#include "redis/take.h"

/* All zero is one that has heard nothing. */
struct plain {
	struct recent recent; /* what was passed on */
	char recorder[40];    /* token of the last one heard to come */
};

void plain_free(struct plain *p);

/* Note in positions[] (one for each channel) where nobody records what comes:
 * patterns are the active recorder's, comma-separated; NULL: there is none.
 * Returns whether that is other than what stood there. */
bool plain_update_coverage(struct position *positions,
    const struct channel_set *channels, const char *patterns);

/*
 * Append the frame of a plain message, and remember it.  Returns 0, or -1 with
 * out unchanged if the message is a record (another site's), or its frame would
 * pass out's limit, or there is no memory.
 */
int plain_put_frame(struct plain *p, struct buf *out, size_t channel,
    const char *payload, size_t len, int64_t now_ms);

/* Was the message that this record was made of passed on?  Then it is
 * forgotten, once. */
bool plain_was_passed(
    struct plain *p, size_t channel, const struct record *rec, int64_t now_ms);

/*
 * A recorder came or went.  One records only what came after its own
 * announcement.  So what was passed on before a new one's cannot come again,
 * and an equal message that does is another one.  (The same recorder,
 * regaining its lease, may have kept a queue.)
 * notice: as notice_parse reads it.
 */
void plain_hear_notice(struct plain *p, const char *notice, size_t len);

#endif
