/* SPDX-License-Identifier: ISC */
/* The password of Redis from a file: its first line. */
#ifndef PASSWORD_H
#define PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

/* Returns 0 and the password (owned: password_free), or -1 with a sentence in
 * error. */
int password_read(
    const char *path, char **password, char *error, size_t error_size);

/* Forget it.  NULL is fine. */
void password_free(char *password);

/* Can the file be read again later?  A pipe cannot; one that is not there just
 * now may come. */
bool password_is_lasting(const char *path);

#endif
