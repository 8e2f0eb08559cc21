/* SPDX-License-Identifier: ISC */
/*
 * The policy of a location.  Everything here fails closed: what is not said
 * or cannot be understood is 403.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/glob.h"
#include "session_grant.h"

#define DEFAULT_CHANNEL "sse" /* tornado-sse's */

/* Append list to out, %u replaced by user. */
static int
expand_user(const char *list, const char *user, struct buf *out)
{
	const char *mark;

	while ((mark = strstr(list, "%u")) != NULL) {
		if (buf_put(out, list, (size_t)(mark - list)) == -1 ||
		    buf_puts(out, user) == -1)
			return -1;
		list = mark + 2;
	}
	return buf_puts(out, list);
}

/* The channels that SSE_CHANNELS names, into s->channels. */
static int
channels_of_location(
    struct session *s, const struct request *req, struct verdict *v)
{
	/* SSE_USER first: nobody but the web server can set it, while nginx
	 * takes REMOTE_USER from any Authorization header */
	const char *user = req->sse_user;
	char error[200];
	struct buf list;
	int failed;

	if (user == NULL && req->remote_user != NULL &&
	    req->remote_user[0] != '\0')
		user = req->remote_user;
	if (strstr(req->channels, "%u") != NULL) {
		if (user == NULL)
			return verdict_refuse(
			    v, HTTP_FORBIDDEN, "nobody is logged in");
		if (channel_name_error(user, strlen(user), req->limits->prefix))
			return verdict_misconfigured(v,
			    "the user's name cannot be part of a channel name");
	}
	buf_init(&list, 1 << 20);
	failed = expand_user(req->channels, user, &list) == -1;
	if (failed)
		snprintf(error, sizeof(error), "the list is too long");
	else
		failed =
		    channel_set_add_list(&s->channels, list.bytes, list.len,
			req->limits->prefix, error, sizeof(error)) == -1;
	buf_free(&list);
	if (failed)
		return verdict_misconfigured(v, "SSE_CHANNELS: %s", error);
	if (s->channels.n == 0 || s->channels.n > req->limits->max_channels)
		return verdict_misconfigured(v,
		    "SSE_CHANNELS names %zu channels; "
		    "1 to %zu are possible (--max-channels)",
		    s->channels.n, req->limits->max_channels);
	return 0;
}

/* Keep of s->channels what the client asks; it may not ask for others. */
static int
narrow(struct session *s, const struct request *req, struct verdict *v)
{
	struct channel_set kept;
	size_t i;

	if (req->asked.n == 0)
		return 0;
	channel_set_init(&kept);
	for (i = 0; i < req->asked.n; i++) {
		const struct channel *c = &req->asked.items[i];

		if (!channel_set_has(&s->channels, c->name, c->len)) {
			channel_set_free(&kept);
			return verdict_refuse(v, HTTP_FORBIDDEN,
			    "the channel '%.128s' may not be read here",
			    c->name);
		}
		if (channel_set_add(&kept, c->name, c->len) == -1) {
			channel_set_free(&kept);
			return verdict_refuse(
			    v, HTTP_FORBIDDEN, "out of memory");
		}
	}
	channel_set_free(&s->channels);
	s->channels = kept;
	return 0;
}

/* The channels that the client asks for, as far as SSE_ALLOW goes. */
static int
channels_asked(struct session *s, const struct request *req, struct verdict *v)
{
	const struct channel standard = { (char[]){ DEFAULT_CHANNEL },
		sizeof(DEFAULT_CHANNEL) - 1 };
	const struct channel *asked = req->asked.items;
	size_t i, n = req->asked.n;

	if (n == 0) {
		asked = &standard;
		n = 1;
	}
	for (i = 0; i < n; i++) {
		if (req->allow != NULL &&
		    !glob_any_matches(req->allow, asked[i].name, asked[i].len))
			return verdict_refuse(v, HTTP_FORBIDDEN,
			    "the channel '%.128s' may not be read here",
			    asked[i].name);
		if (channel_set_add(
			&s->channels, asked[i].name, asked[i].len) == -1)
			return verdict_refuse(
			    v, HTTP_FORBIDDEN, "out of memory");
	}
	return 0;
}

int
session_open(struct session *s, const struct request *req, struct verdict *v)
{
	memset(s, 0, sizeof(*s));
	channel_set_init(&s->channels);
	if (req->session_cookie != NULL) {
		s->needs_grant = true;
		return 0;
	}
	s->is_open = true;
	if (req->channels == NULL)
		return channels_asked(s, req, v);
	if (channels_of_location(s, req, v) == -1)
		return -1;
	return narrow(s, req, v);
}

/* Leave in s->channels what the location's own list names, too. */
static int
intersect(struct session *s, const struct request *req,
    const struct channel_set *granted, struct verdict *v)
{
	struct channel_set both;
	size_t i;
	int failed = 0;

	if (channels_of_location(s, req, v) == -1)
		return -1;
	channel_set_init(&both);
	for (i = 0; i < granted->n; i++) {
		const struct channel *c = &granted->items[i];

		if (channel_set_has(&s->channels, c->name, c->len) &&
		    channel_set_add(&both, c->name, c->len) == -1)
			failed =
			    verdict_refuse(v, HTTP_FORBIDDEN, "out of memory");
	}
	channel_set_free(&s->channels);
	s->channels = both;
	if (!failed && both.n == 0)
		failed = verdict_refuse(
		    v, HTTP_FORBIDDEN, "the session may read no channel here");
	return failed;
}

static void
forget_grant(struct session *s)
{
	channel_set_free(&s->channels);
	free(s->grant);
	free(s->user);
	s->grant = s->user = NULL;
	s->grant_len = 0;
}

static int
keep_grant(
    struct session *s, const char *grant, size_t grant_len, struct verdict *v)
{
	if ((s->grant = malloc(grant_len + 1)) == NULL)
		return verdict_refuse(v, HTTP_FORBIDDEN, "out of memory");
	memcpy(s->grant, grant, grant_len);
	s->grant_len = grant_len;
	return 0;
}

int
session_apply(struct session *s, const struct request *req, const char *grant,
    size_t grant_len, struct verdict *v)
{
	struct channel_set granted;
	char error[200];
	int failed;

	forget_grant(s);
	if (grant == NULL)
		return verdict_refuse(
		    v, HTTP_FORBIDDEN, "the session is unknown, or it is over");
	channel_set_init(&granted);
	if (session_grant_parse(grant, grant_len, req->limits->prefix, &granted,
		&s->user, error, sizeof(error)) == -1)
		failed = verdict_misconfigured(
		    v, "the session's record cannot be used: %s", error);
	else if (granted.n > req->limits->max_channels)
		failed = verdict_misconfigured(v,
		    "the session's record names %zu channels; %zu are possible "
		    "(--max-channels)",
		    granted.n, req->limits->max_channels);
	else
		failed = keep_grant(s, grant, grant_len, v);
	if (failed) {
		channel_set_free(&granted);
		return -1;
	}
	if (req->channels != NULL) {
		failed = intersect(s, req, &granted, v);
		channel_set_free(&granted);
	} else {
		s->channels = granted;
	}
	return failed ? -1 : narrow(s, req, v);
}

void
session_use_key(struct session *s, size_t i)
{
	memcpy(s->key, s->keys[i], sizeof(s->key));
}

bool
session_is_current(const struct session *s, const char *grant, size_t grant_len)
{
	return s->grant != NULL && grant != NULL && s->grant_len == grant_len &&
	       memcmp(s->grant, grant, grant_len) == 0;
}

void
session_close(struct session *s)
{
	forget_grant(s);
}
