/* SPDX-License-Identifier: ISC */
/* struct event as text/event-stream bytes (HTML 9.2.5, 9.2.6).  Pure. */
#ifndef SSE_H
#define SSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "redis/event.h"

/* The largest frame where events may have n bytes of data.  Lines of text fit;
 * but each empty line is one byte of data and seven of frame, and it is the
 * frame that Redis keeps and sends to each subscriber. */
#define SSE_FRAME_LEN_MAX(n) (2 * (size_t)(n) + 1024)

/*
 * Append one event without its id: an "event:" line unless the name is empty
 * or "message", a "data:" line for each line of data (CR, LF and CRLF each end
 * one; empty data is one empty line; "a\n" is two lines), and the blank line
 * that dispatches it.  Ill-formed UTF-8 becomes U+FFFD.
 * Returns 0, or -1 with b unchanged if event_name_error(name) or b would pass
 * its limit.  Borrows ev for the call only.
 */
int sse_put_event(struct buf *b, const struct event *ev);

#endif
