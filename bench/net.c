/* SPDX-License-Identifier: ISC */
#include "bench/net.h"

#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct http_url
http_url_parse(const char *text)
{
	struct http_url url = { .address = { .sin_family = AF_INET } };
	char address[32];
	const char *colon =
	    strncmp(text, "http://", 7) == 0 ? strchr(text + 7, ':') : NULL;
	char *path = NULL;
	unsigned long port = colon ? strtoul(colon + 1, &path, 10) : 0;

	if (!colon || *path != '/' || strlen(path) >= sizeof(url.path) ||
	    (size_t)(colon - text - 7) >= sizeof(address) || port > 65535)
		die("not http://A.B.C.D:PORT/PATH: %s", text);
	memcpy(address, text + 7, (size_t)(colon - text - 7));
	address[colon - text - 7] = '\0';
	memcpy(url.path, path, strlen(path) + 1);
	if (inet_pton(AF_INET, address, &url.address.sin_addr) != 1)
		die("not http://A.B.C.D:PORT/PATH: %s", text);
	url.address.sin_port = htons((uint16_t)port);
	(void)snprintf(url.host, sizeof(url.host), "%s:%lu", address, port);
	return url;
}

static void
bind_source(int fd, unsigned source)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr = { .s_addr = htonl(0x7f000000U + source) } };
	int on = 1;

	(void)setsockopt(
	    fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind to a source address: %s", strerror(errno));
}

int
net_connect(const struct http_url *url, unsigned source)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (source)
		bind_source(fd, source);
	if (connect(fd, (const struct sockaddr *)&url->address,
		sizeof(url->address)) < 0 &&
	    errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	return fd;
}

int
net_connect_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect to %s: %s", path, strerror(errno));
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl: %s", strerror(errno));
	return fd;
}
