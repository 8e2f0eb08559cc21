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
#include "parent/handover.h"
#include "parent/signals.h"
#include "parent/socket.h"
#include "parent/start.h"
#include "parent/state.h"

#define REFUSALS_MAX 64	    /* children that only say "full" */
#define CROWDED_MS 20	    /* then they are looked at again */
#define FULL_MS 100	    /* so long all streams must have been taken, ... */
#define MOVING_MS 5	    /* ... looked at so often, where they move */
#define ACCEPT_PAUSE_MS 100 /* after EMFILE, ENOMEM or a failed fork; */
#define ACCEPT_CALM_MS 1000 /* it is over if none came for so long */
#define KILL_AFTER_DRAIN_MS 3000
#define BACKLOG_MS 2000 /* to tell those who wait that we stop */

struct parent {
	const struct config *cfg;
	const struct listener_children *run;
	struct parent_state st;
	sigset_t unblocked; /* the mask inside ppoll */
	bool with_recorder;
	int64_t accept_due_ms; /* no accept before this */
	int64_t full_since_ms; /* all streams are taken; 0: they are not */
	struct trouble full, accepting, forking;
};

/* what listener_inherit found, until listener_run takes it up */
static struct parent_state inherited;

static bool
is_recorder_due(const struct parent *p)
{
	return p->with_recorder &&
	       kept_is_due(&p->st.recorder, &p->st.children, clock_now_ms());
}

/* --- accepting ---------------------------------------------------------- */

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
	const uint64_t n = state_count_streams(&p->st),
		       max = p->cfg->max_streams;

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

/* How long those in the backlog are left there: 0 if the next one is to be
 * accepted, -1 until a child has ended. */
static int64_t
backlog_pause_ms(struct parent *p, bool stopping)
{
	const bool is_shared = p->cfg->streams_per_process > 1;
	const bool is_full = state_count_streams(&p->st) >= p->cfg->max_streams;
	const int64_t now = clock_now_ms();

	if (!is_full)
		p->full_since_ms = 0;
	else if (p->full_since_ms == 0)
		p->full_since_ms = now;
	/* not even to say so may more be started; no signal says that a
	 * responder waits again, or that a stream has left its carrier */
	if (state_count_refusals(&p->st) >= REFUSALS_MAX &&
	    (stopping || is_full))
		return is_shared ? CROWDED_MS : -1;
	if (!is_shared || stopping)
		return 0;
	/* a stream that moves counts twice for a moment */
	if (is_full && now < p->full_since_ms + FULL_MS)
		return MOVING_MS;
	return pool_is_rushed(&p->st.pool, now) ? 1 : 0;
}

/* Accept one connection.  Returns 0, or -1 if there is nothing to accept or
 * it is wise to pause. */
static int
accept_one(struct parent *p, bool stopping)
{
	struct accepted a;

	if (state_count_streams(&p->st) >= p->cfg->max_streams)
		state_reap(&p->st); /* who has just left makes room */
	if (backlog_pause_ms(p, stopping) != 0)
		return -1;
	a.fd = accept4(p->st.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (a.fd == -1) {
		if (errno == ECONNABORTED || errno == EINTR)
			return 0;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			accept_failed(p, &p->accepting, "accept a connection");
		return -1;
	}
	a.admission = admit(p, stopping);
	if (start_responder(&p->st, p->cfg, p->run, &a) == -1) {
		accept_failed(p, &p->forking, "start a responder");
		close(a.fd);
		return -1;
	}
	close(a.fd);
	accept_succeeded(p);
	if (a.admission == ADMISSION_OPEN) {
		start_carrier(&p->st, p->cfg, p->run);
		carriers_expect(&p->st.carriers, state_count_responders(&p->st),
		    clock_now_ms());
	}
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

	if (now < kept_ready_due_ms(recorder)) {
		wait_ms = sooner(wait_ms, kept_ready_due_ms(recorder), now);
	} else if (now < p->accept_due_ms) {
		wait_ms = sooner(wait_ms, p->accept_due_ms, now);
	} else if ((wait_ms = backlog_pause_ms(p, false)) == 0) {
		fds[0].fd = p->st.listen_fd;
		wait_ms = -1;
	}
	if (p->with_recorder && p->st.children.count[CHILD_RECORDER] == 0)
		wait_ms = sooner(wait_ms, recorder->due_ms, now);
	if (carriers_due_ms(&p->st.carriers) != INT64_MAX)
		wait_ms =
		    sooner(wait_ms, carriers_due_ms(&p->st.carriers), now);

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
		state_reap(&p->st);
		wait_ms = sooner(-1, deadline_ms, clock_now_ms());
		if (p->st.children.n <=
			(p->st.children.count[CHILD_RECORDER] > 0 &&
			    !recorder_too) ||
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
	const struct timespec while_full = { 0, CROWDED_MS * 1000000 };
	int64_t deadline_ms = clock_now_ms() + BACKLOG_MS;

	while (clock_now_ms() < deadline_ms) {
		state_reap(&p->st);
		if (accept_one(p, true) == 0)
			continue;
		if (backlog_pause_ms(p, true) == 0)
			return;
		ppoll(NULL, 0, &while_full, &p->unblocked);
	}
}

static void
signal_streams(const struct parent *p, int sig)
{
	children_signal(&p->st.children, CHILD_STREAM, sig);
	children_signal(&p->st.children, CHILD_REFUSAL, sig);
	children_signal(&p->st.children, CHILD_POOLED, sig);
	children_signal(&p->st.children, CHILD_CARRIER, sig);
}

static void
shut_down(struct parent *p)
{
	int64_t drain_ms = (int64_t)p->cfg->drain_s * 1000;

	log_info("stopping: %llu streams end within %llu s",
	    (unsigned long long)state_count_streams(&p->st),
	    (unsigned long long)p->cfg->drain_s);
	/* who is in the backlog is told; who comes later finds no socket */
	if (p->cfg->socket_path != NULL)
		socket_remove_name(p->cfg->socket_path);
	turn_backlog_away(p);
	close(p->st.listen_fd);
	p->st.listen_fd = -1;
	signal_streams(p, SIGTERM);
	wait_for_children(
	    p, clock_now_ms() + drain_ms + KILL_AFTER_DRAIN_MS, false);
	signal_streams(p, SIGKILL);
	/* the recorder last: what the streams' site still publishes is kept */
	children_signal(&p->st.children, CHILD_RECORDER, SIGTERM);
	wait_for_children(p, clock_now_ms() + KILL_AFTER_DRAIN_MS, true);
	children_signal(&p->st.children, CHILD_RECORDER, SIGKILL);
	wait_for_children(p, clock_now_ms() + KILL_AFTER_DRAIN_MS, true);
}

int
listener_inherit(void)
{
	state_init(&inherited);
	handover_read(&inherited);
	return inherited.listen_fd;
}

/* What streams that share a process need. */
static void
open_carriers(struct parent *p)
{
	if (p->cfg->streams_per_process == 1)
		return;
	pool_open(&p->st.pool);
	if (carriers_open(&p->st.carriers, p->cfg->streams_per_process,
		p->cfg->max_streams) == -1)
		log_error("no streams share a process: %s", strerror(errno));
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
	open_carriers(&p);
	signals_catch(&p.unblocked);
	while (!signals_say_stop()) {
		if (signals_take_child())
			state_reap(&p.st);
		if (signals_take_hangup())
			restart(&p, path, argv);
		if (is_recorder_due(&p))
			start_recorder(&p.st, cfg, children);
		if (clock_now_ms() >= carriers_due_ms(&p.st.carriers))
			start_carrier(&p.st, cfg, children);
		wait_for_work(&p);
	}
	shut_down(&p);
	state_free(&p.st);
	return EX_OK;
}
