/* SPDX-License-Identifier: ISC */
/* A request that is refused, for the administrator. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "request.h"
#include "verdict.h"

/* One line of the log: an error if the location is not set up right, else only
 * with --debug, since any stranger may cause it. */
void refusal_log(const struct request *req, const struct verdict *v);

#endif
