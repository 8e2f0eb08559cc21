/* SPDX-License-Identifier: ISC */
/* A set of channel names, or of other names in Redis.  Pure. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel {
	char *name; /* owned, NUL-terminated; holds no NUL */
	size_t len; /* bytes */
};

struct channel_set {
	struct channel *items; /* owned */
	size_t n, size;
	/* of a set that is not small: places of items by their names' hashes */
	uint32_t *places; /* owned; 0: none here, else its number and one */
	size_t nplaces;	  /* a power of two */
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

/* Forget the names whose is_kept[i] is false; the others move up. */
void channel_set_keep(struct channel_set *set, const bool *is_kept);

/*
 * Add the names of a comma-separated list, blanks round them stripped, empty
 * ones skipped.  Returns 0; or -1 if one is no channel's name (prefix as for
 * channel_name_error), with a sentence in error, or without memory.
 */
int channel_set_add_list(struct channel_set *set, const char *list, size_t len,
    const char *prefix, char *error, size_t error_size);

#define CHANNEL_LEN_MAX 128 /* bytes of a channel's name */

/*
 * Is this a channel's name?  1 to CHANNEL_LEN_MAX bytes of well-formed UTF-8
 * without control characters (U+0000-001F, 007F-009F), white space (the
 * Unicode White_Space property: also U+00A0, 1680, 2000-200A, 2028, 2029,
 * 202F, 205F, 3000) or any of  , * ? [ ] { } \   and not beginning with "__"
 * or with prefix (a C string, the site's Redis prefix; may be "").
 * Returns NULL if it is, else a constant sentence part saying why not, such as
 * "is longer than 128 bytes".
 */
const char *channel_name_error(const char *p, size_t len, const char *prefix);

#endif
