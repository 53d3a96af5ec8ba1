/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.c - the live monitor as the demos serve it. What was asked for by its port
 * is served there or not at all, in one clear line; the usual port is only where one
 * looks first, so another demo that has it is no reason to stop.
 */
#define _POSIX_C_SOURCE 200809L

#include "monitor.h"

#include "args.h"

#include <bpthread.h>
#ifdef HAVE_MONITOR
#include <bpthread_monitor.h>
#endif
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FURTHER_PORTS 20
#define HOST_LEN 256

struct place {
	char host[HOST_LEN];		/* as in an address: "[::1]" */
	int port;
	bool or_next;			/* "+" */
};

/* ---- where ----------------------------------------------------------------- */

static bool is_off(const char *where)
{
	return !where || strcmp(where, "off") == 0;
}

static bool read_place(const char *where, struct place *ret)
{
	const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
	size_t host = colon ? (size_t)(colon - where) : 0;
	size_t digits = strspn(port, "0123456789");

	ret->or_next = port[digits] == '+';
	ret->port = atoi(port);
	if (digits == 0 || digits > 5 || port[digits + ret->or_next] != '\0'
	    || ret->port > 65535 || host >= sizeof ret->host)
		return false;
	snprintf(ret->host, sizeof ret->host, "%.*s", colon ? (int)host : 9,
	    colon ? where : "127.0.0.1");
	return true;
}

void monitor_check(const struct args_program *program, const char *where)
{
	struct place place;

	if (!is_off(where) && !read_place(where, &place))
		args_refuse(program, "--monitor: '%s' is not [HOST:]PORT or off", where);
}

#ifdef HAVE_MONITOR

/* The last port to be tried. */
static int last_port(const struct place *place)
{
	int last = place->port + (place->or_next ? FURTHER_PORTS : 0);

	return last > 65535 ? 65535 : last;
}

/* Who can do without goes on. */
static int taken(const struct args_program *program, const struct place *place, int rc)
{
	char addr[HOST_LEN + 16];

	if (rc == -EADDRINUSE && place->or_next) {
		fprintf(stderr, "%s: goes without the monitor: ports %d to %d are taken\n",
		    program->name, place->port, last_port(place));
		return 0;
	}
	snprintf(addr, sizeof addr, "%s:%d", place->host, place->port);
	return args_failed(program, "serve the monitor on", addr, rc);
}

/* ---- serving --------------------------------------------------------------- */

static void name_text(const struct args_program *program, const char *what, char *out,
    size_t size)
{
	if (what && strncmp(what, "[::]:", 5) == 0)
		what += 4;		/* any address: the port tells which it is */
	snprintf(out, size, "%s%s%s", program->name, what ? " " : "", what ? what : "");
}

int monitor_serve(struct bp_monitor **ret_monitor, const struct args_program *program,
    struct bp_endpoint *ep, const char *where, const char *what)
{
	char addr[HOST_LEN + 16], name[160];
	struct bp_monitor_config config = { .name = name };
	struct place place;
	int rc = -EADDRINUSE;

	*ret_monitor = NULL;
	monitor_check(program, where);
	if (is_off(where))
		return 0;
	read_place(where, &place);
	name_text(program, what, name, sizeof name);
	for (int port = place.port; rc == -EADDRINUSE && port <= last_port(&place); port++) {
		snprintf(addr, sizeof addr, "%s:%d", place.host, port);
		rc = bp_monitor_start(ret_monitor, ep, addr, &config);
	}
	return rc < 0 ? taken(program, &place, rc) : 0;
}

static bool is_any(const char *host)
{
	return !host[strspn(host, "[:].0")] || strcmp(host, "*") == 0;
}

/* The URL is that of this machine, which does not show who else it is served to. */
static void tell(const char *url, const struct place *place, bool json)
{
	bool any = is_any(place->host);

	if (json)
		printf("{\"event\":\"monitor\",\"url\":\"%s\"%s}\n", url,
		    any ? ",\"everybody\":true" : "");
	else
		printf("watch it live: %s%s\n", url,
		    any ? " (so can everybody who reaches this machine)" : "");
	fflush(stdout);
}

void monitor_tell(const struct bp_monitor *monitor, const char *where, bool json)
{
	struct place place;

	if (monitor && read_place(where, &place))
		tell(bp_monitor_url(monitor), &place, json);
}

void monitor_stop(struct bp_monitor *monitor)
{
	bp_monitor_stop(monitor);
}

/* ---- choosing -------------------------------------------------------------- */

/*
 * The port that could be listened on, or a negative errno. Asked of the system by
 * hand: who forks its servers may not have had threads before.
 */
static int try_port(const struct place *place, int port)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	    .ai_socktype = SOCK_STREAM }, *found;
	char host[HOST_LEN], service[16];
	bool bare = place->host[0] == '[';
	int fd, on = 1, rc = 0;

	snprintf(host, sizeof host, "%.*s", (int)(strlen(place->host) - 2 * bare),
	    place->host + bare);
	snprintf(service, sizeof service, "%d", port);
	if (getaddrinfo(*host ? host : NULL, service, &hints, &found) != 0)
		return -ENOENT;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
	    || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0
	    || getsockname(fd, found->ai_addr, &found->ai_addrlen) != 0
	    || getnameinfo(found->ai_addr, found->ai_addrlen, NULL, 0, service,
	    sizeof service, NI_NUMERICSERV) != 0)
		rc = errno ? -errno : -EINVAL;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
	return rc < 0 ? rc : atoi(service);
}

int monitor_choose(const struct args_program *program, const char *where, bool json,
    char *ret_where, size_t size)
{
	char url[HOST_LEN + 32];
	int rc = -EADDRINUSE;
	struct place place;

	snprintf(ret_where, size, "off");
	if (is_off(where))
		return 0;
	read_place(where, &place);
	for (int port = place.port; rc == -EADDRINUSE && port <= last_port(&place); port++)
		rc = try_port(&place, port);
	if (rc < 0)
		return taken(program, &place, rc);
	snprintf(ret_where, size, "%s:%d%s", place.host, rc, place.or_next ? "+" : "");
	snprintf(url, sizeof url, "http://%s:%d/",
	    is_any(place.host) ? "127.0.0.1" : place.host, rc);
	tell(url, &place, json);
	return 0;
}

#else /* what a build without libmicrohttpd has */

static int say_there_is_none(const struct args_program *program, const char *where)
{
	if (!is_off(where))
		fprintf(stderr, "%s: built without the monitor (libmicrohttpd)\n",
		    program->name);
	return 0;
}

int monitor_serve(struct bp_monitor **ret_monitor, const struct args_program *program,
    struct bp_endpoint *ep, const char *where, const char *what)
{
	(void)ep, (void)what;
	*ret_monitor = NULL;
	monitor_check(program, where);
	return say_there_is_none(program, where);
}

void monitor_tell(const struct bp_monitor *monitor, const char *where, bool json)
{
	(void)monitor, (void)where, (void)json;
}

void monitor_stop(struct bp_monitor *monitor)
{
	(void)monitor;
}

int monitor_choose(const struct args_program *program, const char *where, bool json,
    char *ret_where, size_t size)
{
	(void)json;
	snprintf(ret_where, size, "off");
	return say_there_is_none(program, where);
}

#endif

struct bp_monitor *monitor_start(const struct args_program *program,
    struct bp_endpoint *ep, const char *where, const char *what)
{
	struct bp_monitor *monitor;
	int rc = monitor_serve(&monitor, program, ep, where, what);

	if (rc != 0)
		exit(rc);
	monitor_tell(monitor, where, false);
	return monitor;
}
