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

/* No program that is executed from here on gains rights (set-uid bits). */
void sandbox_no_new_privileges(void);

#endif
