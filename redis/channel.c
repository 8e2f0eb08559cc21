/* SPDX-License-Identifier: ISC */
/* Most sets are small (under ten): a plain array.  That of a process that holds
 * many streams is not, and has an index. */
#include "redis/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/utf8.h"

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
	free(set->places);
	channel_set_init(set);
}

/* --- the index ---------------------------------------------------------- */

#define SMALL_MAX 16 /* so many are looked through */

/* FNV-1a, begun with where the index lies: strangers choose names, and shall not
 * know which of them meet. */
static size_t
hash(const struct channel_set *set, const char *name, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ (uintptr_t)set->places;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32);
}

/* Where the name stands in the index, or would. */
static uint32_t *
place_of(const struct channel_set *set, const char *name, size_t len)
{
	size_t at = hash(set, name, len);
	const struct channel *item;

	for (;; at++) {
		uint32_t *place = &set->places[at & (set->nplaces - 1)];

		if (*place == 0)
			return place;
		item = &set->items[*place - 1];
		if (item->len == len && memcmp(item->name, name, len) == 0)
			return place;
	}
}

static void
note_place(struct channel_set *set, size_t i)
{
	*place_of(set, set->items[i].name, set->items[i].len) =
	    (uint32_t)(i + 1);
}

/* Make room in the index for one more.  Returns 0, or -1 without memory. */
static int
grow_index(struct channel_set *set)
{
	size_t nplaces = set->nplaces > 0 ? 2 * set->nplaces : 4 * SMALL_MAX, i;
	uint32_t *places;

	if (set->n < SMALL_MAX || set->n + 1 < set->nplaces / 2)
		return 0;
	if ((places = calloc(nplaces, sizeof(*places))) == NULL)
		return -1;
	free(set->places);
	set->places = places;
	set->nplaces = nplaces;
	for (i = 0; i < set->n; i++)
		note_place(set, i);
	return 0;
}

bool
channel_set_find(
    const struct channel_set *set, const char *name, size_t len, size_t *i)
{
	if (set->places != NULL) {
		const uint32_t place = *place_of(set, name, len);

		*i = place != 0 ? place - 1 : set->n;
		return place != 0;
	}
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

static int
grow_items(struct channel_set *set)
{
	size_t size = set->size ? 2 * set->size : 8;
	struct channel *bigger;

	if (set->n < set->size)
		return 0;
	bigger = reallocarray(set->items, size, sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	set->items = bigger;
	set->size = size;
	return 0;
}

int
channel_set_add(struct channel_set *set, const char *name, size_t len)
{
	char *copy;

	if (channel_set_has(set, name, len))
		return 0;
	if (grow_items(set) == -1 || grow_index(set) == -1 ||
	    (copy = strndup(name, len)) == NULL)
		return -1;
	set->items[set->n++] = (struct channel){ copy, len };
	if (set->places != NULL)
		note_place(set, set->n - 1);
	return 0;
}

void
channel_set_keep(struct channel_set *set, const bool *is_kept)
{
	size_t i, n = 0;

	for (i = 0; i < set->n; i++) {
		if (is_kept[i])
			set->items[n++] = set->items[i];
		else
			free(set->items[i].name);
	}
	set->n = n;
	if (set->places == NULL)
		return;
	memset(set->places, 0, set->nplaces * sizeof(*set->places));
	for (i = 0; i < n; i++)
		note_place(set, i);
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
		parse_strip_blanks(&name, &name_len);
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

/* --- a name ------------------------------------------------------------- */

static bool
is_control_or_white_space(int32_t c)
{
	return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

const char *
channel_name_error(const char *p, size_t len, const char *prefix)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t prefix_len = strlen(prefix), i, used;
	int32_t code;

	if (len == 0)
		return "is empty";
	if (len > CHANNEL_LEN_MAX)
		return "is longer than 128 bytes";
	for (i = 0; i < len; i += used) {
		code = utf8_decode(u + i, len - i, &used);
		if (code == -1)
			return "is not UTF-8";
		if (is_control_or_white_space(code))
			return "holds white space or a control character";
		if (code < 0x80 && strchr(",*?[]{}\\", code) != NULL)
			return "holds one of , * ? [ ] { } \\";
	}
	if (len >= 2 && memcmp(p, "__", 2) == 0)
		return "begins with \"__\"";
	if (prefix_len != 0 && len >= prefix_len &&
	    memcmp(p, prefix, prefix_len) == 0)
		return "begins with the server's own prefix";
	return NULL;
}
