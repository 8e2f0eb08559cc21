/* SPDX-License-Identifier: ISC */
/* The record comes from the site's own application, through Redis: trusted,
 * but it may be broken. */
#include "session_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "parse.h"

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
			    "one of its channels is no string");
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

int
session_record_parse(const char *bytes, size_t len, const char *prefix,
    struct channel_set *channels, char **user, char *error, size_t error_size)
{
	const cJSON *name;
	cJSON *json = NULL;
	int failed = -1;

	*user = NULL;
	if (len > SESSION_RECORD_LEN_MAX)
		return fail(error, error_size, "it is over 64 KiB");
	/* cJSON ends a string at NUL: "all\u0000" must not become "all" */
	if (memchr(bytes, '\0', len) != NULL ||
	    memmem(bytes, len, "\\u0000", 6) != NULL)
		return fail(error, error_size, "it holds NUL");
	json = cJSON_ParseWithLengthOpts(bytes, len, NULL, 0);
	if (!cJSON_IsObject(json)) {
		fail(error, error_size, "it is no JSON object");
		goto out;
	}
	name = cJSON_GetObjectItemCaseSensitive(json, "user");
	if (cJSON_IsString(name) &&
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
