/* SPDX-License-Identifier: ISC */
/* Giving up rights that are no longer needed. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stddef.h>

/*
 * Become user for good: its groups, its ids.  Returns 0; or -1 with a sentence
 * in error, nothing half done that could be taken for success.
 */
int sandbox_become(const char *user, char *error, size_t error_size);

/* Descriptors 0, 1 and 2 are open from here on, so that no socket gets one of
 * these numbers (hiredis 0.14 does not close a descriptor 0). */
void sandbox_fill_standard_fds(void);

/* No program that is executed from here on gains rights (set-uid bits). */
void sandbox_no_new_privileges(void);

#endif
