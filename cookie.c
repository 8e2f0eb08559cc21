/* SPDX-License-Identifier: ISC */
/* Who finds a name twice must not guess: an attacker on a neighbouring host
 * can set a cookie of the same name.  So all are counted. */
#include "cookie.h"

#include <string.h>

#include "base/parse.h"

static size_t
find_in_header(const char *header, const char *name, size_t nth, size_t count,
    const char **value, size_t *len)
{
	const char *pair, *equals;
	size_t pair_len, name_len = strlen(name);

	for (; *header != '\0'; header += *header == ';') {
		pair = header;
		pair_len = strcspn(header, ";");
		header += pair_len;
		parse_strip_blanks(&pair, &pair_len);
		equals = memchr(pair, '=', pair_len);
		if (equals == NULL || (size_t)(equals - pair) != name_len ||
		    memcmp(pair, name, name_len) != 0)
			continue;
		if (count++ > nth)
			continue;
		*value = equals + 1;
		*len = pair_len - name_len - 1;
	}
	return count;
}

size_t
cookie_find(char *const *env, const char *name, size_t nth, const char **value,
    size_t *len)
{
	static const char variable[] = "HTTP_COOKIE=";
	size_t count = 0;

	for (; *env != NULL; env++)
		if (strncmp(*env, variable, sizeof(variable) - 1) == 0)
			count = find_in_header(*env + sizeof(variable) - 1,
			    name, nth, count, value, len);
	if (count > 0 && *len >= 2 && (*value)[0] == '"' &&
	    (*value)[*len - 1] == '"') {
		++*value;
		*len -= 2;
	}
	return count;
}
