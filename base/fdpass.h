/* SPDX-License-Identifier: ISC */
/*
 * A message, and with it a descriptor, to another process on this machine:
 * over a Unix socket of type SOCK_SEQPACKET, so that one message comes as one.
 * Neither function waits.
 */
#ifndef FDPASS_H
#define FDPASS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Send len bytes of msg, at least one, and fd with them unless it is -1; the
 * caller keeps its fd.  Returns 0; or -1 with errno, and nothing was sent:
 * EAGAIN if there is no room, EPIPE if nobody can receive it any more.
 */
int fdpass_send(int sock, const void *msg, size_t len, int fd);

/*
 * Receive a message of at most size bytes.  *fd is the descriptor that came
 * with it, close-on-exec and the caller's, or -1; of several the first, the
 * others are closed.  Returns the length; 0 at the end of the connection; or -1
 * with errno: EAGAIN if there is none, EMSGSIZE if it was too long or had too
 * many descriptors.  It is gone then, and none of them is open.
 */
ssize_t fdpass_receive(int sock, void *msg, size_t size, int *fd);

#endif
