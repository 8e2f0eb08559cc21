/* SPDX-License-Identifier: ISC */
/* Sets are small (at most a thousand, mostly under ten): a plain array. */
#include "channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

void
channel_set_init(struct channel_set *set)
{
	memset(set, 0, sizeof(*set));
}

void
channel_set_free(struct channel_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		free(set->items[i].name);
	free(set->items);
	channel_set_init(set);
}

bool
channel_set_find(
    const struct channel_set *set, const char *name, size_t len, size_t *i)
{
	for (*i = 0; *i < set->n; ++*i)
		if (set->items[*i].len == len &&
		    memcmp(set->items[*i].name, name, len) == 0)
			return true;
	return false;
}

bool
channel_set_has(const struct channel_set *set, const char *name, size_t len)
{
	size_t i;

	return channel_set_find(set, name, len, &i);
}

int
channel_set_add(struct channel_set *set, const char *name, size_t len)
{
	char *copy;

	if (channel_set_has(set, name, len))
		return 0;
	if (set->n == set->size) {
		size_t size = set->size ? 2 * set->size : 8;
		struct channel *bigger =
		    reallocarray(set->items, size, sizeof(*bigger));

		if (bigger == NULL)
			return -1;
		set->items = bigger;
		set->size = size;
	}
	if ((copy = strndup(name, len)) == NULL)
		return -1;
	set->items[set->n++] = (struct channel){ copy, len };
	return 0;
}

int
channel_set_add_list(struct channel_set *set, const char *list, size_t len,
    const char *prefix, char *error, size_t error_size)
{
	const char *end = list + len, *comma, *name, *why;
	size_t name_len;

	for (; list <= end; list = comma + 1) {
		comma = memchr(list, ',', (size_t)(end - list));
		if (comma == NULL)
			comma = end;
		name = list;
		name_len = (size_t)(comma - list);
		strip_blanks(&name, &name_len);
		if (name_len == 0)
			continue;
		if ((why = channel_name_error(name, name_len, prefix)) !=
		    NULL) {
			snprintf(error, error_size,
			    "the channel name '%.*s' %s",
			    (int)(name_len < 60 ? name_len : 60), name, why);
			return -1;
		}
		if (channel_set_add(set, name, name_len) == -1) {
			snprintf(error, error_size, "out of memory");
			return -1;
		}
	}
	return 0;
}
