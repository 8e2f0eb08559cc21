/* SPDX-License-Identifier: ISC */
/*
 * The policy of a location.  Everything here fails closed: what is not said
 * or cannot be understood is 403.
 */
#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "parse.h"
#include "redis_conn.h"
#include "session_grant.h"

#define DEFAULT_CHANNEL "sse" /* tornado-sse's */

static enum http_status __attribute__((format(printf, 2, 3)))
forbid(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	return HTTP_FORBIDDEN;
}

static enum http_status __attribute__((format(printf, 2, 3)))
misconfigured(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	s->is_misconfigured = true;
	return HTTP_FORBIDDEN;
}

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
static enum http_status
channels_of_location(struct session *s, const struct request *req,
    const struct request_limits *limits)
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
			return forbid(s, "nobody is logged in");
		if (channel_name_error(user, strlen(user), limits->prefix))
			return misconfigured(s,
			    "the user's name cannot be part of a channel name");
	}
	buf_init(&list, 1 << 20);
	failed = expand_user(req->channels, user, &list) == -1;
	if (failed)
		snprintf(error, sizeof(error), "the list is too long");
	else
		failed =
		    channel_set_add_list(&s->channels, list.bytes, list.len,
			limits->prefix, error, sizeof(error)) == -1;
	buf_free(&list);
	if (failed)
		return misconfigured(s, "SSE_CHANNELS: %s", error);
	if (s->channels.n == 0 || s->channels.n > limits->max_channels)
		return misconfigured(s,
		    "SSE_CHANNELS names %zu channels; "
		    "1 to %zu are possible (--max-channels)",
		    s->channels.n, limits->max_channels);
	return HTTP_OK;
}

/* Keep of s->channels what the client asks; it may not ask for others. */
static enum http_status
narrow(struct session *s, const struct request *req)
{
	struct channel_set kept;
	size_t i;

	if (req->asked.n == 0)
		return HTTP_OK;
	channel_set_init(&kept);
	for (i = 0; i < req->asked.n; i++) {
		const struct channel *c = &req->asked.items[i];

		if (!channel_set_has(&s->channels, c->name, c->len)) {
			channel_set_free(&kept);
			return forbid(s,
			    "the channel '%.128s' may not be read here",
			    c->name);
		}
		if (channel_set_add(&kept, c->name, c->len) == -1) {
			channel_set_free(&kept);
			return forbid(s, "out of memory");
		}
	}
	channel_set_free(&s->channels);
	s->channels = kept;
	return HTTP_OK;
}

/* The channels that the client asks for, as far as SSE_ALLOW goes. */
static enum http_status
channels_asked(struct session *s, const struct request *req)
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
			return forbid(s,
			    "the channel '%.128s' may not be read here",
			    asked[i].name);
		if (channel_set_add(
			&s->channels, asked[i].name, asked[i].len) == -1)
			return forbid(s, "out of memory");
	}
	return HTTP_OK;
}

enum http_status
session_open(struct session *s, const struct request *req,
    const struct request_limits *limits)
{
	enum http_status status;

	memset(s, 0, sizeof(*s));
	channel_set_init(&s->channels);
	if (req->role != NULL && strcmp(req->role, "subscribe") != 0)
		return misconfigured(s,
		    "SSE_ROLE is '%.40s'; this version knows only 'subscribe'",
		    req->role);
	if (req->session_cookie != NULL) {
		s->needs_grant = true;
		return HTTP_OK;
	}
	s->is_open = true;
	if (req->channels == NULL)
		return channels_asked(s, req);
	if ((status = channels_of_location(s, req, limits)) != HTTP_OK)
		return status;
	return narrow(s, req);
}

/* Leave in s->channels what the location's own list names, too. */
static enum http_status
intersect(struct session *s, const struct request *req,
    const struct request_limits *limits, const struct channel_set *granted)
{
	enum http_status status = channels_of_location(s, req, limits);
	struct channel_set both;
	size_t i;

	if (status != HTTP_OK)
		return status;
	channel_set_init(&both);
	for (i = 0; i < granted->n; i++) {
		const struct channel *c = &granted->items[i];

		if (channel_set_has(&s->channels, c->name, c->len) &&
		    channel_set_add(&both, c->name, c->len) == -1)
			status = forbid(s, "out of memory");
	}
	channel_set_free(&s->channels);
	s->channels = both;
	if (status == HTTP_OK && both.n == 0)
		status = forbid(s, "the session may read no channel here");
	return status;
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

enum http_status
session_apply(struct session *s, const struct request *req,
    const struct request_limits *limits, const char *grant, size_t grant_len)
{
	struct channel_set granted;
	enum http_status status = HTTP_OK;
	char error[200];

	forget_grant(s);
	if (grant == NULL)
		return forbid(s, "the session is unknown, or it is over");
	channel_set_init(&granted);
	if (session_grant_parse(grant, grant_len, limits->prefix, &granted,
		&s->user, error, sizeof(error)) == -1)
		status = misconfigured(
		    s, "the session's record cannot be used: %s", error);
	else if (granted.n > limits->max_channels)
		status = misconfigured(s,
		    "the session's record names %zu channels; %zu are possible "
		    "(--max-channels)",
		    granted.n, limits->max_channels);
	else if ((s->grant = malloc(grant_len + 1)) == NULL)
		status = forbid(s, "out of memory");
	if (status != HTTP_OK) {
		channel_set_free(&granted);
		return status;
	}
	memcpy(s->grant, grant, grant_len);
	s->grant_len = grant_len;
	if (req->channels != NULL) {
		status = intersect(s, req, limits, &granted);
		channel_set_free(&granted);
	} else {
		s->channels = granted;
	}
	return status == HTTP_OK ? narrow(s, req) : status;
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
	redis_conn_close(s->conn);
	s->conn = NULL;
}
