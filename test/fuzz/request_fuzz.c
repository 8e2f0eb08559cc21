/* SPDX-License-Identifier: ISC */
/*
 * request.h and session.h under a fuzzer: of whatever environment, what is
 * opened is what the location's policy, read here in a second way, allows.
 * Input: a byte that sets the limit of channels, then variables, each ended by
 * a NUL; the first byte of a variable picks its name, or that it has its own.
 * GRANT is none: it is what Redis has of the session.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "redis/channel.h"
#include "session.h"
#include "session_grant.h"

#define PREFIX "sse:"
#define VARIABLES_MAX 32

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t size);

static const char *const names[] = { "QUERY_STRING=", "QUERY_STRING=channels=",
	"SSE_CHANNELS=", "SSE_ALLOW=", "REMOTE_USER=", "SSE_USER=",
	"REQUEST_METHOD=", "HTTP_LAST_EVENT_ID=", "SSE_ROLE=",
	"SSE_SESSION_COOKIE=", "SSE_ORIGIN=", "HTTP_ACCEPT=", "SSE_",
	"GRANT={\"channels\":[\"", "GRANT=", "" };
#define NAMES (sizeof(names) / sizeof(names[0]))

static char *
join(const char *name, const char *value, size_t value_len)
{
	size_t name_len = strlen(name);
	char *s = malloc(name_len + value_len + 1);

	if (s == NULL)
		abort();
	memcpy(s, name, name_len);
	memcpy(s + name_len, value, value_len);
	s[name_len + value_len] = '\0';
	return s;
}

static void
read_environment(char *env[VARIABLES_MAX + 1], const char *p, size_t len)
{
	const char *end = p + len, *nul;
	size_t n = 0;

	while (p < end && n < VARIABLES_MAX) {
		nul = memchr(p, '\0', (size_t)(end - p));
		if (nul == NULL)
			nul = end;
		if (nul > p)
			env[n++] = join(names[(unsigned char)*p % NAMES], p + 1,
			    (size_t)(nul - p) - 1);
		p = nul + 1;
	}
	env[n] = NULL;
}

/* the value of NAME= in env, counted */
static const char *
find(char *const *env, const char *name, int *count)
{
	const char *found = NULL;

	*count = 0;
	for (; *env != NULL; env++)
		if (strncmp(*env, name, strlen(name)) == 0 && (*count)++ == 0)
			found = *env + strlen(name);
	return found;
}

static void
check_names(const struct channel_set *set, size_t max)
{
	size_t i, k;

	assert(set->n <= max);
	for (i = 0; i < set->n; i++) {
		assert(strlen(set->items[i].name) == set->items[i].len);
		assert(channel_name_error(set->items[i].name, set->items[i].len,
			   PREFIX) == NULL);
		for (k = 0; k < i; k++)
			assert(strcmp(set->items[i].name, set->items[k].name) !=
			       0);
	}
}

/* Is name the item, a piece of SSE_CHANNELS, with user for each %u? */
static bool
is_expansion(
    const char *item, size_t item_len, const char *user, const char *name)
{
	size_t i = 0, user_len = user != NULL ? strlen(user) : 0;

	while (i < item_len) {
		if (item[i] == '%' && i + 1 < item_len && item[i + 1] == 'u') {
			if (user_len == 0 || strncmp(name, user, user_len) != 0)
				return false;
			name += user_len;
			i += 2;
		} else if (*name++ != item[i++]) {
			return false;
		}
	}
	return *name == '\0';
}

static bool
is_glob(const char *item, size_t item_len, const char *user, const char *name)
{
	(void)user;
	return glob_matches(item, item_len, name, strlen(name));
}

/* Does an item of the comma-separated list let the channel pass? */
static bool
any_item(const char *list, const char *user, const char *name,
    bool (*lets_pass)(
	const char *item, size_t item_len, const char *user, const char *name))
{
	const char *item, *comma;
	size_t len;

	for (item = list;; item = comma + 1) {
		comma = strchr(item, ',');
		len = comma != NULL ? (size_t)(comma - item) : strlen(item);
		while (len > 0 && strchr(" \t", item[len - 1]) != NULL)
			len--;
		while (len > 0 && strchr(" \t", *item) != NULL) {
			item++;
			len--;
		}
		if (lets_pass(item, len, user, name))
			return true;
		if (comma == NULL)
			return false;
	}
}

static void
check_policy_variables(char *const *env)
{
	char name[300];
	size_t len;
	int count;

	for (; *env != NULL; env++) {
		if (strncmp(*env, "SSE_", 4) != 0)
			continue;
		assert(strchr(*env, '=') != NULL && strchr(*env, '=')[1]);
		len = strcspn(*env, "=") + 1;
		if (len >= sizeof(name))
			continue;
		memcpy(name, *env, len);
		name[len] = '\0';
		(void)find(env, name, &count);
		assert(count == 1);
	}
}

static void
check_request(const struct request *req, char *const *env, size_t max)
{
	int count;
	const char *method = find(env, "REQUEST_METHOD=", &count);
	const char *role = find(env, "SSE_ROLE=", &count);

	check_policy_variables(env);
	assert(req->method != METHOD_OTHER);
	assert((method == NULL || strcmp(method, "GET") == 0) ==
	       (req->method == METHOD_GET));
	assert((role == NULL || strcmp(role, "subscribe") == 0) ==
	       (req->role == ROLE_SUBSCRIBE));
	check_names(&req->asked, max);
	assert(req->cursor.number <= UINT64_C(1) << 53);
}

/* whom %u stands for; NULL: nobody */
static const char *
find_user(char *const *env)
{
	int count;
	const char *user = find(env, "SSE_USER=", &count);

	if (user != NULL)
		return user;
	user = find(env, "REMOTE_USER=", &count);
	return count == 1 && *user != '\0' ? user : NULL;
}

/* Is each channel among those that the location names or allows? */
static void
check_location(const struct session *s, char *const *env)
{
	int count;
	const char *user = find_user(env), *name;
	const char *channels = find(env, "SSE_CHANNELS=", &count);
	const char *allow = find(env, "SSE_ALLOW=", &count);
	size_t i;

	if (channels != NULL && strstr(channels, "%u") != NULL)
		assert(user != NULL && strlen(user) <= CHANNEL_LEN_MAX &&
		       strpbrk(user, ", \t*?[]{}\\\r\n") == NULL);
	for (i = 0; i < s->channels.n; i++) {
		name = s->channels.items[i].name;
		if (channels != NULL)
			assert(any_item(channels, user, name, is_expansion));
		else if (s->is_open && allow != NULL)
			assert(any_item(allow, NULL, name, is_glob));
	}
}

/* Is each channel a JSON string of the grant, by one spelling of it? */
static void
check_grant(const struct session *s, const char *grant)
{
	struct channel_set named;
	char error[200], *user;
	size_t i;

	assert(grant != NULL && !s->is_open);
	assert(session_is_current(s, grant, strlen(grant)));
	channel_set_init(&named);
	assert(session_grant_parse(grant, strlen(grant), PREFIX, &named, &user,
		   error, sizeof(error)) == 0);
	for (i = 0; i < s->channels.n; i++)
		assert(channel_set_has(&named, s->channels.items[i].name,
		    s->channels.items[i].len));
	channel_set_free(&named);
	free(user);
}

static void
check_session(const struct session *s, const struct request *req,
    char *const *env, size_t max)
{
	int count;
	const char *channels = find(env, "SSE_CHANNELS=", &count);
	size_t i;

	assert(s->channels.n > 0);
	check_names(&s->channels, max);
	check_location(s, env);
	if (find(env, "SSE_SESSION_COOKIE=", &count) != NULL)
		check_grant(s, find(env, "GRANT=", &count));
	else
		assert(s->is_open);
	/* all that was asked for, or 403 */
	if (req->asked.n > 0)
		assert(s->channels.n == req->asked.n);
	for (i = 0; i < s->channels.n && req->asked.n > 0; i++)
		assert(channel_set_has(&req->asked, s->channels.items[i].name,
		    s->channels.items[i].len));
	if (req->asked.n == 0 && s->is_open && channels == NULL)
		assert(s->channels.n == 1 &&
		       strcmp(s->channels.items[0].name, "sse") == 0);
}

/* Has each refusal a status and a sentence? */
static void
check_verdict(const struct verdict *v)
{
	assert(v->status >= HTTP_BAD_REQUEST && v->sentence[0] != '\0');
	assert(!v->is_misconfigured || v->status == HTTP_FORBIDDEN);
}

static void
fuzz_session(const struct request *req, char *const *env)
{
	struct verdict v = { .status = HTTP_OK };
	const char *grant;
	struct session s;
	int count, failed;

	failed = session_open(&s, req, &v);
	if (!failed && s.needs_grant) {
		assert(s.channels.n == 0 && !s.is_open);
		grant = find(env, "GRANT=", &count);
		failed = session_apply(
		    &s, req, grant, grant != NULL ? strlen(grant) : 0, &v);
	}
	if (failed)
		check_verdict(&v);
	else
		check_session(&s, req, env, req->limits->max_channels);
	session_close(&s);
}

int
LLVMFuzzerTestOneInput(const unsigned char *input, size_t size)
{
	struct request_limits limits = { PREFIX, 1 };
	struct verdict v = { .status = HTTP_OK };
	char *env[VARIABLES_MAX + 1];
	struct request req;
	size_t i;

	if (size == 0)
		return 0;
	limits.max_channels = 1 + input[0] % 8;
	read_environment(env, (const char *)input + 1, size - 1);
	if (request_parse(&req, env, &limits, &v) == 0) {
		check_request(&req, env, limits.max_channels);
		fuzz_session(&req, env);
	} else {
		check_verdict(&v);
	}
	request_free(&req);
	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	return 0;
}
