/* SPDX-License-Identifier: ISC */
/* The grant comes from the site's own application, through Redis: trusted,
 * but it may be broken. */
#include "session_grant.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static int
fail(char *error, size_t error_size, const char *why)
{
	snprintf(error, error_size, "%s", why);
	return -1;
}

static int
add_channels(const cJSON *list, const char *prefix,
    struct channel_set *channels, char *error, size_t error_size)
{
	const cJSON *item;
	const char *why;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
		return fail(error, error_size, "it names no channels");
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item))
			return fail(error, error_size,
			    "one of its channels is not a string");
		why = channel_name_error(
		    item->valuestring, strlen(item->valuestring), prefix);
		if (why != NULL) {
			snprintf(error, error_size, "its channel '%.60s' %s",
			    item->valuestring, why);
			return -1;
		}
		if (channel_set_add(channels, item->valuestring,
			strlen(item->valuestring)) == -1)
			return fail(error, error_size, "out of memory");
	}
	return 0;
}

static bool
is_blank(const char *p, size_t len)
{
	while (len > 0 && memchr(" \t\r\n", *p, 4) != NULL) {
		p++;
		len--;
	}
	return len == 0;
}

static bool
has_twice(const cJSON *object, const char *name)
{
	const cJSON *item;
	int n = 0;

	cJSON_ArrayForEach(item, object) n += strcmp(item->string, name) == 0;
	return n > 1;
}

int
session_grant_parse(const char *bytes, size_t len, const char *prefix,
    struct channel_set *channels, char **user, char *error, size_t error_size)
{
	const cJSON *name;
	const char *end = NULL;
	cJSON *json = NULL;
	int failed = -1;

	*user = NULL;
	if (len > SESSION_GRANT_LEN_MAX)
		return fail(error, error_size, "it is over 64 KiB");
	/* cJSON ends a string at NUL: "all\u0000" must not become "all" */
	if (memchr(bytes, '\0', len) != NULL ||
	    memmem(bytes, len, "\\u0000", 6) != NULL)
		return fail(error, error_size, "it holds NUL");
	json = cJSON_ParseWithLengthOpts(bytes, len, &end, 0);
	if (!cJSON_IsObject(json) ||
	    !is_blank(end, (size_t)(bytes + len - end))) {
		fail(error, error_size, "it is not a JSON object");
		goto out;
	}
	if (has_twice(json, "channels") || has_twice(json, "user")) {
		fail(error, error_size, "it has a member twice");
		goto out;
	}
	name = cJSON_GetObjectItemCaseSensitive(json, "user");
	if (name != NULL && !cJSON_IsString(name) && !cJSON_IsNull(name)) {
		fail(error, error_size, "its user is not a string");
		goto out;
	}
	if (name != NULL && cJSON_IsString(name) &&
	    (*user = strdup(name->valuestring)) == NULL) {
		fail(error, error_size, "out of memory");
		goto out;
	}
	failed =
	    add_channels(cJSON_GetObjectItemCaseSensitive(json, "channels"),
		prefix, channels, error, error_size);
out:
	cJSON_Delete(json);
	return failed;
}
