/* SPDX-License-Identifier: ISC */
/*
 * What one stream reads from Redis: a take (a snapshot of what is after its
 * positions and the subscription, in one step), then records as they come.
 * It never waits: the caller polls.
 * Errors are text in the object; nothing here logs.
 */
#ifndef REDIS_SUB_H
#define REDIS_SUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/cursor.h"
#include "redis/channel.h"
#include "redis/sub_message.h"
#include "redis/take.h"
#include "request.h"

struct redis_sub;

/* Not connected; borrows cfg for its life.  NULL without memory. */
struct redis_sub *redis_sub_new(const struct config *cfg);
void redis_sub_free(struct redis_sub *sub);

/* From the next take on it reads those channels (none is fine), and with them
 * the sessions' grants under those keys; borrows both until it
 * is called again or freed.  Returns 0, or -1 without memory: then nothing but
 * redis_sub_free is left to do. */
int redis_sub_set(struct redis_sub *sub, const struct channel_set *channels,
    const struct channel_set *keys);

/* Members were added to both sets, from these numbers on: subscribe to them,
 * without a take, on a connection that is subscribed; without one, or where
 * that fails, the next take will.  Returns 0, or -1 without memory: as for
 * redis_sub_set. */
int redis_sub_add(
    struct redis_sub *sub, size_t first_channel, size_t first_key);

/* Members were taken out of both sets: the next take leaves them. */
void redis_sub_keep(struct redis_sub *sub);

/* Send PING: what comes before SUB_PONG was published before.  To be called on
 * a connection that is subscribed; if it is gone, that shows. */
void redis_sub_ping(struct redis_sub *sub, const char *text);

/*
 * Ask for a take: begin to connect if need be, and have Redis read the store
 * after positions[] and (re)subscribe, atomically; the arguments are those of
 * take_words_set.  Waits for nothing.
 * Returns 0: poll, and go on with redis_sub_next until SUB_TAKEN (or
 * SUB_CLOSED).  What it returns before was published before the take, and the
 * take, which is of these positions, may bring it again.  Returns -1 with
 * redis_sub_error: try again later.
 */
int redis_sub_ask(struct redis_sub *sub, const struct position *positions,
    uint64_t highest, const struct cursor *start, size_t bytes);

/* After SUB_TAKEN: *t, whose pointers live until redis_sub_drop_taken. */
void redis_sub_read_take(struct redis_sub *sub, struct take *t);

/* Record i of the last take, in the order of ids; *channel is its number.
 * Returns 0, or -1 if it is none (somebody wrote to the list by hand). */
int redis_sub_taken(
    const struct redis_sub *sub, size_t i, size_t *channel, struct record *rec);

/* The records of the last take are no longer needed. */
void redis_sub_drop_taken(struct redis_sub *sub);

/* The next message of what was read; it lives until the next call of
 * redis_sub_next, _ask or _free. */
enum sub_kind redis_sub_next(struct redis_sub *sub, struct sub_message *m);

/* What to poll; the descriptor is -1 while there is no connection. */
int redis_sub_fd(const struct redis_sub *sub);
short redis_sub_poll_events(const struct redis_sub *sub);

/* Write and read what poll() says is possible.  A lost connection shows in
 * redis_sub_next, after what came before. */
void redis_sub_work(struct redis_sub *sub, short revents);

/* May the connection serve another stream?  Then it is subscribed to nothing
 * now; if not, it is closed, and the next take connects. */
void redis_sub_reuse(struct redis_sub *sub);

/* May more be there than redis_sub_work has read? */
bool redis_sub_may_have_more(const struct redis_sub *sub);

/* Subscribe to nothing until the next take; what was on its way still comes.
 * Not while a take is awaited. */
void redis_sub_rest(struct redis_sub *sub);

/* Close the connection: the answer did not come in time. */
void redis_sub_give_up(struct redis_sub *sub);

/* After SUB_CLOSED, or when redis_sub_ask has failed: why? */
struct sub_end {
	bool was_cut; /* Redis ended a connection that stood, without a word */
	bool was_refused; /* Redis did not take the password */
	bool
	    was_reused; /* the connection had served another stream: it may have
			   * ended long before */
	bool queue_is_full; /* Redis is there, and takes no connection in this
			     * moment */
};
const struct sub_end *redis_sub_end(const struct redis_sub *sub);

/* Why the last call failed, and where; lives as long as sub. */
const char *redis_sub_error(const struct redis_sub *sub);

#endif
