/* SPDX-License-Identifier: ISC */
/* A record: one event as it stands in Redis.  Pure. */
#ifndef RECORD_H
#define RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_origin { ORIGIN_PUBLISHED = 'p', ORIGIN_RECORDED = 'r' };

/* One record of a channel: "ID PREV ORIGIN\n" and the finished frame. */
struct record {
	uint64_t id;   /* microseconds since 1970, strictly increasing */
	uint64_t prev; /* id of the channel's previous event, 0: none */
	enum record_origin origin;
	const char *frame; /* "id: ID\n" and the rest; borrowed */
	size_t frame_len;
	const char *body; /* the frame after its "id:" line; borrowed */
	size_t body_len;
};

/*
 * A plain message that the recorder passes on live, since Redis takes no writes
 * just now: "BASE PLACE r\n" and the frame without an id.  It will be recorded
 * later: of the channel's records of origin r after the id BASE it will be the
 * PLACEth.
 */
struct relay {
	uint64_t base, place;
	const char *frame; /* borrowed */
	size_t frame_len;
};

/*
 * Read a record.  Returns 0, or -1 if the bytes are none: a header of another
 * form, a frame that does not begin "id: ID\n" or does not end in a blank
 * line.  *rec borrows from p.
 */
int record_parse(struct record *rec, const char *p, size_t len);

/* Is it a summons: a record of so many bytes that Redis shall not hold it once
 * for each subscriber?  Then it is to be read from the history, at a random
 * moment within *spread_ms. */
bool record_is_summons(const struct record *rec, int64_t *spread_ms);

/* Read a relay.  Returns as record_parse. */
int relay_parse(struct relay *r, const char *p, size_t len);

/* Do these bytes begin with a record's header line, or with one of id 0?  (The
 * recorder leaves such messages alone: another site's records, and the
 * announcements of its recorders, on the same Redis.) */
int record_has_header(const char *p, size_t len);

/* What recorders announce to each other and to the streams, in the pub/sub
 * channel of the lease (lease.lua). */
enum notice_kind {
	NOTICE_OTHER, /* of another form: it says nothing */
	NOTICE_UP,    /* "0 0 r\nup ATTEMPT TOKEN": from here on it records */
	NOTICE_DOWN,  /* "0 0 r\ndown TOKEN": it gave the lease back */
	NOTICE_FORGET /* "0 0 r\nforget TOKEN": what it passed on live it will
		       * not record */
};

struct notice {
	uint64_t attempt;  /* of NOTICE_UP: which one got the lease */
	const char *token; /* at least one byte, no blank; borrowed */
	size_t token_len;
};

/* Read an announcement.  Returns its kind; *n is set unless that is
 * NOTICE_OTHER, and borrows from p. */
enum notice_kind notice_parse(struct notice *n, const char *p, size_t len);

#endif
