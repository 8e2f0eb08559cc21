/* SPDX-License-Identifier: ISC */
/*
 * FastCGI through libfcgi, and CGI (RFC 3875) through standard output: libfcgi
 * has no CGI mode in its FCGX_ half.  Runs in the responder alone.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "base/clock.h"
#include "carrier/fcgi_record.h"

/* So much goes into a pipe that poll() calls writable without waiting, in one
 * write (pipe(7), PIPE_BUF). */
#define PIPE_ROOM 4096
/* Likewise a socket, in several: a third of its buffer is free, of which each
 * takes more than its bytes. */
#define SOCKET_ROOM_MAX 32768
#define WRITE_OVERHEAD 2048

/* FastCGI 8; Debian ships no fastcgi.h */
#define ROLE_RESPONDER 1

struct client {
	bool is_cgi;
	bool env_is_cut;
	char *const *env;
	int64_t write_timeout_ms;
	size_t room, room_max; /* see client_room */
	FCGX_Request fcgi;     /* not in CGI */
};

extern char **environ;

void
client_init(void)
{
	FCGX_Init();
}

/* --- reading a FastCGI request ------------------------------------------ */

static void
on_alarm(int sig)
{
	(void)sig; /* it has interrupted a read: that is all it is for */
}

/*
 * From now on reads are interrupted after ms, and each second after, since
 * the first signal may fall between two reads; 0 ends it.  SO_RCVTIMEO alone
 * would let a peer send a byte every few seconds for ever.
 */
static void
set_read_deadline(int64_t ms)
{
	struct sigaction sa = { .sa_handler = on_alarm }; /* no SA_RESTART */
	struct itimerval it = { .it_value = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000 } };

	if (ms != 0)
		it.it_interval.tv_sec = 1;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

/* How does a FastCGI request begin?  Returns NULL if so, else what came. */
static const char *
first_bytes_error(int fd, bool *was_silent)
{
	static const char http[] =
	    "an HTTP request arrived on the FastCGI socket: the web server "
	    "must speak FastCGI to it (nginx: fastcgi_pass, not proxy_pass)";
	unsigned char head[4];
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK);
	int i;

	*was_silent = n == 0;
	if (n == 0)
		return NULL;
	if (n < 0)
		return errno == EINTR || errno == EAGAIN
			   ? "a peer connected and sent no request in time"
			   : "a peer was lost before its request";
	if (head[0] == 1) /* FCGI_VERSION_1 */
		return NULL;
	for (i = 0; i < (int)n && head[i] >= 'A' && head[i] <= 'Z'; i++)
		;
	return n == 4 && i >= 3
		   ? http
		   : "bytes that are not FastCGI arrived on the FastCGI socket";
}

static void
set_socket_options(int fd, int64_t write_timeout_ms)
{
	struct timeval tv = { .tv_sec = write_timeout_ms / 1000,
		.tv_usec = write_timeout_ms % 1000 * 1000 };
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	/* fails on a Unix socket, which needs neither */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static size_t
socket_room(int fd)
{
	int size = 3 * SOCKET_ROOM_MAX;
	socklen_t len = sizeof(size);

	(void)getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
	return size / 3 < SOCKET_ROOM_MAX ? (size_t)size / 3 : SOCKET_ROOM_MAX;
}

/*
 * Let libfcgi read from a descriptor that it did not accept.  FCGX_Accept_r
 * begins with FCGX_Finish_r, which closes ipcFd unless keepConnection is set,
 * and goes on to accept() if ipcFd is -1; with ours in place it reads from
 * that.  BEGIN_REQUEST overwrites keepConnection.  A listening socket of -1
 * makes it return instead of accepting another when the request is bad.
 */
static int
read_request(FCGX_Request *r, int fd)
{
	if (FCGX_InitRequest(r, -1, 0) != 0)
		return -1;
	r->ipcFd = fd;
	r->keepConnection = 1;
	return FCGX_Accept_r(r) == 0 ? 0 : -1;
}

struct client *
client_accept(
    int fd, int64_t timeout_ms, int64_t write_timeout_ms, const char **why)
{
	struct client *cl = NULL;
	bool was_silent;

	set_read_deadline(timeout_ms);
	set_socket_options(fd, write_timeout_ms);
	*why = first_bytes_error(fd, &was_silent);
	if (*why != NULL || was_silent)
		goto fail;
	*why = "out of memory";
	if ((cl = calloc(1, sizeof(*cl))) == NULL)
		goto fail;
	*why = "a peer sent a broken FastCGI request, or none in time";
	if (read_request(&cl->fcgi, fd) == -1)
		goto fail;
	cl->env = cl->fcgi.envp;
	cl->env_is_cut = FCGX_GetError(cl->fcgi.in) != 0;
	cl->write_timeout_ms = write_timeout_ms;
	cl->room_max = socket_room(fd);
	client_note_writable(cl); /* nothing was written to it yet */
	if (cl->fcgi.role != ROLE_RESPONDER) {
		*why = "the web server asked for another FastCGI role than "
		       "RESPONDER";
		goto fail;
	}
	*why = NULL;
	return cl;
fail:
	set_read_deadline(0);
	free(cl);
	return NULL;
}

int
client_skip_body(struct client *cl, size_t max_len)
{
	size_t n = 0;
	bool is_whole;

	if (cl->is_cgi)
		return 0; /* nobody needs to read fd 0; it may be anything */
	/*
	 * Without this a late, empty STDIN record would look like a message
	 * from the server while the stream runs.
	 */
	while (n <= max_len && FCGX_GetChar(cl->fcgi.in) != EOF)
		n++;
	set_read_deadline(0);
	is_whole = n <= max_len && FCGX_GetError(cl->fcgi.in) == 0;
	/* nothing more comes in, nothing is said on stderr: 9 KiB, where what
	 * lives as long as the stream finds room */
	FCGX_FreeStream(&cl->fcgi.in);
	FCGX_FClose(cl->fcgi.err);
	FCGX_FreeStream(&cl->fcgi.err);
	return is_whole ? 0 : -1;
}

/* --- CGI ---------------------------------------------------------------- */

struct client *
client_open_cgi(int64_t write_timeout_ms)
{
	struct client *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return NULL;
	cl->is_cgi = true;
	cl->room_max = PIPE_ROOM;
	cl->env = environ;
	cl->write_timeout_ms = write_timeout_ms;
	return cl;
}

/*
 * Standard output stays blocking: its open file may be shared, with a shell
 * for instance, and O_NONBLOCK would be shared too.
 */
static enum client_result
write_cgi(const struct client *cl, const char *p, size_t len)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	int64_t deadline_ms = clock_now_ms() + cl->write_timeout_ms, left_ms;
	ssize_t n;

	while (len > 0) {
		left_ms = deadline_ms - clock_now_ms();
		if (left_ms <= 0 || poll(&out, 1, (int)left_ms) <= 0 ||
		    (out.revents & (POLLERR | POLLNVAL)) != 0)
			return CLIENT_GONE;
		n = write(STDOUT_FILENO, p, len < PIPE_ROOM ? len : PIPE_ROOM);
		if (n <= 0)
			return CLIENT_GONE;
		p += n;
		len -= (size_t)n;
		deadline_ms = clock_now_ms() + cl->write_timeout_ms;
	}
	return CLIENT_OK;
}

/* --- both --------------------------------------------------------------- */

char *const *
client_env(const struct client *cl)
{
	return cl->env;
}

bool
client_env_is_cut(const struct client *cl)
{
	return cl->env_is_cut;
}

bool
client_is_cgi(const struct client *cl)
{
	return cl->is_cgi;
}

enum client_result
client_write(struct client *cl, const void *p, size_t len)
{
	const size_t spent = cl->is_cgi ? PIPE_ROOM : len + WRITE_OVERHEAD;
	int n = (int)len; /* a record is at most 16 MiB and some */

	cl->room -= spent < cl->room ? spent : cl->room;
	if (cl->is_cgi)
		return write_cgi(cl, p, len);
	return FCGX_PutStr(p, n, cl->fcgi.out) == n ? CLIENT_OK : CLIENT_GONE;
}

enum client_result
client_flush(struct client *cl)
{
	if (cl->is_cgi)
		return CLIENT_OK;
	return FCGX_FFlush(cl->fcgi.out) == 0 ? CLIENT_OK : CLIENT_GONE;
}

size_t
client_room(const struct client *cl)
{
	return cl->room;
}

void
client_note_writable(struct client *cl)
{
	cl->room = cl->room_max;
}

size_t
client_unread_len(const struct client *cl)
{
	int len = 0;

	return ioctl(cl->fcgi.ipcFd, SIOCOUTQ, &len) == 0 && len > 0
		   ? (size_t)len
		   : 0;
}

uint16_t
client_request_id(const struct client *cl)
{
	return (uint16_t)cl->fcgi.requestId;
}

int
client_fd(const struct client *cl)
{
	return cl->is_cgi ? STDOUT_FILENO : cl->fcgi.ipcFd;
}

short
client_poll_events(const struct client *cl)
{
	/* Apache's mod_cgid half-closes the socket that is stdin and stdout:
	 * POLLRDHUP there means nothing */
	return cl->is_cgi ? 0 : POLLIN | POLLRDHUP;
}

/*
 * The web server closed its half of the connection: it still reads, and counts
 * an answer without END_REQUEST as a responder that died (lighttpd logs two
 * errors).  Sent past libfcgi, which could wait; if it does not fit, never
 * mind.
 */
static void
end_request(const struct client *cl)
{
	unsigned char records[FCGI_RECORD_END_LEN];

	fcgi_record_put_end(records, (uint16_t)cl->fcgi.requestId);
	send(cl->fcgi.ipcFd, records, sizeof(records),
	    MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool
client_has_left(struct client *cl, short revents)
{
	unsigned char bytes[64];
	ssize_t n;

	if (revents & (POLLERR | POLLHUP | POLLNVAL))
		return true;
	if (cl->is_cgi || revents == 0)
		return false;
	/* libfcgi never reads again after the end of stdin, so this is ours:
	 * the end of the connection, or FCGI_ABORT_REQUEST (type 2) */
	n = recv(cl->fcgi.ipcFd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == -1)
		return errno != EAGAIN && errno != EINTR;
	if (n > 0 && (n < 2 || bytes[1] != 2))
		return false;
	end_request(cl);
	return true;
}

void
client_end(struct client *cl)
{
	if (cl == NULL)
		return;
	if (!cl->is_cgi) {
		/* FCGX_Finish_r does nothing once the input is freed */
		if (cl->fcgi.err != NULL)
			FCGX_FClose(cl->fcgi.err);
		FCGX_FClose(cl->fcgi.out);
		FCGX_Free(&cl->fcgi, !cl->fcgi.keepConnection);
		/* with FCGI_KEEP_CONN it is left open, for the next request */
		if (cl->fcgi.ipcFd != -1)
			close(cl->fcgi.ipcFd);
	}
	free(cl);
}

void
client_forget(struct client *cl)
{
	int fd = cl->fcgi.ipcFd;

	/* Its own way to close begins with shutdown(), which would end the
	 * connection for all who have it. */
	FCGX_Free(&cl->fcgi, 0);
	close(fd);
	free(cl);
}
