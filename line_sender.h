/* SPDX-License-Identifier: ISC */
/*
 * The way of --lines into Redis: each event once and in order, over lost
 * connections and a Redis that is away for a while.
 */
#ifndef LINE_SENDER_H
#define LINE_SENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "redis/channel.h"

struct line_sender;

/* Both are borrowed.  NULL without memory. */
struct line_sender *line_sender_new(
    const struct config *cfg, const struct channel_set *channels);
void line_sender_free(struct line_sender *s);

/* Connect once.  0, or an exit code, said: most likely the address is wrong. */
int line_sender_open(struct line_sender *s);

/* Is there no room for another event?  Is none left to be published? */
bool line_sender_is_full(const struct line_sender *s);
bool line_sender_is_empty(const struct line_sender *s);

/* An event more, if there is room.  0, or -1 without memory. */
int line_sender_put(struct line_sender *s, const char *frame, size_t len);

/* There are no more: from now on a Redis that is away is waited for a minute. */
void line_sender_end(struct line_sender *s);

/* To poll for POLLIN, and for how long: ms, or -1 for ever. */
int line_sender_fd(const struct line_sender *s);
int line_sender_patience_ms(const struct line_sender *s);

/*
 * Read answers if there are some, and print their ids; connect, send.  To be
 * called after each poll.  0, or an exit code, said: Redis refuses, or it was
 * away for too long.
 */
int line_sender_work(struct line_sender *s, bool is_readable);

/* Were there events of which it cannot be known whether they were published?
 * It was said. */
bool line_sender_has_lost(const struct line_sender *s);

#endif
