/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addr.c - see addr.h. Formatting uses neither getnameinfo() nor printf(): it runs
 * on readers' stacks, of which an idle connection should touch a page or two.
 */
#include "config.h"

#include "addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define HOST_MAX 256

static int resolve_unix(const char *path, struct bp__addr *addr)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&addr->sa;
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof un->sun_path)
		return -EINVAL;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	addr->len = sizeof *un;
	return 0;
}

/* Split "host:port" or "[v6]:port"; returns the port's text, or NULL. */
static const char *split(const char *text, char host[HOST_MAX], bool *ret_v6)
{
	const char *colon = strrchr(text, ':'), *end = colon;
	size_t len;

	if (!colon)
		return NULL;
	*ret_v6 = text[0] == '[';
	if (*ret_v6) {
		if (colon < text + 3 || colon[-1] != ']')
			return NULL;
		text++;
		end = colon - 1;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return NULL;		/* an IPv6 address wants its brackets */
	}
	len = (size_t)(end - text);
	if (len >= HOST_MAX)
		return NULL;
	memcpy(host, text, len);
	host[len] = '\0';
	return colon + 1;
}

static bool is_port(const char *text)
{
	unsigned long port = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned long)(*text - '0');
	}
	return port <= 65535;
}

static int error_of(int gai)
{
	switch (gai) {
	case 0:
		return 0;
	case EAI_MEMORY:
		return -ENOMEM;
	default:
		return -ENOENT;
	}
}

static size_t count(const struct addrinfo *list)
{
	size_t n = 0;

	for (; list; list = list->ai_next)
		n++;
	return n;
}

static int resolve_inet(const char *text, bool to_listen,
    struct bp__addr **ret_addrs, size_t *ret_n)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0),
	};
	struct addrinfo *list = NULL, *ai;
	struct bp__addr *addrs;
	char host[HOST_MAX];
	const char *port;
	size_t i = 0;
	bool v6;
	int rc;

	port = split(text, host, &v6);
	if (!port || !is_port(port))
		return -EINVAL;
	if (v6) {
		hints.ai_family = AF_INET6;
		hints.ai_flags |= AI_NUMERICHOST;
	}
	rc = error_of(getaddrinfo(*host ? host : NULL, port, &hints, &list));
	if (rc < 0)
		return v6 && rc == -ENOENT ? -EINVAL : rc;
	addrs = calloc(count(list), sizeof *addrs);
	if (!addrs) {
		freeaddrinfo(list);
		return -ENOMEM;
	}
	for (ai = list; ai; ai = ai->ai_next) {
		memcpy(&addrs[i].sa, ai->ai_addr, ai->ai_addrlen);
		addrs[i++].len = ai->ai_addrlen;
	}
	freeaddrinfo(list);
	*ret_addrs = addrs;
	*ret_n = i;
	return 0;
}

int bp__addr_resolve(const char *text, bool to_listen, struct bp__addr **ret_addrs,
    size_t *ret_n)
{
	struct bp__addr *addr;
	int rc;

	if (!text)
		return -EINVAL;
	if (strncmp(text, "unix:", 5) != 0)
		return resolve_inet(text, to_listen, ret_addrs, ret_n);
	addr = calloc(1, sizeof *addr);
	if (!addr)
		return -ENOMEM;
	rc = resolve_unix(text + 5, addr);
	if (rc < 0) {
		free(addr);
		return rc;
	}
	*ret_addrs = addr;
	*ret_n = 1;
	return 0;
}

/* A link-local address says nothing without its interface. */
static void append_scope(char *text, const struct sockaddr_in6 *in6)
{
	char name[IF_NAMESIZE];

	if (in6->sin6_scope_id == 0 || !if_indextoname(in6->sin6_scope_id, name))
		return;
	strcat(text, "%");
	strcat(text, name);
}

static void append_port(char *text, unsigned port)
{
	char digits[8];
	size_t n = sizeof digits;

	digits[--n] = '\0';
	do
		digits[--n] = (char)('0' + port % 10);
	while (port /= 10);
	digits[--n] = ':';
	strcat(text, digits + n);
}

void bp__addr_format(char text[BP__ADDR_TEXT_MAX], const struct bp__addr *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->sa;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;

	memset(text, 0, BP__ADDR_TEXT_MAX);
	switch (addr->sa.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, text, BP__ADDR_TEXT_MAX);
		append_port(text, ntohs(in->sin_port));
		break;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			/* an IPv4 peer of a socket that takes both */
			inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text,
			    BP__ADDR_TEXT_MAX);
		} else {
			text[0] = '[';
			inet_ntop(AF_INET6, &in6->sin6_addr, text + 1,
			    BP__ADDR_TEXT_MAX - 1);
			append_scope(text, in6);
			strcat(text, "]");
		}
		append_port(text, ntohs(in6->sin6_port));
		break;
	case AF_UNIX:
		strcpy(text, "unix:");
		/* a path that fills its field has no final 0 */
		if (addr->len > offsetof(struct sockaddr_un, sun_path))
			memcpy(text + 5, un->sun_path,
			    strnlen(un->sun_path, sizeof un->sun_path));
		break;
	}
}

void bp__addr_of_fd(struct bp__addr *ret_addr, int fd, bool peer)
{
	memset(ret_addr, 0, sizeof *ret_addr);
	ret_addr->len = sizeof ret_addr->sa;
	if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&ret_addr->sa,
	    &ret_addr->len) < 0)
		ret_addr->sa.ss_family = AF_UNSPEC;
}

bool bp__addr_is_any(const struct bp__addr *addr)
{
	const void *sa = &addr->sa;

	if (addr->sa.ss_family == AF_INET)
		return ((const struct sockaddr_in *)sa)->sin_addr.s_addr
		    == htonl(INADDR_ANY);
	return addr->sa.ss_family == AF_INET6
	    && IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

static uint64_t big_endian(const unsigned char bytes[8])
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | bytes[i];
	return n;
}

void bp__addr_key(struct bp__key *ret_key, const struct bp__addr *addr, int fd)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	const void *sa = &addr->sa;
	unsigned char bytes[16];
	struct ucred user;
	socklen_t len = sizeof user;

	memset(ret_key, 0, sizeof *ret_key);
	switch (addr->sa.ss_family) {
	case AF_INET:
		memcpy(bytes, mapped, sizeof mapped);
		memcpy(bytes + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
		break;
	case AF_INET6:
		memcpy(bytes, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		break;
	case AF_UNIX:
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &len) < 0)
			return;
		ret_key->kind = BP__KEY_USER;
		ret_key->low = user.uid;
		return;
	default:
		return;
	}
	ret_key->kind = BP__KEY_HOST;
	ret_key->high = big_endian(bytes);
	ret_key->low = big_endian(bytes + 8);
}
