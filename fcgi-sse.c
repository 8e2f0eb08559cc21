/* SPDX-License-Identifier: ISC */
/*
 * main() of fcgi-sse: settings, FastCGI or CGI, and the steps of one request.
 *
 * Started by a CGI server it answers one request and ends.  Otherwise it is
 * the parent (listener.c), whose children come back here: serve() for each
 * connection, record() for the recorder.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "config.h"
#include "listener.h"
#include "log.h"
#include "recorder.h"
#include "redis_conn.h"
#include "reply.h"
#include "request.h"
#include "sandbox.h"
#include "session.h"
#include "session_store.h"
#include "socket.h"
#include "stream.h"
#include "verdict.h"

#define BODY_LEN_MAX (64 * 1024) /* of a request that needs none */

/* --- one request -------------------------------------------------------- */

static enum client_result
send_reply(struct client *cl, struct buf *b)
{
	enum client_result result = client_write(cl, b->bytes, b->len);

	if (result == CLIENT_OK)
		result = client_flush(cl);
	buf_free(b);
	return result;
}

/* It cannot be served: just now (the client is to come back), or at all. */
static enum client_result
refuse(struct client *cl, const struct request *req, const struct session *s,
    const struct verdict *v)
{
	const char *from =
	    req->remote_address != NULL ? req->remote_address : "?";
	struct buf b;

	if (v->is_misconfigured)
		log_error("refused (%d): %s", (int)v->status, v->sentence);
	else
		log_debug(
		    "refused %s (%d): %s", from, (int)v->status, v->sentence);
	buf_init(&b, 4096);
	if (v->status == HTTP_UNAVAILABLE)
		reply_put_come_back(
		    &b, req, s, clock_random(5000, 15000), v->sentence);
	else
		reply_put_refusal(&b, req, s, v);
	return send_reply(cl, &b);
}

/* HEAD runs the whole policy and opens no stream. */
static enum client_result
answer_without_stream(
    struct client *cl, const struct request *req, const struct session *s)
{
	struct buf b;

	buf_init(&b, 4096);
	if (req->method == METHOD_OPTIONS)
		reply_put_options(&b, req, s);
	else
		reply_put_stream_header(&b, req, s);
	return send_reply(cl, &b);
}

/* What is asked for? */
static int
read_request(struct request *req, struct client *cl,
    const struct request_limits *limits, struct verdict *v)
{
	int failed = request_parse(req, client_env(cl), limits, v);
	bool has_large_body = client_skip_body(cl, BODY_LEN_MAX) == -1;

	if (client_env_is_cut(cl))
		return verdict_misconfigured(
		    v, "the list of FastCGI parameters came cut short");
	if (!failed && has_large_body)
		return verdict_refuse(v, HTTP_CONTENT_TOO_LARGE,
		    "a stream is asked for without a body");
	return failed;
}

/* Is there room for it, and time? */
static int
admit(enum admission admission, struct verdict *v)
{
	if (admission == ADMISSION_FULL)
		return verdict_refuse(
		    v, HTTP_UNAVAILABLE, "all streams are taken just now");
	if (admission == ADMISSION_STOPPING || stream_is_stopping())
		return verdict_refuse(
		    v, HTTP_UNAVAILABLE, "the server is being restarted");
	return 0;
}

/* Who may read what?  A preflight carries no cookies and gets no events. */
static int
read_session(struct session *s, const struct request *req,
    const struct config *cfg, struct redis_conn **conn, struct verdict *v)
{
	if (session_open(s, req, v) == -1)
		return -1;
	if (!s->needs_grant || req->method == METHOD_OPTIONS ||
	    session_store_read(s, req, cfg, conn, v) == 0)
		return 0;
	if (v->status == HTTP_UNAVAILABLE) {
		log_error("%s; the client is told to come back", v->sentence);
		verdict_refuse(v, HTTP_UNAVAILABLE,
		    "the event store cannot be reached just now");
	}
	return -1;
}

static enum client_result
subscribe(struct client *cl, const struct config *cfg,
    const struct request *req, struct verdict *v)
{
	struct redis_conn *conn = NULL;
	struct session s;
	enum client_result result;

	if (read_session(&s, req, cfg, &conn, v) == -1)
		result = refuse(cl, req, &s, v);
	else if (req->method == METHOD_GET)
		result = stream_run(cl, cfg, req, &s, &conn);
	else
		result = answer_without_stream(cl, req, &s);
	redis_conn_close(conn);
	session_close(&s);
	return result;
}

static enum client_result
serve_role(struct client *cl, const struct config *cfg,
    const struct request *req, struct verdict *v)
{
	switch (req->role) {
	case ROLE_SUBSCRIBE:
		return subscribe(cl, cfg, req, v);
	case ROLE_PUBLISH: /* to come */
	case ROLE_STATUS:
	case ROLE_UNKNOWN:
		break;
	}
	verdict_misconfigured(v,
	    "SSE_ROLE is '%.40s'; this version knows only 'subscribe'",
	    req->role_name);
	return refuse(cl, req, NULL, v);
}

static enum client_result
answer(struct client *cl, const struct config *cfg, enum admission admission)
{
	const struct request_limits limits = { cfg->prefix,
		(size_t)cfg->max_channels };
	struct verdict v = { .status = HTTP_OK };
	struct request req;
	enum client_result result;

	if (read_request(&req, cl, &limits, &v) == -1 ||
	    admit(admission, &v) == -1)
		result = refuse(cl, &req, NULL, &v);
	else
		result = serve_role(cl, cfg, &req, &v);
	request_free(&req);
	return result;
}

/* --- the children ------------------------------------------------------- */

static void __attribute__((noreturn))
serve(const struct config *cfg, int fd, enum admission admission)
{
	struct client *cl;
	const char *why;

	stream_catch_stop();
	cl = client_accept(fd, (int64_t)cfg->request_timeout_s * 1000,
	    (int64_t)cfg->write_timeout_s * 1000, &why);
	if (cl == NULL) {
		if (why != NULL)
			log_warn("%s", why);
		_exit(EX_OK);
	}
	/* who is gone is not written to again: libfcgi would linger */
	if (answer(cl, cfg, admission) == CLIENT_GONE)
		_exit(EX_OK);
	client_end(cl);
	exit(EX_OK);
}

static void __attribute__((noreturn))
record(const struct config *cfg, const struct recorder_start *start)
{
	exit(recorder_run(
	    cfg, start->token, start->dead_token, start->ready_fd));
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
	struct client *cl;
	const char *log = cfg->log;

	if (strcmp(log, "stderr") == 0 && stderr_is_the_client())
		log = "syslog";
	log_open(log, cfg->debug);
	signal(SIGPIPE, SIG_IGN);
	stream_catch_stop();
	if (config_read_password(cfg) == -1) {
		log_error("%s", cfg->error);
		return EX_CONFIG;
	}
	cl = client_open_cgi((int64_t)cfg->write_timeout_s * 1000);
	if (cl != NULL)
		answer(cl, cfg, ADMISSION_OPEN);
	client_end(cl);
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
	static const struct listener_children children = { serve, record };
	bool with_recorder = strcmp(cfg->record, "none") != 0;
	char error[256];
	int fd, code;

	sandbox_fill_standard_fds();
	fd = prepare(cfg, inherited_fd, error, sizeof(error), &code);
	if (fd == -1)
		return fail(code, error);
	if (geteuid() == 0)
		log_warn("running as root; --user=NAME gives that up");
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
