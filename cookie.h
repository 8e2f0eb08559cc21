/* SPDX-License-Identifier: ISC */
/* One cookie of a request (RFC 6265 4.2).  Pure. */
#ifndef COOKIE_H
#define COOKIE_H

#include <stddef.h>

/*
 * Find a cookie in the HTTP_COOKIE variables of a NULL-terminated environment;
 * there may be several, nginx sends one for each header.  Returns how often
 * the name stands there; the value of number nth (from 0; of the last, if there
 * are fewer), quotes round it removed, is *value (borrowed) of *len bytes.
 */
size_t cookie_find(char *const *env, const char *name, size_t nth,
    const char **value, size_t *len);

#endif
