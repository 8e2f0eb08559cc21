/* SPDX-License-Identifier: ISC */
/*
 * main() of fcgi-sse: settings, and FastCGI or CGI.
 *
 * Started by a CGI server it answers one request and ends.  Otherwise it is
 * the parent (listener.c), whose children come back here: serve() for
 * connections, record() for the recorder, carry() for carriers.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/stop.h"
#include "carrier/carrier.h"
#include "client.h"
#include "parent/listener.h"
#include "parent/socket.h"
#include "recorder/recorder.h"
#include "redis_sub.h"
#include "respond.h"
#include "respond_links.h"

/* --- the children ------------------------------------------------------- */

/* One connection, from its request to the end of its answer here. */
static void
serve_one(const struct config *cfg, const struct accepted *a,
    struct respond_links *links)
{
	struct client *cl;
	const char *why;

	cl = client_accept(a->fd, (int64_t)cfg->request_timeout_s * 1000,
	    (int64_t)cfg->write_timeout_s * 1000, &why);
	if (cl == NULL) {
		if (why != NULL)
			log_warn("%s", why);
		_exit(EX_OK);
	}
	switch (respond(cl, cfg, a->admission, links)) {
	case CLIENT_OK:
		client_end(cl);
		return;
	case CLIENT_MOVED:
		client_forget(cl);
		return;
	case CLIENT_GONE:
		break;
	}
	/* who is gone is not written to again: libfcgi would linger */
	_exit(EX_OK);
}

static void __attribute__((noreturn)) serve(const struct config *cfg,
    const struct accepted *first, const struct responder_link *link)
{
	struct respond_links links = { .life_fd = link->life_fd,
		.door_fd = link->door_fd };
	struct place place = link->place;
	struct accepted a = *first;

	stop_catch();
	do
		serve_one(cfg, &a, &links);
	while (!stop_is_asked() && place_wait(&place, &a));
	redis_sub_free(links.sub);
	exit(EX_OK);
}

static void __attribute__((noreturn))
record(const struct config *cfg, int ready_fd)
{
	exit(recorder_run(cfg, ready_fd));
}

static void __attribute__((noreturn))
carry(const struct config *cfg, const struct carrier_link *link)
{
	stop_catch();
	exit(carrier_run(cfg, link));
}

/* --- CGI ---------------------------------------------------------------- */

/*
 * Some servers send a CGI's standard error to the client (mini_httpd: it is
 * the same pipe as standard output): then it is no place for a log.
 */
static bool
stderr_is_the_client(void)
{
	struct stat out, err;

	return fstat(STDOUT_FILENO, &out) == 0 &&
	       fstat(STDERR_FILENO, &err) == 0 && !isatty(STDERR_FILENO) &&
	       out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

static int
serve_cgi(struct config *cfg)
{
	struct respond_links links = { .life_fd = -1, .door_fd = -1 };
	struct client *cl;
	const char *log = cfg->log;

	if (strcmp(log, "stderr") == 0 && stderr_is_the_client())
		log = "syslog";
	log_open(log, cfg->debug);
	signal(SIGPIPE, SIG_IGN);
	stop_catch();
	if (config_read_password(cfg) == -1) {
		log_error("%s", cfg->error);
		return EX_CONFIG;
	}
	cl = client_open_cgi((int64_t)cfg->write_timeout_s * 1000);
	if (cl != NULL)
		respond(cl, cfg, ADMISSION_OPEN, &links);
	client_end(cl);
	redis_sub_free(links.sub);
	return EX_OK;
}

/* CGI names itself (RFC 3875 4.1.4).  A FastCGI process manager may pass on
 * such an environment, but not without its listening socket. */
static bool
is_cgi(void)
{
	return (getenv("GATEWAY_INTERFACE") != NULL ||
		   getenv("REQUEST_METHOD") != NULL) &&
	       !socket_is_listening(STDIN_FILENO);
}

/* --- the parent --------------------------------------------------------- */

static void
print_help(void)
{
	printf("usage: fcgi-sse --socket=PATH [OPTION...]\n"
	       "Server-Sent Events over FastCGI or CGI, fed by Redis.\n\n");
	config_print_options(stdout, PROGRAM_FCGI_SSE);
	printf("\nEach option can be set in the environment: "
	       "FCGI_SSE_HISTORY_COUNT=500.\n"
	       "FCGI_SSE_REDIS_PASSWORD holds the password.\n");
}

static int
fail(int code, const char *sentence)
{
	log_error("%s", sentence);
	return code;
}

/* One option that would not do what it says is refused, not ignored. */
static const char *
contradiction(const struct config *cfg)
{
	const char *p;
	int n = 1;

	if (cfg->socket_path != NULL && cfg->port != 0)
		return "give --socket or --port, not both";
	if (strcmp(cfg->record, "none") == 0 &&
	    (cfg->history_count | cfg->history_age_s | cfg->history_bytes) != 0)
		return "--history-count, -age and -bytes are written to Redis "
		       "by the recorder: give them where --record is not none";
	for (p = cfg->record; (p = strchr(p, ',')) != NULL; p++)
		n++;
	if (cfg->record[strspn(cfg->record, ", \t")] == '\0')
		return "--record: name a pattern, or none";
	if (n > RECORD_PATTERNS_MAX)
		return "--record: more than 64 patterns";
	return NULL;
}

/* What the parent needs before it accepts.  Returns the socket, or -1 with
 * a sentence in error and an exit code in *code. */
static int
prepare(struct config *cfg, int inherited_fd, char *error, size_t error_size,
    int *code)
{
	int fd = inherited_fd;

	*code = EX_USAGE;
	if (contradiction(cfg) != NULL) {
		snprintf(error, error_size, "%s", contradiction(cfg));
		return -1;
	}
	if (fd == -1 && (fd = socket_open(cfg, error, error_size, code)) == -1)
		return -1;
	*code = EX_NOPERM;
	if (cfg->user != NULL &&
	    sandbox_become(cfg->user, error, error_size) == -1)
		return -1;
	/* as the user that it will be when SIGHUP opens it again */
	*code = EX_CANTCREAT;
	if (log_open(cfg->log, cfg->debug) == -1) {
		snprintf(error, error_size, "cannot open the log %.120s: %s",
		    cfg->log, strerror(errno));
		if (inherited_fd == -1)
			return -1;
		log_error("%s; logging to stderr", error);
	}
	*code = EX_NOINPUT;
	if (config_read_password(cfg) == -1) {
		snprintf(error, error_size, "%s", cfg->error);
		if (inherited_fd == -1)
			return -1;
		/* a server that runs is not ended for this */
		log_error("%s; going on without", error);
	}
	return fd;
}

static int
run_parent(struct config *cfg, char *const argv[], int inherited_fd)
{
	static const struct listener_children children = { serve, record,
		carry };
	bool with_recorder = strcmp(cfg->record, "none") != 0;
	char error[256];
	int fd, code;

	sandbox_fill_standard_fds();
	fd = prepare(cfg, inherited_fd, error, sizeof(error), &code);
	if (fd == -1)
		return fail(code, error);
	if (geteuid() == 0)
		log_warn("running as root; --user=NAME drops root");
	sandbox_no_new_privileges();
	client_init();
	log_info("listening%s%s", cfg->socket_path != NULL ? " on " : "",
	    cfg->socket_path != NULL ? cfg->socket_path : "");
	return listener_run(cfg, fd, argv, with_recorder, &children);
}

int
main(int argc, char *argv[])
{
	struct config cfg;
	int fd = listener_inherit(), code;

	/* a CGI server may pass a stranger's query as our command line
	 * (RFC 3875 4.4, CVE-2012-1823): it is none */
	if (fd == -1 && is_cgi()) {
		if (config_read(&cfg, PROGRAM_FCGI_SSE, 0, NULL) == -1)
			code = fail(EX_CONFIG, cfg.error);
		else
			code = serve_cgi(&cfg);
	} else if (config_read(&cfg, PROGRAM_FCGI_SSE, argc, argv) == -1) {
		code = fail(EX_USAGE, cfg.error);
	} else if (cfg.help) {
		print_help();
		code = EX_OK;
	} else if (cfg.version) {
		printf("fcgi-sse %s\n", FCGI_SSE_VERSION);
		code = EX_OK;
	} else if (cfg.operand_index < argc) {
		code = fail(EX_USAGE,
		    "there are only options, no operands; see --help");
	} else {
		code = run_parent(&cfg, argv, fd);
	}
	config_free(&cfg);
	return code;
}
