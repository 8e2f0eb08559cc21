/* SPDX-License-Identifier: ISC */
/* One stream of a carrier: first a guest, whose responder has offered it, then
 * carried.  What reaches it comes through its fan (fan.h). */
#ifndef CARRIED_H
#define CARRIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "carrier/offer.h"
#include "carrier/outflow.h"

enum carried_state {
	CARRIED_GUEST,	/* its responder streams; we get ready */
	CARRIED_LIVE,	/* it is ours */
	CARRIED_ENDING, /* its end is on its way */
	CARRIED_GONE	/* to be freed at the end of the turn */
};

#define CARRIED_NO_KEY UINT32_MAX

struct carried {
	enum carried_state state;
	int fd; /* owned: the guest's responder, then the web server */
	struct outflow out;
	/* its channels: their numbers in the fan, and where it stands in the
	 * audience of each; owned */
	uint32_t *channels, *places;
	uint64_t *positions; /* owned: the last record that its responder knew;
			      * 0: one has come since */
	size_t nchannels;
	uint32_t key; /* number of its session's in the fan, or none */
	char *grant;  /* of that session; owned, with grant_len bytes */
	size_t grant_len;
	char *user;	      /* owned; "": nobody named */
	uint64_t heartbeat_s; /* of heartbeats that are events; else 0 */

	/* of a guest */
	uint64_t
	    awaited_ping;    /* what it needs is heard once that is answered */
	int64_t patience_ms; /* it is given up then */
	bool is_ready;	     /* its responder was told */
	bool is_spoiled;     /* something came that it cannot get later */

	/* of one that lives */
	uint64_t floor;	 /* records at or below are not for it */
	uint64_t heard;	 /* its responder had all at or below, when it moved */
	uint64_t cursor; /* the id that the client remembers */
	uint64_t seen;	 /* the store had come to here, when it was looked at */
	bool owes_position;
	bool is_muted;	      /* its session spoke: what comes is held */
	struct buf held;      /* until its grant is seen */
	bool wants_write;     /* epoll looks for POLLOUT */
	size_t waiting_len;   /* what is counted in the fan's */
	int64_t blocked_ms;   /* since when it takes nothing; 0: it does */
	int64_t last_sign_ms; /* of life, that the client can hear */
	int64_t end_due_ms;
	bool has_unwritten; /* it is in the list of those, with this next: */
	struct carried *next_unwritten;
	size_t number; /* in the fan's list */
};

/* A guest, from its offer; takes fd, also when it fails.  NULL without
 * memory. */
struct carried *carried_new(const struct offer *o, int fd);

/* Free it, and close its descriptor. */
void carried_free(struct carried *c);

/* The guest moves in: these are its descriptor (taken) and its state. */
void carried_move_in(struct carried *c, int fd, const struct offer_move *m);

/* The web server says something (events of epoll): nearly always that the client
 * left.  Does it?  Then the answer was ended, as far as that goes. */
bool carried_has_left(struct carried *c, uint32_t events);

#endif
