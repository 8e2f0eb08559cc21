/* SPDX-License-Identifier: ISC */
/*
 * A grant: what an application lets a session read, as it wrote it into Redis,
 * {"user":"admin","channels":["admin","all"]}.  (Users read "the session's
 * record"; to the sources a record is a stored event.)  Pure.
 */
#ifndef SESSION_GRANT_H
#define SESSION_GRANT_H

#include <stddef.h>

#include "redis/channel.h"

#define SESSION_GRANT_LEN_MAX 65536

/*
 * Read a grant of len bytes: add its channels to the (empty) set; *user gets
 * its user's name, owned, or NULL if it names none.  Returns 0; or -1 with a
 * sentence part in error: no JSON object, too large, no channels, a name that
 * is none (prefix: see channel_name_error).  Whatever is doubtful is an error:
 * half of a policy is no policy.
 */
int session_grant_parse(const char *bytes, size_t len, const char *prefix,
    struct channel_set *channels, char **user, char *error, size_t error_size);

#endif
