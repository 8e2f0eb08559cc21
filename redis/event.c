/* SPDX-License-Identifier: ISC */
/*
 * A plain PUBLISH's payload as an event.  JSON (RFC 8259) is walked over here,
 * strictly and without building a tree, because what is passed on are the very
 * bytes: cJSON 1.7.15 says of no element where it stood, takes control
 * characters for blanks, \uZZZZ for NUL and the first 63 digits for the
 * number, and needs 40 bytes for one of "[0,0,0".  It decodes strings.  Pure.
 */
#include "redis/event.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"

#define NESTING_MAX 1000 /* arrays and objects in one another; the stack */

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

/* The length of the escape that begins at p, or 0 if it is none or is \u0000,
 * which a C string cannot hold. */
static size_t
escape_len(const char *p, const char *end)
{
	int i;

	if (end - p < 2 || p[1] == '\0')
		return 0;
	if (p[1] != 'u')
		return strchr("\"\\/bfnrt", p[1]) != NULL ? 2 : 0;
	if (end - p < 6)
		return 0;
	for (i = 2; i < 6; i++)
		if (!isxdigit((unsigned char)p[i]))
			return 0;
	return memcmp(p + 2, "0000", 4) != 0 ? 6 : 0;
}

/* The skip_ functions return the byte after what begins at p, or NULL if
 * nothing of that kind does. */
static const char *
skip_string(const char *p, const char *end)
{
	size_t len;

	if (p == end || *p != '"')
		return NULL;
	for (p++; p < end && (unsigned char)*p >= 0x20; p += len) {
		if (*p == '"')
			return p + 1;
		len = *p == '\\' ? escape_len(p, end) : 1;
		if (len == 0)
			return NULL;
	}
	return NULL;
}

static const char *
skip_digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p == start ? NULL : p;
}

static const char *
skip_number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	/* no digit may follow a leading zero */
	p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
	if (p != NULL && p < end && *p == '.')
		p = skip_digits(p + 1, end);
	if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = skip_digits(p, end);
	}
	return p;
}

static const char *
skip_word(const char *p, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - p) < len || memcmp(p, word, len) != 0)
		return NULL;
	return p + len;
}

static const char *skip_value(const char *p, const char *end, int nesting);

/* An array or an object; *p is its bracket. */
static const char *
skip_nested(const char *p, const char *end, int nesting)
{
	char close = *p == '{' ? '}' : ']';

	p = skip_blanks(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		if (close == '}') {
			if ((p = skip_string(p, end)) == NULL)
				return NULL;
			p = skip_blanks(p, end);
			if (p == end || *p != ':')
				return NULL;
			p = skip_blanks(p + 1, end);
		}
		if ((p = skip_value(p, end, nesting)) == NULL)
			return NULL;
		p = skip_blanks(p, end);
		if (p < end && *p == close)
			return p + 1;
		if (p == end || *p != ',')
			return NULL;
		p = skip_blanks(p + 1, end);
	}
}

static const char *
skip_value(const char *p, const char *end, int nesting)
{
	if (p == end)
		return NULL;
	switch (*p) {
	case '"':
		return skip_string(p, end);
	case '[':
	case '{':
		if (nesting == NESTING_MAX)
			return NULL;
		return skip_nested(p, end, nesting + 1);
	case 't':
		return skip_word(p, end, "true");
	case 'f':
		return skip_word(p, end, "false");
	case 'n':
		return skip_word(p, end, "null");
	default:
		return skip_number(p, end);
	}
}

/*
 * Decode the string from its quote at p to after its other quote: *text and
 * *len are the bytes between them, or, if there are escapes, memory of *owned.
 * Returns 0, or -1: half a surrogate pair, or out of memory.
 */
static int
decode_string(const char *p, const char *after, const char **text, size_t *len,
    void **owned)
{
	size_t inner_len = (size_t)(after - p) - 2;
	cJSON *item;

	if (memchr(p + 1, '\\', inner_len) == NULL) {
		*text = p + 1;
		*len = inner_len;
		return 0;
	}
	item = cJSON_ParseWithLengthOpts(p, inner_len + 2, NULL, 0);
	if (item == NULL)
		return -1;
	assert(cJSON_IsString(item));
	*owned = item->valuestring;
	*text = item->valuestring;
	*len = strlen(item->valuestring);
	item->valuestring = NULL;
	cJSON_Delete(item);
	return 0;
}

/* Read [name, data] between p and end, whose first byte is the bracket.  0, and
 * ev is complete; or -1, and event_free releases what there is. */
static int
read_pair(struct event *ev, const char *p, const char *end)
{
	const char *name, *name_end, *value, *value_end;

	name = skip_blanks(p + 1, end);
	if ((name_end = skip_string(name, end)) == NULL)
		return -1;
	p = skip_blanks(name_end, end);
	if (p == end || *p != ',')
		return -1;
	value = skip_blanks(p + 1, end);
	if ((value_end = skip_value(value, end, 1)) == NULL)
		return -1;
	p = skip_blanks(value_end, end);
	if (p == end || *p != ']' || skip_blanks(p + 1, end) != end)
		return -1;

	if (decode_string(name, name_end, &ev->name, &ev->name_len,
		&ev->owned[0]) == -1 ||
	    event_name_error(ev->name, ev->name_len) != NULL)
		return -1;
	if (*value == '"')
		return decode_string(
		    value, value_end, &ev->data, &ev->data_len, &ev->owned[1]);
	ev->data = value;
	ev->data_len = (size_t)(value_end - value);
	return 0;
}

void
event_from_payload(struct event *ev, const char *payload, size_t len)
{
	const char *end, *p;

	*ev = (struct event){ .name = "" };
	if (len != 0) {
		end = payload + len;
		p = skip_blanks(payload, end);
		/* ordinary text ends here, without a look at the rest */
		if (p < end && *p == '[' && read_pair(ev, p, end) == 0)
			return;
	}
	event_free(ev);
	*ev = (struct event){ .name = "", .data = payload, .data_len = len };
}

void
event_free(struct event *ev)
{
	cJSON_free(ev->owned[0]);
	cJSON_free(ev->owned[1]);
	ev->owned[0] = ev->owned[1] = NULL;
}
