/* SPDX-License-Identifier: BSD-2-Clause */
/* hosts.c - see hosts.h. */
#include "config.h"

#include "hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_MAX 256

static size_t count(const char *const *names)
{
	size_t n = 0;

	while (names && names[n])
		n++;
	return n;
}

/* "" is no name. */
static bool add(struct bpm_hosts *hosts, size_t *n, const char *name)
{
	if (!*name)
		return true;
	hosts->name[*n] = strdup(name);
	return hosts->name[(*n)++];
}

int bpm_hosts_init(struct bpm_hosts *hosts, const char *own, const char *const *names)
{
	static const char *const loopback[] = { "localhost", "127.0.0.1", "::1" };
	size_t n_names = count(names), n = 0;
	char machine[HOST_MAX] = "";
	bool ok = true;

	hosts->name = calloc(n_names + 6, sizeof *hosts->name);
	if (!hosts->name)
		return -ENOMEM;
	if (gethostname(machine, sizeof machine - 1) < 0)
		*machine = '\0';
	for (size_t i = 0; i < 3; i++)
		ok = ok && add(hosts, &n, loopback[i]);
	ok = ok && add(hosts, &n, machine) && add(hosts, &n, own);
	for (size_t i = 0; i < n_names; i++)
		ok = ok && add(hosts, &n, names[i]);
	if (ok)
		return 0;
	bpm_hosts_fini(hosts);
	return -ENOMEM;
}

void bpm_hosts_fini(struct bpm_hosts *hosts)
{
	for (char **name = hosts->name; *name; name++)
		free(*name);
	free(hosts->name);
}

/* Without port and brackets; false: it is not well-formed. */
static bool strip(const char *host, char ret_name[HOST_MAX], bool *ret_v6)
{
	size_t len = strcspn(host, ":");
	const char *rest = host + len;

	*ret_v6 = *host == '[';
	if (*ret_v6) {
		host++;
		len = strcspn(host, "]");
		if (!host[len])
			return false;
		rest = host + len + 1;
	}
	if (*rest == ':')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest || len == 0 || len >= HOST_MAX)
		return false;
	memcpy(ret_name, host, len);
	ret_name[len] = '\0';
	return true;
}

/* An IPv4 client of a socket for both has an IPv4 address in the clothes of IPv6. */
static bool is_address_of(const char *name, int fd)
{
	struct sockaddr_storage sa = { 0 };
	const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;
	socklen_t len = sizeof sa;
	unsigned char address[16];

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	if (inet_pton(AF_INET, name, address) == 1) {
		if (sa.ss_family == AF_INET)
			return memcmp(address, &in->sin_addr, 4) == 0;
		return sa.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)
		    && memcmp(address, &in6->sin6_addr.s6_addr[12], 4) == 0;
	}
	return sa.ss_family == AF_INET6 && inet_pton(AF_INET6, name, address) == 1
	    && memcmp(address, &in6->sin6_addr, 16) == 0;
}

bool bpm_hosts_has(const struct bpm_hosts *hosts, const char *host, int fd)
{
	char name[HOST_MAX];
	bool v6;

	if (!strip(host, name, &v6))
		return false;
	for (char **known = hosts->name; *known; known++)
		if (v6 == !!strchr(*known, ':') && strcasecmp(*known, name) == 0)
			return true;
	return is_address_of(name, fd);
}
