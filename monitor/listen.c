/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.c - see listen.h. The socket is made here and not by libmicrohttpd, so
 * that the caller is told what went wrong, and which port it became.
 */
#include "config.h"

#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

/* "[v6]:port" or "host:port"; returns the port, or NULL. */
static const char *split(const char *addr, char host[BPM_HOST_MAX], bool *ret_v6)
{
	const char *colon = strrchr(addr, ':');
	size_t len;

	if (!colon)
		return NULL;
	len = (size_t)(colon - addr);
	*ret_v6 = addr[0] == '[';
	if (*ret_v6) {
		if (len < 3 || addr[len - 1] != ']')
			return NULL;
		addr++;
		len -= 2;
	} else if (memchr(addr, ':', len)) {
		return NULL;		/* an IPv6 address wants its brackets */
	}
	if (len >= BPM_HOST_MAX)
		return NULL;
	memcpy(host, addr, len);
	host[len] = '\0';
	return colon + 1;
}

static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len >= 1 && len <= 5 && text[len] == '\0' && atol(text) <= 65535;
}

static int resolve(const char *addr, char host[BPM_HOST_MAX],
    struct addrinfo **ret_list)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
	};
	const char *port;
	bool v6;

	if (strncmp(addr, "unix:", 5) == 0)
		return -EINVAL;
	port = split(addr, host, &v6);
	if (!port || !is_port(port))
		return -EINVAL;
	if (v6) {
		hints.ai_family = AF_INET6;
		hints.ai_flags |= AI_NUMERICHOST;
	}
	switch (getaddrinfo(*host ? host : NULL, port, &hints, ret_list)) {
	case 0:
		return 0;
	case EAI_MEMORY:
		return -ENOMEM;
	default:
		return v6 ? -EINVAL : -ENOENT;
	}
}

/* Any address of IPv6 takes IPv4 as well. */
static int listen_at(const struct addrinfo *ai)
{
	int on = 1, off = 0, rc;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* For any address IPv6 first, where the machine has it. */
static int listen_on(const struct addrinfo *list, bool any)
{
	const struct addrinfo *ai;
	int fd = -EADDRNOTAVAIL;

	for (ai = list; any && ai; ai = ai->ai_next)
		if (ai->ai_family == AF_INET6) {
			fd = listen_at(ai);
			if (fd >= 0 || fd == -EADDRINUSE || fd == -EACCES)
				return fd;
		}
	for (ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = listen_at(ai);
	return fd;
}

static char *url_of(int fd)
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	socklen_t len = sizeof sa;
	char host[INET6_ADDRSTRLEN] = "", *url = NULL;
	const char *format = "http://%s:%u/";

	getsockname(fd, (struct sockaddr *)&sa, &len);
	if (sa.ss_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		format = "http://[%s]:%u/";
	} else if (sa.ss_family == AF_INET6
	    || in->sin_addr.s_addr == htonl(INADDR_ANY)) {
		strcpy(host, "127.0.0.1");
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
	}
	/* the port is at the same place in both */
	if (asprintf(&url, format, host, (unsigned)ntohs(in->sin_port)) < 0)
		return NULL;
	return url;
}

int bpm_listen(int *ret_fd, char **ret_url, char ret_host[BPM_HOST_MAX],
    const char *addr)
{
	struct addrinfo *list = NULL;
	char host[BPM_HOST_MAX];
	int fd, rc = resolve(addr, host, &list);

	if (rc < 0)
		return rc;
	fd = listen_on(list, !*host);
	freeaddrinfo(list);
	if (fd < 0)
		return fd;
	*ret_url = url_of(fd);
	if (!*ret_url) {
		close(fd);
		return -ENOMEM;
	}
	*ret_fd = fd;
	strcpy(ret_host, host);
	return 0;
}
