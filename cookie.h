/* SPDX-License-Identifier: ISC */
/* One cookie of a request (RFC 6265 4.2).  Pure. */
#ifndef COOKIE_H
#define COOKIE_H

#include <stddef.h>

/*
 * Find a cookie in the HTTP_COOKIE variables of a NULL-terminated environment;
 * there may be several, nginx sends one for each header.  Returns how often
 * the name stands there; the last one's value, quotes round it removed, is
 * *value (borrowed) of *len bytes.
 */
size_t cookie_find(
    char *const *env, const char *name, const char **value, size_t *len);

#endif
