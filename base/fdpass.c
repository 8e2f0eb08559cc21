/* SPDX-License-Identifier: ISC */
/* SCM_RIGHTS (unix(7)).  It looks into no message. */
#include "base/fdpass.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4 /* received and closed; of more the kernel drops the rest */

/* aligned as a header of control data has to be */
union control {
	struct cmsghdr header;
	char one[CMSG_SPACE(sizeof(int))];
	char several[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int
fdpass_send(int sock, const void *msg, size_t len, int fd)
{
	/* sendmsg() only reads it */
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg,
		.iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *c = &control.header;

	assert(len > 0); /* an empty message looks like the end */
	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control.one);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ? -1 : 0;
}

/* The first of the descriptors that came, or -1; the others are closed. */
static int
take_first(struct msghdr *mh)
{
	struct cmsghdr *c;
	int fd, first = -1;
	size_t at;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (at = CMSG_LEN(0); at + sizeof(fd) <= c->cmsg_len;
		     at += sizeof(fd)) {
			memcpy(&fd, (char *)c + at, sizeof(fd));
			if (first == -1)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

ssize_t
fdpass_receive(int sock, void *msg, size_t size, int *fd)
{
	struct iovec iov = { .iov_base = msg, .iov_len = size };
	union control control;
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n == -1)
		return -1;
	*fd = take_first(&mh);
	if (n > 0 && (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
		return n;
	if (*fd != -1)
		close(*fd);
	*fd = -1;
	if (n == 0)
		return 0;
	errno = EMSGSIZE;
	return -1;
}
