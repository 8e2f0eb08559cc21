/* SPDX-License-Identifier: ISC */
/*
 * What a responder and a carrier say to each other, to move a stream from one
 * to the other.  Pure.
 *
 *   responder                                     carrier
 *     OFFER: the channels, and where it is─────▶  follows them
 *     has heard all that was published    ◀─────  READY: from here on I have
 *       before, or makes sure                       what follows
 *     MOVE, and the client's descriptor   ─────▶  goes on after that position
 *
 * Until MOVE the responder streams on.  The offer goes through the door, which
 * all share, and takes a socket along for the rest; whoever closes that has
 * changed his mind.  Both ends are the same program: numbers are as the machine
 * has them.  What comes is looked at all the same.
 */
#ifndef OFFER_H
#define OFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A message is at most so long; a stream with more stays where it is. */
#define OFFER_LEN_MAX (128 << 10)

struct offer {
	uint16_t request_id;  /* of FastCGI */
	uint64_t heartbeat_s; /* of heartbeats that are events; else 0 */
	int64_t end_due_ms;   /* the stream's life ends (clock_now_ms) */
	/* of the session, or empty; borrowed, NUL-terminated but for grant */
	const char *key, *grant, *user;
	size_t grant_len;
	size_t nchannels;
	/* offer_parse sets it, for offer_next_channel; borrowed */
	const char *channels;
	size_t channels_len;
};

/* Append an offer, and then each of its channels, with the id of its last
 * record, to b.  Returns 0, or -1 if
 * that would pass b's limit, or without memory. */
int offer_begin(struct buf *b, const struct offer *o);
int offer_add_channel(
    struct buf *b, const char *name, size_t len, uint64_t position);

/* Read an offer; it borrows from p.  Returns 0, or -1 if it is none. */
int offer_parse(struct offer *o, const char *p, size_t len);

/* The next one of the nchannels of an offer that was read; *at is 0 at first.
 * The name is not NUL-terminated. */
void offer_next_channel(const struct offer *o, size_t *at, const char **name,
    size_t *len, uint64_t *position);

struct offer_ready {
	uint64_t covered; /* the carrier has all records after this one;
			   * UINT64_MAX: those published from now on */
	uint64_t clock;	  /* the newest id that it has seen, */
	uint64_t epoch;	  /* and the store's first one, at that time */
	uint64_t now_us;
};

struct offer_move {
	uint64_t floor;	      /* the newest id that it has seen */
	uint64_t heard;	      /* all at or below has been heard: as far as the
			       * floor, or the clock of "ready" */
	uint64_t cursor;      /* the id that the client remembers */
	int64_t last_sign_ms; /* of life (clock_now_ms) */
};

/* Read those, which are sent as they are.  0, or -1 if it is not that. */
int offer_read_ready(struct offer_ready *r, const char *p, size_t len);
int offer_read_move(struct offer_move *m, const char *p, size_t len);

#endif
