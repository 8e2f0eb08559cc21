/* SPDX-License-Identifier: ISC */
/*
 * One connection to Redis: connect, AUTH, SELECT, commands and their answers,
 * under time limits.  Errors are text in the object; nothing here logs.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/redis_address.h"

/* What this version writes into a store, and the newest that it can read; the
 * recorder puts it into "sse:limits". */
#define STORE_FORMAT "1"

#define REDIS_COMMAND_TIMEOUT_MS 5000

struct redis_conn;
struct redisContext;

/*
 * Connect, authenticate, select the database, and ask whether the store may be
 * used (enter.lua).  Returns a connection, or NULL with a sentence in error
 * that names the address, never the password.
 */
struct redis_conn *redis_conn_open(
    const struct redis_address *ra, char *error, size_t error_size);
void redis_conn_close(struct redis_conn *c);

/*
 * Begin to connect, and wait for nothing, here or in any call on this
 * connection (but for the name of a host, which is resolved here).  What
 * authenticates, selects the database and asks whether the store may be used is
 * in the buffer, in front of what is
 * appended next; *nanswers says how many answers belong to that.  Returns as
 * redis_conn_open; where the accept queue is full errno is EAGAIN (connect.h).
 */
struct redis_conn *redis_conn_begin(const struct redis_address *ra,
    int *nanswers, char *error, size_t error_size);

/* Why the last call failed; lives until the next one. */
const char *redis_conn_error(const struct redis_conn *c);

/* The same as a sentence that names the address.  c may be NULL: there was no
 * memory for it. */
void redis_conn_put_error(const struct redis_conn *c,
    const struct redis_address *ra, char *error, size_t error_size);

/* Did the other side end a connection that stood? */
bool redis_conn_was_cut(const struct redis_conn *c);

/* To poll for POLLIN. */
int redis_conn_fd(const struct redis_conn *c);

enum answer_kind {
	ANSWER_NONE,   /* not there yet */
	ANSWER_BROKEN, /* the connection is gone: redis_conn_error */
	ANSWER_ERROR,  /* Redis refused: text */
	ANSWER_TEXT,   /* text */
	ANSWER_NUMBER, /* number */
	ANSWER_LIST,   /* redis_answer_item; number says how many */
	ANSWER_NIL
};

struct answer {
	enum answer_kind kind;
	const char *text; /* NUL-terminated, len bytes; lives as redis_conn_*
			   * says below */
	size_t len;
	int64_t number;
	const void *reply; /* for redis_answer_item */
};

/* A command of argc words of lens[i] bytes, put into the buffer.  Returns 0,
 * or -1 without memory. */
int redis_conn_append(struct redis_conn *c, int argc, const char *const *argv,
    const size_t *lens);

/* A Lua script, as tools/embed-lua makes it. */
struct redis_script {
	const char *text;
	size_t len;
	const char *sha1; /* of the text, in hex: what Redis calls it */
};

/*
 * A call of a script, put into the buffer like a command; argv begins with the
 * number of keys.  The first call between two flushes carries the text, the
 * others its hash: Redis works off more of them at a time, and its subscribers
 * get more at a time (six times the rate, measured).  Should somebody empty
 * Redis' script cache within that moment, the answer is a NOSCRIPT error.
 */
int redis_conn_append_script(struct redis_conn *c,
    const struct redis_script *script, int argc, const char *const *argv,
    const size_t *lens);

/* Write the buffer, waiting up to the command's time limit.  0, or -1: then
 * redis_conn_try has what was said before. */
int redis_conn_flush(struct redis_conn *c);

/* Write what goes without waiting, on a connection that was begun so.  *is_done:
 * the buffer is empty; if not, again when poll() says POLLOUT.  Returns as
 * redis_conn_flush. */
int redis_conn_send(struct redis_conn *c, bool *is_done);

/* Read once; to be called when poll() says that there is something (else it
 * waits, up to the command's time limit, on a connection of redis_conn_open).
 * 0, or -1: the connection is gone. */
int redis_conn_fill(struct redis_conn *c);

/* Did that stop because its buffer was full, so that more may be there?  If not,
 * nobody needs to ask. */
bool redis_conn_may_have_more(const struct redis_conn *c);

/*
 * The next answer: _try from what redis_conn_fill has read (ANSWER_NONE if it
 * is not whole), _wait reads up to the command's time limit.  The answer lives
 * until the next of these calls or redis_conn_close.
 */
enum answer_kind redis_conn_try(struct redis_conn *c, struct answer *a);
enum answer_kind redis_conn_wait(struct redis_conn *c, struct answer *a);

/* Item i of a list; ANSWER_NONE if there is none.  Lives as long as a. */
enum answer_kind redis_answer_item(
    const struct answer *a, size_t i, struct answer *item);

/* For redis_sub.c alone, which reads at a higher rate. */
struct redisContext *redis_conn_context(const struct redis_conn *c);

#endif
