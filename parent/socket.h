/* SPDX-License-Identifier: ISC */
/* The listening socket of the parent: bound by itself, or inherited. */
#ifndef SOCKET_H
#define SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"

#define SOCKET_BACKLOG 4096 /* 1,000 opens at once overflow 128 (measured) */

/* Is fd a listening socket? */
bool socket_is_listening(int fd);

/*
 * Open what cfg names, else take an inherited one: fd 3 of systemd
 * (LISTEN_FDS), fd 0 of spawn-fcgi, lighttpd or mod_fcgid.  A Unix socket is
 * bound under another name, made to listen, and renamed into place, so that
 * no connect fails; a live socket is not taken from its owner, a dead one is.
 * Returns a non-blocking close-on-exec descriptor; or -1, with a sentence in
 * error and a sysexits code in *code.
 */
int socket_open(
    const struct config *cfg, char *error, size_t error_size, int *code);

/*
 * Remove path if it is the name of a socket that this process listens on.  To
 * be called while it still listens: meanwhile no other program takes the name.
 * Leaves one connection in the backlog, which says nothing and closes.
 */
void socket_remove_name(const char *path);

#endif
