/* SPDX-License-Identifier: ISC */
/*
 * The parent's loop.  Signals set flags and are taken only in ppoll(), so none
 * is lost.  libfcgi's FCGX_Accept_r would accept *and* read the request here:
 * a silent peer would stall everybody (2 s each, measured), a malformed record
 * would end the parent.  So accept and fork happen here, reading in the child.
 */
#include "parent/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "parent/children.h"
#include "parent/handover.h"
#include "parent/kept.h"
#include "parent/socket.h"

#define REFUSALS_MAX 64	    /* children that only say "full" */
#define ACCEPT_PAUSE_MS 100 /* after EMFILE, ENOMEM or a failed fork; */
#define ACCEPT_CALM_MS 1000 /* it is over if none came for so long */
#define KILL_AFTER_DRAIN_MS 3000
#define BACKLOG_MS 2000 /* to tell those who wait that we stop */

static volatile sig_atomic_t got_child, got_hangup, got_stop;

struct parent {
	const struct config *cfg;
	const struct listener_children *run;
	struct parent_state st;
	sigset_t unblocked; /* the mask inside ppoll */
	bool with_recorder;
	int64_t accept_due_ms; /* no accept before this */
	struct trouble full, accepting, forking;
};

/* what listener_inherit found, until listener_run takes it up */
static struct parent_state inherited;

static size_t
count(const struct parent *p, enum child_kind kind)
{
	return p->st.children.count[kind];
}

static void
on_signal(int sig)
{
	if (sig == SIGCHLD)
		got_child = 1;
	else if (sig == SIGHUP)
		got_hangup = 1;
	else
		got_stop = 1;
}

static void
catch_signals(struct parent *p)
{
	static const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t blocked;
	size_t i;

	sigemptyset(&sa.sa_mask);
	sigemptyset(&blocked);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&blocked, signals[i]);
	/* before there are handlers: a signal that sets a flag between the look
	 * at it and ppoll() would wait for the next one */
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigprocmask(SIG_BLOCK, NULL, &p->unblocked);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &sa, NULL);
		sigdelset(&p->unblocked, signals[i]);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* In a new child: what is the parent's is not its own. */
static void
close_of_parent(struct parent *p)
{
	close(p->st.listen_fd);
	kept_close_ready(&p->st.recorder);
}

/* --- the recorder ------------------------------------------------------- */

static bool
is_recorder_due(const struct parent *p)
{
	return p->with_recorder &&
	       kept_is_due(&p->st.recorder, &p->st.children, clock_now_ms());
}

static void
start_recorder(struct parent *p)
{
	int ready_fd;

	if (kept_fork(&p->st.recorder, &p->st.children, &ready_fd,
		clock_now_ms()) == 0) {
		close_of_parent(p);
		close(p->st.life[0]);
		p->run->record(p->cfg, ready_fd);
	}
}

static void
reap(struct parent *p)
{
	enum child_kind kind;

	got_child = 0;
	while (children_reap(&p->st.children, &kind))
		if (kind == CHILD_RECORDER)
			kept_ended(&p->st.recorder, clock_now_ms());
}

/* --- accepting ---------------------------------------------------------- */

/* Returns 0, or -1 if the system has no process left. */
static int
fork_responder(struct parent *p, int fd, enum admission admission)
{
	pid_t pid = children_fork(&p->st.children,
	    admission == ADMISSION_OPEN ? CHILD_STREAM : CHILD_REFUSAL);

	if (pid == 0) {
		close_of_parent(p);
		if (p->st.life[1] != -1)
			close(p->st.life[1]);
		p->run->serve(p->cfg, fd, admission, p->st.life[0]);
	}
	return pid == -1 ? -1 : 0;
}

/* errno says why. */
static void
accept_failed(struct parent *p, struct trouble *t, const char *what)
{
	trouble_tell(t, "cannot %s: %s; still trying", what, strerror(errno));
	p->accept_due_ms = clock_now_ms() + ACCEPT_PAUSE_MS;
}

/* A connection was accepted, and has its responder. */
static void
accept_succeeded(struct parent *p)
{
	if (clock_now_ms() < p->accept_due_ms + ACCEPT_CALM_MS)
		return;
	trouble_over(&p->accepting, "connections are accepted again");
	trouble_over(&p->forking, "responders are started again");
}

/* What the next connection gets. */
static enum admission
admit(struct parent *p, bool stopping)
{
	const uint64_t n = count(p, CHILD_STREAM), max = p->cfg->max_streams;

	if (stopping)
		return ADMISSION_STOPPING;
	if (n >= max) {
		trouble_tell(&p->full,
		    "all %llu streams are taken (--max-streams)",
		    (unsigned long long)max);
		return ADMISSION_FULL;
	}
	/* of many, one that leaves and one that comes are no news */
	if (n < max - max / 10)
		trouble_over(&p->full, "there is room for streams again");
	return ADMISSION_OPEN;
}

/* Accept one connection.  Returns 0, or -1 if there is nothing to accept or
 * it is wise to pause. */
static int
accept_one(struct parent *p, bool stopping)
{
	int fd;

	if (count(p, CHILD_STREAM) >= p->cfg->max_streams)
		reap(p); /* who has just left makes room */
	if (count(p, CHILD_REFUSAL) >= REFUSALS_MAX &&
	    (stopping || count(p, CHILD_STREAM) >= p->cfg->max_streams))
		return -1; /* let them wait in the backlog */
	fd = accept4(p->st.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd == -1) {
		if (errno == ECONNABORTED || errno == EINTR)
			return 0;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			accept_failed(p, &p->accepting, "accept a connection");
		return -1;
	}
	if (fork_responder(p, fd, admit(p, stopping)) == -1) {
		accept_failed(p, &p->forking, "start a responder");
		close(fd);
		return -1;
	}
	close(fd);
	accept_succeeded(p);
	return 0;
}

static void
accept_some(struct parent *p)
{
	int i;

	for (i = 0; i < 64 && accept_one(p, false) == 0; i++)
		;
}

/* --- the loop ----------------------------------------------------------- */

/* Milliseconds until due_ms; at least 0, and least if that is sooner. */
static int64_t
sooner(int64_t least, int64_t due_ms, int64_t now)
{
	int64_t wait = due_ms > now ? due_ms - now : 0;

	return least == -1 || wait < least ? wait : least;
}

static void
wait_for_work(struct parent *p)
{
	struct kept *recorder = &p->st.recorder;
	struct pollfd fds[2] = { { .fd = -1, .events = POLLIN },
		{ .fd = recorder->ready_fd, .events = POLLIN } };
	int64_t now = clock_now_ms(), wait_ms = -1;
	struct timespec ts;
	bool is_full = count(p, CHILD_STREAM) >= p->cfg->max_streams &&
		       count(p, CHILD_REFUSAL) >= REFUSALS_MAX;

	if (now < kept_ready_due_ms(recorder))
		wait_ms = sooner(wait_ms, kept_ready_due_ms(recorder), now);
	else if (now < p->accept_due_ms)
		wait_ms = sooner(wait_ms, p->accept_due_ms, now);
	else if (!is_full)
		fds[0].fd = p->st.listen_fd;
	if (p->with_recorder && count(p, CHILD_RECORDER) == 0)
		wait_ms = sooner(wait_ms, recorder->due_ms, now);

	ts.tv_sec = wait_ms / 1000;
	ts.tv_nsec = wait_ms % 1000 * 1000000;
	if (ppoll(fds, 2, wait_ms == -1 ? NULL : &ts, &p->unblocked) <= 0)
		return;
	if (fds[1].revents != 0)
		kept_close_ready(recorder);
	if (fds[0].revents != 0)
		accept_some(p);
}

/* Become the program file as it is now.  Returns only if that failed. */
static void
restart(struct parent *p, const char *path, char *const argv[])
{
	int fd;

	got_hangup = 0;
	log_info("SIGHUP: restarting from %s", path);
	handover_note_password(&p->st, p->cfg);
	if ((fd = handover_write(&p->st)) != -1)
		execv(path, argv);
	log_error("cannot restart from %s: %s; going on as before", path,
	    strerror(errno));
	handover_undo(&p->st, fd);
}

/* Wait until children are gone, all or all but the recorder, or time is up. */
static void
wait_for_children(struct parent *p, int64_t deadline_ms, bool recorder_too)
{
	struct timespec ts;
	int64_t wait_ms;

	for (;;) {
		reap(p);
		wait_ms = sooner(-1, deadline_ms, clock_now_ms());
		if (p->st.children.n <=
			(count(p, CHILD_RECORDER) > 0 && !recorder_too) ||
		    wait_ms == 0)
			return;
		ts.tv_sec = wait_ms / 1000;
		ts.tv_nsec = wait_ms % 1000 * 1000000;
		ppoll(NULL, 0, &ts, &p->unblocked);
	}
}

/* Who has connected already is told to come back, a few at a time. */
static void
turn_backlog_away(struct parent *p)
{
	const struct timespec while_full = { 0, 20 * 1000000 };
	int64_t deadline_ms = clock_now_ms() + BACKLOG_MS;

	while (clock_now_ms() < deadline_ms) {
		reap(p);
		if (accept_one(p, true) == 0)
			continue;
		if (count(p, CHILD_REFUSAL) < REFUSALS_MAX)
			return;
		ppoll(NULL, 0, &while_full, &p->unblocked);
	}
}

static void
signal_responders(const struct parent *p, int sig)
{
	children_signal(&p->st.children, CHILD_STREAM, sig);
	children_signal(&p->st.children, CHILD_REFUSAL, sig);
}

static void
shut_down(struct parent *p)
{
	int64_t drain_ms = (int64_t)p->cfg->drain_s * 1000;

	log_info("stopping: %zu streams end within %llu s",
	    count(p, CHILD_STREAM), (unsigned long long)p->cfg->drain_s);
	/* who is in the backlog is told; who comes later finds no socket */
	if (p->cfg->socket_path != NULL)
		socket_remove_name(p->cfg->socket_path);
	turn_backlog_away(p);
	close(p->st.listen_fd);
	p->st.listen_fd = -1;
	signal_responders(p, SIGTERM);
	wait_for_children(
	    p, clock_now_ms() + drain_ms + KILL_AFTER_DRAIN_MS, false);
	signal_responders(p, SIGKILL);
	/* the recorder last: what the streams' site still publishes is kept */
	children_signal(&p->st.children, CHILD_RECORDER, SIGTERM);
	wait_for_children(p, clock_now_ms() + KILL_AFTER_DRAIN_MS, true);
	children_signal(&p->st.children, CHILD_RECORDER, SIGKILL);
	wait_for_children(p, clock_now_ms() + KILL_AFTER_DRAIN_MS, true);
}

int
listener_inherit(void)
{
	inherited =
	    (struct parent_state){ .listen_fd = -1, .life = { -1, -1 } };
	kept_init(&inherited.recorder, CHILD_RECORDER, "sse-recorder");
	handover_read(&inherited);
	return inherited.listen_fd;
}

int
listener_run(const struct config *cfg, int fd, char *const argv[],
    bool with_recorder, const struct listener_children *children)
{
	struct parent p = {
		.cfg = cfg, .run = children, .with_recorder = with_recorder
	};
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[len > 0 ? len : 0] = '\0';
	if (inherited.listen_fd != -1)
		handover_tell(&inherited, cfg);
	p.st = inherited;
	p.st.listen_fd = fd;
	if (with_recorder && p.st.life[0] == -1 &&
	    pipe2(p.st.life, O_CLOEXEC) == -1)
		p.st.life[0] = p.st.life[1] = -1; /* streams check by and by */
	catch_signals(&p);
	got_child = 1; /* some may have ended while there was no handler */
	while (!got_stop) {
		if (got_child)
			reap(&p);
		if (got_hangup)
			restart(&p, path, argv);
		if (is_recorder_due(&p))
			start_recorder(&p);
		wait_for_work(&p);
	}
	shut_down(&p);
	children_free(&p.st.children);
	return EX_OK;
}
