/* SPDX-License-Identifier: ISC */
/* A set of channel names.  Pure. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

struct channel {
	char *name; /* owned, NUL-terminated; holds no NUL */
	size_t len; /* bytes */
};

struct channel_set {
	struct channel *items; /* owned */
	size_t n, size;
};

/* Make it empty. */
void channel_set_init(struct channel_set *set);
void channel_set_free(struct channel_set *set);

/* Add a name of len bytes unless it is there.  Returns 0, -1 without memory. */
int channel_set_add(struct channel_set *set, const char *name, size_t len);

bool channel_set_has(
    const struct channel_set *set, const char *name, size_t len);

/* As channel_set_has; *i becomes its number in items. */
bool channel_set_find(
    const struct channel_set *set, const char *name, size_t len, size_t *i);

/*
 * Add the names of a comma-separated list, blanks round them stripped, empty
 * ones skipped.  Returns 0; or -1 if one is no channel's name (prefix as for
 * channel_name_error), with a sentence in error, or without memory.
 */
int channel_set_add_list(struct channel_set *set, const char *list, size_t len,
    const char *prefix, char *error, size_t error_size);

#endif
