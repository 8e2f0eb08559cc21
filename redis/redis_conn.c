/* SPDX-License-Identifier: ISC */
/*
 * hiredis behind a small interface, in calls that 0.14 and 1.x both have.
 * Every process that talks to Redis does it through this file.
 */
#include "redis/redis_conn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>

#include "base/password.h"
#include "redis/connect.h"
#include "lua_enter.h"

#define LAST_READS_MAX 64 /* of what was said before the end */
#define READ_LEN 16384	  /* hiredis reads at most so much at a time */

struct redis_conn {
	redisContext *context;
	redisReply *reply; /* what the last answer borrows from */
	const struct redis_script *known; /* its text is in the buffer */
	bool queue_is_full, may_have_more;
};

static struct timeval
milliseconds(int ms)
{
	return (
	    struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

static int
append_auth(struct redis_conn *c, const char *user, const char *password)
{
	const char *auth[3] = { "AUTH" };
	int argc = 1;

	if (user != NULL)
		auth[argc++] = user;
	auth[argc++] = password;
	return redis_conn_append(c, argc, auth, NULL);
}

static int
append_select(struct redis_conn *c, unsigned db)
{
	char number[16];
	const char *select[2] = { "SELECT", number };

	snprintf(number, sizeof(number), "%u", db);
	return redis_conn_append(c, 2, select, NULL);
}

/* May this program use the store? */
static int
append_enter(struct redis_conn *c, const struct redis_address *ra)
{
	char lease[80], limits[80], db[16];
	const char *argv[] = { "EVAL", lua_enter.text, "2", lease, limits,
		ra->prefix, db, STORE_FORMAT };

	snprintf(lease, sizeof(lease), "%srecorder", ra->prefix);
	snprintf(limits, sizeof(limits), "%slimits", ra->prefix);
	snprintf(db, sizeof(db), "%u", ra->db);
	return redis_conn_append(c, 8, argv, NULL);
}

/* What stands in front of all else: AUTH and SELECT, as far as they are needed,
 * and enter.lua.  Returns how many answers they will have, or -1 without
 * memory. */
static int
append_introduction(struct redis_conn *c, const struct redis_address *ra)
{
	char *current = NULL, error[256];
	const char *password = ra->password;
	int n = 1, failed = 0;

	/* whoever is refused comes back here: the file is read again.  While
	 * somebody writes it, it may be empty: then the old one is tried */
	if (ra->password_file != NULL &&
	    password_read(ra->password_file, &current, error, sizeof(error)) ==
		0)
		password = current;
	if (password != NULL) {
		failed = append_auth(c, ra->user, password);
		n++;
	}
	password_free(current);
	if (!failed && ra->db != 0) {
		failed = append_select(c, ra->db);
		n++;
	}
	return failed || append_enter(c, ra) == -1 ? -1 : n;
}

static struct redis_conn *
new_connection(const struct redis_address *ra, bool may_wait, int *nanswers,
    char *error, size_t error_size)
{
	struct redis_conn *c = calloc(1, sizeof(*c));
	bool is_full;

	*nanswers = -1;
	if (c != NULL) {
		c->context = may_wait ? connect_wait(ra) : connect_begin(ra);
		c->queue_is_full = connect_queue_is_full(ra, c->context);
	}
	if (c != NULL && c->context != NULL && c->context->err == 0 &&
	    !c->queue_is_full)
		*nanswers = append_introduction(c, ra);
	if (*nanswers != -1) {
		if (ra->unix_path == NULL)
			redisEnableKeepAlive(c->context);
		return c;
	}
	redis_conn_put_error(c, ra, error, error_size);
	is_full = c != NULL && c->queue_is_full;
	redis_conn_close(c);
	errno = is_full ? EAGAIN : 0;
	return NULL;
}

struct redis_conn *
redis_conn_begin(const struct redis_address *ra, int *nanswers, char *error,
    size_t error_size)
{
	return new_connection(ra, false, nanswers, error, error_size);
}

/* Is it no script at all that Redis runs just now, or for this user?  Then it is
 * not enter.lua that says no, and the next command is told the same. */
static bool
is_of_scripts(const char *error)
{
	static const char *const codes[] = { "BUSY ", "LOADING ", "MASTERDOWN ",
		"OOM ", "NOPERM ", "NOREPLICAS ", "READONLY ", "MISCONF " };
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strncmp(error, codes[i], strlen(codes[i])) == 0)
			return true;
	return false;
}

struct redis_conn *
redis_conn_open(const struct redis_address *ra, char *error, size_t error_size)
{
	struct redis_conn *c;
	struct answer a;
	int n;

	if ((c = new_connection(ra, true, &n, error, error_size)) == NULL)
		return NULL;
	redisSetTimeout(c->context, milliseconds(REDIS_COMMAND_TIMEOUT_MS));
	redis_conn_flush(c); /* its error comes up in the wait */
	for (; n > 0; n--) {
		redis_conn_wait(c, &a);
		if (a.kind == ANSWER_BROKEN ||
		    (a.kind == ANSWER_ERROR &&
			!(n == 1 && is_of_scripts(a.text))))
			goto fail;
	}
	return c;
fail:
	if (a.kind == ANSWER_ERROR)
		redis_address_put_error(ra, a.text, error, error_size);
	else
		redis_conn_put_error(c, ra, error, error_size);
	redis_conn_close(c);
	return NULL;
}

void
redis_conn_close(struct redis_conn *c)
{
	if (c == NULL)
		return;
	if (c->reply != NULL)
		freeReplyObject(c->reply);
	if (c->context != NULL)
		redisFree(c->context);
	free(c);
}

const char *
redis_conn_error(const struct redis_conn *c)
{
	if (c->queue_is_full)
		return "its accept queue is full";
	/* a read or write that ran into its time limit */
	if (c->context->err == REDIS_ERR_IO &&
	    strcmp(c->context->errstr, strerror(EAGAIN)) == 0)
		return "no answer within the time limit";
	return c->context->err != 0 ? c->context->errstr : "out of memory";
}

void
redis_conn_put_error(const struct redis_conn *c, const struct redis_address *ra,
    char *error, size_t error_size)
{
	redis_address_put_error(ra,
	    c != NULL && c->context != NULL ? redis_conn_error(c)
					    : "out of memory",
	    error, error_size);
}

bool
redis_conn_was_cut(const struct redis_conn *c)
{
	return c->context->err == REDIS_ERR_EOF ||
	       (c->context->err == REDIS_ERR_IO &&
		   strcmp(c->context->errstr, strerror(ECONNRESET)) == 0);
}

int
redis_conn_fd(const struct redis_conn *c)
{
	return c->context->fd;
}

struct redisContext *
redis_conn_context(const struct redis_conn *c)
{
	return c->context;
}

int
redis_conn_append(
    struct redis_conn *c, int argc, const char *const *argv, const size_t *lens)
{
	/* hiredis does not write to argv; its prototype says char ** */
	return redisAppendCommandArgv(c->context, argc,
		   (const char **)(uintptr_t)argv, lens) == REDIS_OK
		   ? 0
		   : -1;
}

int
redis_conn_append_script(struct redis_conn *c,
    const struct redis_script *script, int argc, const char *const *argv,
    const size_t *lens)
{
	const char **words = calloc((size_t)argc + 2, sizeof(*words));
	size_t *word_lens = calloc((size_t)argc + 2, sizeof(*word_lens));
	bool is_known = c->known == script;
	int failed = -1, i;

	if (words == NULL || word_lens == NULL)
		goto out;
	words[0] = is_known ? "EVALSHA" : "EVAL";
	words[1] = is_known ? script->sha1 : script->text;
	word_lens[0] = strlen(words[0]);
	word_lens[1] = is_known ? 40 : script->len;
	for (i = 0; i < argc; i++) {
		words[i + 2] = argv[i];
		word_lens[i + 2] = lens != NULL ? lens[i] : strlen(argv[i]);
	}
	failed = redis_conn_append(c, argc + 2, words, word_lens);
	if (!failed)
		c->known = script;
out:
	free(words);
	free(word_lens);
	return failed;
}

/* Nothing can be written any more.  What the other side said before it closed
 * tells why ("max number of clients reached"): it can still be read, but not
 * by redisBufferRead, after an error. */
static void
hear_last_words(struct redis_conn *c)
{
	char chunk[16384];
	ssize_t n;
	int i;

	for (i = 0; i < LAST_READS_MAX; i++) {
		n = recv(c->context->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n <= 0)
			return;
		redisReaderFeed(c->context->reader, chunk, (size_t)n);
	}
}

int
redis_conn_send(struct redis_conn *c, bool *is_done)
{
	int done = 0;

	c->known = NULL;
	if (redisBufferWrite(c->context, &done) != REDIS_OK) {
		hear_last_words(c);
		return -1;
	}
	*is_done = done != 0;
	return 0;
}

int
redis_conn_flush(struct redis_conn *c)
{
	bool is_done = false;

	while (!is_done)
		if (redis_conn_send(c, &is_done) == -1)
			return -1;
	return 0;
}

int
redis_conn_fill(struct redis_conn *c)
{
	const redisReader *r = c->context->reader;
	const size_t len = r->len;

	c->may_have_more = false;
	if (redisBufferRead(c->context) != REDIS_OK)
		return -1;
	c->may_have_more = r->len >= len + READ_LEN;
	return 0;
}

bool
redis_conn_may_have_more(const struct redis_conn *c)
{
	return c->may_have_more;
}

static void
read_reply(struct answer *a, const redisReply *r)
{
	memset(a, 0, sizeof(*a));
	a->reply = r;
	switch (r->type) {
	case REDIS_REPLY_ERROR:
	case REDIS_REPLY_STATUS:
	case REDIS_REPLY_STRING:
		a->kind =
		    r->type == REDIS_REPLY_ERROR ? ANSWER_ERROR : ANSWER_TEXT;
		a->text = r->str;
		a->len = (size_t)r->len;
		break;
	case REDIS_REPLY_INTEGER:
		a->kind = ANSWER_NUMBER;
		a->number = r->integer;
		break;
	case REDIS_REPLY_ARRAY:
		a->kind = ANSWER_LIST;
		a->number = (int64_t)r->elements;
		break;
	default:
		a->kind = ANSWER_NIL;
	}
}

enum answer_kind
redis_conn_try(struct redis_conn *c, struct answer *a)
{
	void *reply = NULL;

	if (c->reply != NULL) {
		freeReplyObject(c->reply);
		c->reply = NULL;
	}
	memset(a, 0, sizeof(*a));
	if (redisGetReplyFromReader(c->context, &reply) != REDIS_OK)
		return a->kind = ANSWER_BROKEN;
	if (reply == NULL)
		return a->kind = ANSWER_NONE;
	c->reply = reply;
	read_reply(a, c->reply);
	return a->kind;
}

enum answer_kind
redis_conn_wait(struct redis_conn *c, struct answer *a)
{
	while (redis_conn_try(c, a) == ANSWER_NONE)
		if (redis_conn_fill(c) == -1)
			return a->kind = ANSWER_BROKEN;
	return a->kind;
}

enum answer_kind
redis_answer_item(const struct answer *a, size_t i, struct answer *item)
{
	const redisReply *r = a->reply;

	memset(item, 0, sizeof(*item));
	if (a->kind == ANSWER_LIST && i < r->elements)
		read_reply(item, r->element[i]);
	return item->kind;
}
