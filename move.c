/* SPDX-License-Identifier: ISC */
/*
 * Moving out.  Whatever does not go as it should leaves the stream where it is,
 * and is tried again later.  Runs in the responder.
 */
#include "move.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "follow_channels.h"
#include "plain.h"

#define PATIENCE_MS 2000 /* an answer is awaited so long */
#define UNREAD_LEN_MAX                                                         \
	16384		   /* for more the web server is slow: its client is */
#define BACKOFF_MIN_MS 500 /* no carrier has room, or none is there yet */
#define BACKOFF_MAX_MS 15000

void
move_init(struct move *m, int door_fd)
{
	*m = (struct move){ .door_fd = door_fd,
		.fd = -1,
		.backoff = {
		    .min_ms = BACKOFF_MIN_MS, .max_ms = BACKOFF_MAX_MS } };
}

void
move_cancel(struct move *m)
{
	if (m->fd != -1)
		close(m->fd);
	m->fd = -1;
	m->state = MOVE_IDLE;
}

int64_t
move_due_ms(const struct move *m)
{
	/* who becomes quiet has just done something */
	return m->door_fd == -1 || m->is_for_later ? INT64_MAX : m->due_ms;
}

static void
give_up(struct move *m, int64_t now_ms)
{
	move_cancel(m);
	m->due_ms = now_ms + backoff_next(&m->backoff);
}

/* --- may it move? ------------------------------------------------------- */

static bool
hears_records_only(const struct progress *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->positions[i].hears_plain || !p->positions[i].is_exact)
			return false;
	return p->n > 0;
}

/* Only what is the easy case: all that was published is heard, and the client
 * has it. */
static bool
is_quiet(const struct move_stream *s)
{
	const struct follower *f = s->follower;

	return f->state == FOLLOW_LIVE && !f->is_muted && !f->is_summoned &&
	       !f->delivery.taken.is_not_atomic && s->session->nkeys <= 1 &&
	       plain_is_quiet(&f->delivery.plain) &&
	       hears_records_only(&f->delivery.progress) && s->out->is_open &&
	       /* a replica is not behind */
	       s->out->cursor <= f->delivery.progress.seen_clock &&
	       outlet_pending_len(s->out) == 0;
}

/* --- the offer ---------------------------------------------------------- */

static int
put_offer(struct buf *b, const struct move_stream *s)
{
	const struct channel_set *channels = &s->session->channels;

	const struct position *positions =
	    s->follower->delivery.progress.positions;
	const struct session *ses = s->session;
	const struct offer o = { .request_id = client_request_id(s->cl),
		.heartbeat_s = s->out->heartbeat_s,
		.end_due_ms = s->end_due_ms,
		.key = ses->key,
		.grant = ses->grant != NULL ? ses->grant : "",
		.grant_len = ses->grant != NULL ? ses->grant_len : 0,
		.user = ses->user != NULL ? ses->user : "",
		.nchannels = channels->n };
	size_t i;

	if (offer_begin(b, &o) == -1)
		return -1;
	for (i = 0; i < channels->n; i++)
		if (offer_add_channel(b, channels->items[i].name,
			channels->items[i].len, positions[i].id) == -1)
			return -1;
	return 0;
}

static int
send_offer(struct move *m, const struct move_stream *s)
{
	int fds[2], failed = -1;
	struct buf b;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	buf_init(&b, OFFER_LEN_MAX);
	if (put_offer(&b, s) == 0)
		failed = fdpass_send(m->door_fd, b.bytes, b.len, fds[1]);
	buf_free(&b);
	close(fds[1]);
	if (failed == -1) {
		close(fds[0]);
		return -1;
	}
	m->fd = fds[0];
	return 0;
}

static void
offer(struct move *m, const struct move_stream *s, int64_t now_ms)
{
	m->is_for_later = !is_quiet(s);
	if (m->is_for_later)
		return;
	if (send_offer(m, s) == -1) {
		give_up(m, now_ms);
		return;
	}
	m->state = MOVE_OFFERED;
	m->due_ms = now_ms + PATIENCE_MS;
}

/* --- the move ----------------------------------------------------------- */

static bool
read_answer(struct move *m)
{
	char message[sizeof(m->ready) + 1];
	int fd;
	ssize_t len = fdpass_receive(m->fd, message, sizeof(message), &fd);

	if (fd != -1)
		close(fd);
	return len > 0 &&
	       offer_read_ready(&m->ready, message, (size_t)len) == 0;
}

/* Have both seen the same store, or one of them the time before its first event?
 * If not, a take has yet to show what happened. */
static bool
is_same_store(const struct move *m, const struct follower *f)
{
	const uint64_t here = f->delivery.progress.seen_epoch,
		       there = m->ready.epoch;

	return here == there ||
	       (here == 0 && there > f->delivery.taken.now_us) ||
	       (there == 0 && here > m->ready.now_us);
}

/*
 * All that was published before the carrier said "ready" must have been heard
 * here: what came after, it has.  The take of a new stream has just shown more
 * than that, unless it is of a session, which may have spoken since.  Otherwise
 * PING shows it.
 */
static bool
has_heard_all(struct move *m, const struct move_stream *s)
{
	struct follower *f = s->follower;

	if (m->state == MOVE_PINGED)
		return f->pong == m->pings;
	if (f->keys->n == 0 &&
	    f->delivery.progress.seen_clock >= m->ready.covered)
		return true;
	if (f->state != FOLLOW_LIVE)
		return false;
	/* not one that was sent before, and is still to be answered; nor one that
	 * the stream before this sent on the same connection */
	m->pings = (m->pings > f->pong ? m->pings : f->pong) + 1;
	follow_ping(f, m->pings);
	m->state = MOVE_PINGED;
	return false;
}

static bool
move(struct move *m, const struct move_stream *s, int64_t now_ms)
{
	const uint64_t seen = s->follower->delivery.progress.seen_clock;
	struct offer_move move = { .floor = seen,
		.heard = seen,
		.cursor = s->out->cursor,
		.last_sign_ms = s->out->last_sign_ms };

	if (!has_heard_all(m, s) || !is_quiet(s) ||
	    client_unread_len(s->cl) > UNREAD_LEN_MAX)
		return false;
	/* the floor is not raised: if a replica is behind that of the carrier,
	 * what is between them is still to come */
	if (m->state == MOVE_PINGED && m->ready.clock > seen)
		move.heard = m->ready.clock;
	if (fdpass_send(m->fd, &move, sizeof(move), client_fd(s->cl)) == -1) {
		give_up(m, now_ms);
		return false;
	}
	move_cancel(m); /* it is done */
	return true;
}

bool
move_work(
    struct move *m, const struct move_stream *s, bool has_said, int64_t now_ms)
{
	if (m->door_fd == -1)
		return false;
	if (m->state == MOVE_IDLE && now_ms >= m->due_ms)
		offer(m, s, now_ms);
	if (m->state == MOVE_OFFERED && has_said) {
		if (read_answer(m) && is_same_store(m, s->follower))
			m->state = MOVE_ACCEPTED;
		else
			give_up(m, now_ms);
	} else if (has_said) {
		give_up(m, now_ms); /* it has changed its mind */
	}
	if (m->state >= MOVE_ACCEPTED && move(m, s, now_ms))
		return true;
	if (m->state != MOVE_IDLE && now_ms >= m->due_ms)
		give_up(m, now_ms);
	return false;
}
