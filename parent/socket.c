/* SPDX-License-Identifier: ISC */
/*
 * Opening the listening socket.  Runs once in the parent, perhaps as root;
 * it reads nothing from any peer.
 */
#include "parent/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/parse.h"

struct failure {
	char *error;
	size_t error_size;
	int *code;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct failure *f, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->error, f->error_size, fmt, ap);
	va_end(ap);
	*f->code = code;
	return -1;
}

bool
socket_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static int
make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return -1;
	return fd;
}

/* systemd's socket units: sd_listen_fds(3), without the library */
static int
inherited_fd(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (pid != NULL && fds != NULL &&
	    parse_u64(pid, strlen(pid), INT32_MAX, &n) == 0 &&
	    n == (uint64_t)getpid() && strcmp(fds, "1") == 0 &&
	    socket_is_listening(3))
		return 3;
	return socket_is_listening(0) ? 0 : -1;
}

/* fd 0 becomes another one, and /dev/null takes its place: a child that closes
 * its listening socket must not get a Redis connection as standard input. */
static int
move_up(int fd)
{
	int moved;

	if (fd != STDIN_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	open("/dev/null", O_RDWR); /* the lowest free number: 0 */
	return moved;
}

/* Does somebody answer at this address? */
static bool
is_alive(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd == -1)
		return true;
	/* EAGAIN: its backlog is full; EACCES: it is not ours to judge */
	alive = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 ||
		(errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return alive;
}

/* errno says why; what can be done about it is said with it. */
static int
fail_to_make(const struct failure *f, const char *path)
{
	const char *help = errno == ENOENT ? "; its folder must be there before"
			   : errno == EACCES || errno == EROFS
			       ? "; choose a --socket in a folder where this "
				 "user may write"
			       : "";

	return fail(f, EX_CANTCREAT, "cannot make the socket %s: %s%s", path,
	    strerror(errno), help);
}

/* errno says why no socket listens there. */
static int
fail_to_listen(
    const struct failure *f, const struct config *cfg, const char *port)
{
	const char *help = "";

	if (errno == EADDRINUSE)
		help = ": another program listens there; end it, or choose "
		       "another --port";
	else if (errno == EACCES)
		help = "; choose a --port from 1024 on: those below are root's";
	else if (errno == EADDRNOTAVAIL)
		help = "; choose an --address that is this machine's";
	return fail(f, EX_UNAVAILABLE, "cannot listen on %s port %s: %s%s",
	    cfg->address, port, strerror(errno), help);
}

/* "user", "user:group" or ":group", by name */
static int
set_owner(const char *path, const char *owner, const struct failure *f)
{
	char user[64];
	const char *colon = strchrnul(owner, ':');
	const struct passwd *pw = NULL;
	const struct group *gr = NULL;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;

	snprintf(user, sizeof(user), "%.*s", (int)(colon - owner), owner);
	if (user[0] != '\0') {
		if ((pw = getpwnam(user)) == NULL)
			return fail(f, EX_NOUSER,
			    "--socket-owner: there is no user '%s'", user);
		uid = pw->pw_uid;
		gid = pw->pw_gid;
	}
	if (*colon == ':') {
		if ((gr = getgrnam(colon + 1)) == NULL)
			return fail(f, EX_NOUSER,
			    "--socket-owner: there is no group '%s'",
			    colon + 1);
		gid = gr->gr_gid;
	}
	if (chown(path, uid, gid) == -1)
		return fail(f, EX_NOPERM, "cannot give %s to %s: %s", path,
		    owner, strerror(errno));
	return 0;
}

static int
open_unix(const struct config *cfg, const struct failure *f)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = cfg->socket_path;
	struct stat st;
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (n >= (int)sizeof(sun.sun_path) - 12)
		return fail(f, EX_USAGE,
		    "the socket's path is too long (%d bytes; %d at most): %s",
		    n, (int)sizeof(sun.sun_path) - 13, path);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return fail(f, EX_CANTCREAT,
			    "%s is there already and no socket: remove it, or "
			    "choose another --socket",
			    path);
		if (is_alive(&sun))
			return fail(f, EX_UNAVAILABLE,
			    "%s is in use: another program answers there; end "
			    "it, or choose another --socket",
			    path);
	}
	snprintf(
	    sun.sun_path, sizeof(sun.sun_path), "%s.%d", path, (int)getpid());
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return fail(
		    f, EX_OSERR, "cannot make a socket: %s", strerror(errno));
	unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		fail_to_make(f, path);
		close(fd);
		return -1;
	}
	if (cfg->socket_owner != NULL &&
	    set_owner(sun.sun_path, cfg->socket_owner, f) == -1)
		goto out;
	if (chmod(sun.sun_path, (mode_t)cfg->socket_mode) == -1 ||
	    listen(fd, SOCKET_BACKLOG) == -1 ||
	    rename(sun.sun_path, path) == -1) {
		fail_to_make(f, path);
		goto out;
	}
	return fd;
out:
	unlink(sun.sun_path);
	close(fd);
	return -1;
}

static int
open_tcp(const struct config *cfg, const struct failure *f)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char port[8];
	int fd = -1, on = 1, error;

	snprintf(port, sizeof(port), "%u", (unsigned)cfg->port);
	if ((error = getaddrinfo(cfg->address, port, &hints, &list)) != 0)
		return fail(f, EX_NOHOST, "cannot listen on %s: %s",
		    cfg->address, gai_strerror(error));
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, list->ai_addr, list->ai_addrlen) == -1 ||
	    listen(fd, SOCKET_BACKLOG) == -1) {
		fail_to_listen(f, cfg, port);
		if (fd != -1)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

int
socket_open(const struct config *cfg, char *error, size_t error_size, int *code)
{
	const struct failure f = { error, error_size, code };
	int fd;

	if (cfg->socket_path != NULL)
		fd = open_unix(cfg, &f);
	else if (cfg->port != 0)
		fd = open_tcp(cfg, &f);
	else if ((fd = move_up(inherited_fd())) == -1)
		return fail(&f, EX_USAGE,
		    "nothing to listen on: give --socket=PATH or --port=N, or "
		    "start it from spawn-fcgi, a FastCGI or a CGI server");
	if (fd != -1 && make_nonblocking(fd) == -1)
		return fail(&f, EX_OSERR, "cannot prepare the socket: %s",
		    strerror(errno));
	return fd;
}

void
socket_remove_name(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ucred listener = { 0 };
	socklen_t len = sizeof(listener);
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (n >= (int)sizeof(sun.sun_path))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return;
	/* SO_PEERCRED names the process that called listen() */
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &len) == 0 &&
	    listener.pid == getpid())
		unlink(path);
	close(fd);
}
