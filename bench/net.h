/* SPDX-License-Identifier: ISC */
/* Connections of the load generator. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>

struct http_url {
	struct sockaddr_in address;
	char host[64]; /* with its port, as in Host: */
	char path[256];
};

/* Take http://A.B.C.D:PORT/PATH apart; dies of another URL. */
struct http_url http_url_parse(const char *text);

/*
 * Begin to connect, without waiting, from 127.0.0.SOURCE (0: whatever the
 * kernel takes): one address has only 28,000 ports.
 * Returns a non-blocking descriptor.
 */
int net_connect(const struct http_url *url, unsigned source);

/* Connect to a Unix socket.  Returns a non-blocking descriptor. */
int net_connect_unix(const char *path);

#endif
