/* SPDX-License-Identifier: ISC */
/* What a carrier's follower hears, to each stream that it is for. */
#ifndef FAN_SINK_H
#define FAN_SINK_H

#include "carrier/fan.h"

/* Make f->sink that. */
void fan_sink_init(struct fan *f);

/* A stream has moved in, and lives: what came after its floor meanwhile is
 * put. */
void fan_catch_up(struct fan *f, struct carried *c);

#endif
