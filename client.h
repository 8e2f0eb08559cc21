/* SPDX-License-Identifier: ISC */
/*
 * The way to one client, by FastCGI or CGI: its variables in, bytes out.  The
 * only includer of fcgiapp.h.  "The client left" is an ordinary outcome.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

enum client_result {
	CLIENT_OK,
	CLIENT_GONE,
	CLIENT_MOVED /* another process answers it from here on */
};

/* Once in the parent, before the listener sets its signal handlers: libfcgi
 * sets some of its own. */
void client_init(void);

/*
 * Read a FastCGI request from the accepted socket fd, within timeout_ms in
 * all; writes then fail after write_timeout_ms without progress.  Takes fd.
 * Returns the client; or NULL, with a sentence in *why for the log, or *why
 * NULL if the peer only came and went.
 */
struct client *client_accept(
    int fd, int64_t timeout_ms, int64_t write_timeout_ms, const char **why);

/* The client of a CGI process: environment and standard output. */
struct client *client_open_cgi(int64_t write_timeout_ms);

/* The CGI variables, NULL-terminated; they live as long as the client. */
char *const *client_env(const struct client *cl);

/* Was the list of variables cut short?  Then nothing in it may be trusted:
 * what is missing could be what forbids. */
bool client_env_is_cut(const struct client *cl);

/* Read and drop the request's body.  Returns 0, or -1 if it has more than
 * max_len bytes or did not arrive in time. */
int client_skip_body(struct client *cl, size_t max_len);

/* Bytes to the client; they may wait in a buffer until client_flush. */
enum client_result client_write(struct client *cl, const void *p, size_t len);
enum client_result client_flush(struct client *cl);

/* So many bytes can be written without waiting: as many as poll() promised when
 * it last called client_fd writable, less what was written since. */
size_t client_room(const struct client *cl);
void client_note_writable(struct client *cl);

/* How many bytes the web server has not read yet, and the request's id: for
 * FastCGI only. */
size_t client_unread_len(const struct client *cl);
uint16_t client_request_id(const struct client *cl);

/* What to poll, beside other things, to hear that the client left. */
int client_fd(const struct client *cl);
short client_poll_events(const struct client *cl);

/* Do these revents mean that it left?  Reads what the server has to say. */
bool client_has_left(struct client *cl, short revents);

/* Is a SIGTERM to be obeyed at once?  In CGI it is how a server tells that the
 * client left. */
bool client_is_cgi(const struct client *cl);

/* End the answer properly (END_REQUEST) and release everything; cl may be NULL.
 * In FastCGI not after CLIENT_GONE: libfcgi would write again and linger;
 * _exit() then. */
void client_end(struct client *cl);

/*
 * After CLIENT_MOVED, in FastCGI: close this process's descriptor and release
 * everything.  The connection, which another process has, too, stays as it is:
 * nothing is written to it and it is not shut down.
 */
void client_forget(struct client *cl);

#endif
