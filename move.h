/* SPDX-License-Identifier: ISC */
/* A stream leaves its responder for a carrier: the responder's half of
 * carrier/offer.h. */
#ifndef MOVE_H
#define MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/backoff.h"
#include "carrier/offer.h"
#include "client.h"
#include "follow.h"
#include "outlet.h"
#include "session.h"

/* The stream; all are borrowed. */
struct move_stream {
	struct client *cl;
	struct outlet *out;
	struct follower *follower;
	const struct session *session;
	int64_t end_due_ms;
};

struct move {
	int door_fd; /* borrowed; -1: it stays here */
	int fd;	     /* to poll for POLLIN, while an offer stands; else -1 */
	/* the rest is move.c's */
	enum { MOVE_IDLE, MOVE_OFFERED, MOVE_ACCEPTED, MOVE_PINGED } state;
	struct offer_ready ready;
	uint64_t pings;
	int64_t due_ms;	   /* the next offer; or the end of this one */
	bool is_for_later; /* it is due, once the stream is quiet */
	struct backoff backoff;
};

void move_init(struct move *m, int door_fd);

/* Take back an offer, if one stands: the stream is another now, or ends. */
void move_cancel(struct move *m);

/* When move_work is to be called at the latest; INT64_MAX: never. */
int64_t move_due_ms(const struct move *m);

/*
 * Go on with it, in each turn of the stream's loop; has_said: poll says that
 * m->fd can be read.  A stream moves when it is live and quiet.  Returns true
 * if it has moved: nothing may be written to the client any more.
 */
bool move_work(
    struct move *m, const struct move_stream *s, bool has_said, int64_t now_ms);

#endif
