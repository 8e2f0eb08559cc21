/* SPDX-License-Identifier: ISC */
/* The sink of a stream that has a process of its own: its outlet, and its
 * session. */
#ifndef STREAM_SINK_H
#define STREAM_SINK_H

#include <stdint.h>

#include "outlet.h"
#include "session.h"
#include "sink.h"

struct stream_sink {
	struct sink sink;   /* first: the others find it through that */
	struct outlet *out; /* borrowed, as is the next */
	const struct session *session; /* whose grant the channels came from */
	uint64_t retry_ms;	       /* see outlet_put_start */
};

void stream_sink_init(struct stream_sink *s, struct outlet *out,
    const struct session *session, uint64_t retry_ms);

#endif
