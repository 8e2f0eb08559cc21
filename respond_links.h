/* SPDX-License-Identifier: ISC */
/* What a responder has beside its client. */
#ifndef RESPOND_LINKS_H
#define RESPOND_LINKS_H

struct redis_sub;

/* What a request may use beside its client. */
struct respond_links {
	int life_fd;	       /* see listener.h */
	int door_fd;	       /* likewise; -1: its stream stays here */
	struct redis_sub *sub; /* owned: Redis' connection of the request
				* before; or NULL */
};

#endif
