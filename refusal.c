/* SPDX-License-Identifier: ISC */
/* Runs in the responder. */
#include "refusal.h"

#include <stddef.h>

#include "base/log.h"

void
refusal_log(const struct request *req, const struct verdict *v)
{
	const char *from =
	    req->remote_address != NULL ? req->remote_address : "?";

	if (v->is_misconfigured)
		log_error("refused (%d): %s", (int)v->status, v->sentence);
	else
		log_debug(
		    "refused %s (%d): %s", from, (int)v->status, v->sentence);
}
