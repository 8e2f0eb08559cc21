/* SPDX-License-Identifier: ISC */
/* What a plain PUBLISH carries, as an event.  Pure. */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>

#define EVENT_NAME_LEN_MAX 256 /* bytes */

struct event {
	const char *name; /* borrowed from payload or the event's own memory */
	size_t name_len;  /* 0 means "message" */
	const char *data; /* likewise; may hold NUL and any line ends */
	size_t data_len;
	void *owned[2]; /* what event_free releases; NULL or cJSON's memory */
};

/*
 * May a publisher use this name?  Well-formed UTF-8, at most
 * EVENT_NAME_LEN_MAX bytes, no CR, LF or NUL, not beginning "stream-" (those
 * are the server's own).  The empty name is fine and means "message".
 * Returns NULL if so, else a constant sentence part saying why not.
 */
const char *event_name_error(const char *name, size_t name_len);

/*
 * Read the payload of a plain PUBLISH (tornado-sse's and django_sse's format):
 * a JSON array of exactly two, [name, data], name a string.  Data that is a
 * JSON string is its decoded text; any other data is the very bytes between
 * the comma and the bracket, blanks at both ends stripped, never re-printed.
 * Everything else is the data of an event "message", as it stands: no JSON by
 * the letter of RFC 8259 (ill-formed UTF-8 alone is let through), more than
 * 1000 brackets in one another, another shape, an invalid or reserved name,
 * \u0000 or a raw NUL anywhere in the payload, half a surrogate pair in the
 * name or the string, text after the array.
 * Never fails (out of memory counts as no JSON).  Borrows payload for as long
 * as the event lives; end with event_free.
 */
void event_from_payload(struct event *ev, const char *payload, size_t len);

void event_free(struct event *ev);

#endif
