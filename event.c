/* SPDX-License-Identifier: ISC */
/*
 * A plain PUBLISH's payload as an event.  cJSON reads one value at a time, and
 * the bytes between the values are read here, because cJSON neither says where
 * in an array an element stood nor keeps what a number looked like.  The only
 * includer of cJSON.h.  Pure.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "event.h"
#include "parse.h"

const char *
event_name_error(const char *name, size_t name_len)
{
	size_t i;

	if (name_len > EVENT_NAME_LEN_MAX)
		return "is longer than 256 bytes";
	for (i = 0; i < name_len; i++)
		if (name[i] == '\r' || name[i] == '\n' || name[i] == '\0')
			return "holds a line end or NUL";
	if (!utf8_is_valid(name, name_len))
		return "is not UTF-8";
	if (name_len >= 7 && memcmp(name, "stream-", 7) == 0)
		return "begins with \"stream-\"";
	return NULL;
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

static bool
is_hex4(const char *p)
{
	int i;

	for (i = 0; i < 4; i++)
		if (!((p[i] >= '0' && p[i] <= '9') ||
			(p[i] >= 'a' && p[i] <= 'f') ||
			(p[i] >= 'A' && p[i] <= 'F')))
			return false;
	return true;
}

/*
 * Would a string that cJSON decodes from these bytes hold a NUL, where its
 * result just ends?  \u0000 gives one, and so does an escape that is not four
 * hex digits (cJSON 1.7.15 reads \uZZZZ as 0).
 */
static bool
may_decode_to_nul(const char *p, const char *end)
{
	if (memchr(p, '\0', (size_t)(end - p)) != NULL)
		return true;
	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		if (end - p < 2)
			return true;
		if (p[1] == 'u' && (end - p < 6 || !is_hex4(p + 2) ||
				       memcmp(p + 2, "0000", 4) == 0))
			return true;
		p += 2; /* an escaped backslash does not escape */
	}
	return false;
}

/*
 * Read the JSON value that begins at *p and move *p behind it.  If it is a
 * string, *text is its decoded form, to be released with cJSON_free; else
 * *text is NULL.  Returns 0, or -1 if there is no value.
 */
static int
read_value(const char **p, const char *end, char **text)
{
	cJSON *item;

	*text = NULL;
	/* cJSON itself would skip a byte order mark and any control character */
	if (*p == end || strchr("\"[{-0123456789tfn", **p) == NULL)
		return -1;
	item = cJSON_ParseWithLengthOpts(*p, (size_t)(end - *p), p, 0);
	if (item == NULL)
		return -1;
	if (cJSON_IsString(item)) {
		*text = item->valuestring;
		item->valuestring = NULL;
	}
	cJSON_Delete(item);
	return 0;
}

/* 0, and ev is complete; or -1, and event_free releases what there is. */
static int
read_pair(struct event *ev, const char *p, const char *end)
{
	char *name = NULL, *text = NULL;
	const char *data;

	p = skip_blanks(p + 1, end);
	if (p == end || *p != '"' || read_value(&p, end, &name) == -1)
		return -1;
	ev->owned[0] = name;
	p = skip_blanks(p, end);
	if (p == end || *p != ',')
		return -1;
	data = p = skip_blanks(p + 1, end);
	if (read_value(&p, end, &text) == -1)
		return -1;
	ev->owned[1] = text;
	ev->data = text != NULL ? text : data;
	ev->data_len = text != NULL ? strlen(text) : (size_t)(p - data);
	p = skip_blanks(p, end);
	if (p == end || *p != ']' || skip_blanks(p + 1, end) != end)
		return -1;
	ev->name = name;
	ev->name_len = strlen(name);
	return event_name_error(name, ev->name_len) == NULL ? 0 : -1;
}

void
event_from_payload(struct event *ev, const char *payload, size_t len)
{
	const char *end = payload + len, *p;

	*ev = (struct event){ .name = NULL };
	p = skip_blanks(payload, end);
	/* ordinary text ends here, without a look at the rest */
	if (p < end && *p == '[' && !may_decode_to_nul(p, end)) {
		if (read_pair(ev, p, end) == 0)
			return;
		event_free(ev);
	}
	*ev = (struct event){ .name = "", .data = payload, .data_len = len };
}

void
event_free(struct event *ev)
{
	cJSON_free(ev->owned[0]);
	cJSON_free(ev->owned[1]);
	ev->owned[0] = ev->owned[1] = NULL;
}
