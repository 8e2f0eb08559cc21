/* SPDX-License-Identifier: ISC */
/* Lines go out as they come, without waiting for the answers before. */
#include "publish_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "line_sender.h"
#include "lines.h"
#include "redis/event.h"
#include "redis/sse.h"

#define READ_LEN 65536

struct publisher {
	const struct config *cfg;
	struct line_sender *sender;
	struct lines input;
	bool is_at_end, needs_input;
	struct buf frame;
	int code; /* what to exit with, unless something worse comes */
};

static int
read_input(struct publisher *p)
{
	char piece[READ_LEN];
	ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n == -1)
		return complain(
		    EX_IOERR, "standard input: %s", strerror(errno));
	if (n == 0) {
		p->is_at_end = true;
		line_sender_end(p->sender);
		lines_end(&p->input);
	} else if (lines_put(&p->input, piece, (size_t)n) == -1) {
		return complain(EX_OSERR, "out of memory");
	}
	p->needs_input = false;
	return 0;
}

static int
queue_line(struct publisher *p, const char *line, size_t len)
{
	struct event ev = {
		.name = p->cfg->event, .data = line, .data_len = len
	};

	ev.name_len = ev.name != NULL ? strlen(ev.name) : 0;
	buf_reset(&p->frame);
	if (sse_put_event(&p->frame, &ev) == -1) {
		p->code = complain(EX_DATAERR,
		    "line %" PRIu64 " was not published: with a field name in "
		    "front of each line it is longer than twice --event-bytes "
		    "(%" PRIu64 ")",
		    p->input.n, p->cfg->event_bytes);
		return 0;
	}
	if (line_sender_put(p->sender, p->frame.bytes, p->frame.len) == -1)
		return complain(EX_OSERR, "out of memory");
	return 0;
}

static int
queue_lines(struct publisher *p)
{
	enum line_kind kind;
	const char *line;
	size_t len;
	int code = 0;

	while (
	    code == 0 && !p->needs_input && !line_sender_is_full(p->sender)) {
		kind = lines_next(&p->input, &line, &len);
		if (kind == LINE_NONE)
			p->needs_input = true;
		else if (kind == LINE_WHOLE)
			code = queue_line(p, line, len);
		else
			p->code = complain(EX_DATAERR,
			    "line %" PRIu64 " was not published: it is longer "
			    "than %" PRIu64 " bytes (--event-bytes)",
			    p->input.n, p->cfg->event_bytes);
	}
	return code;
}

static bool
is_done(const struct publisher *p)
{
	return p->is_at_end && p->needs_input &&
	       line_sender_is_empty(p->sender);
}

static int
publish_all(struct publisher *p)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int code = line_sender_open(p->sender);

	while (code == 0) {
		if ((code = queue_lines(p)) != 0 ||
		    (code = line_sender_work(p->sender, fds[1].revents != 0)) !=
			0 ||
		    is_done(p))
			break;
		fds[0].fd = p->needs_input && !p->is_at_end ? STDIN_FILENO : -1;
		fds[1].fd = line_sender_fd(p->sender);
		if (poll(fds, 2, line_sender_patience_ms(p->sender)) == -1)
			fds[0].revents = fds[1].revents = 0;
		if (fds[0].revents != 0)
			code = read_input(p);
	}
	return code;
}

int
publish_lines(const struct config *cfg, const struct channel_set *channels)
{
	struct publisher p = { .cfg = cfg, .needs_input = true };
	int code;

	lines_init(&p.input, cfg->event_bytes, READ_LEN);
	buf_init(&p.frame, SSE_FRAME_LEN_MAX(cfg->event_bytes));
	p.sender = line_sender_new(cfg, channels);
	code = p.sender != NULL ? publish_all(&p)
				: complain(EX_OSERR, "out of memory");
	if (code == 0)
		code = line_sender_has_lost(p.sender) ? EX_UNKNOWN : p.code;
	line_sender_free(p.sender);
	lines_free(&p.input);
	buf_free(&p.frame);
	return code;
}
