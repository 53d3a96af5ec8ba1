/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.c - see http.h. A request is looked at in this order: the size of its
 * head, Host, method, body; then its path. The first thing wrong is the answer,
 * in one line, and the connection ends with it.
 */
#include "config.h"

#include "http.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "reply.h"
#include "routes.h"

struct complaint {
	unsigned status;	/* 0: none */
	const char *line;
};

static enum MHD_Result count_host(void *count, enum MHD_ValueKind kind,
    const char *key, const char *value)
{
	(void)kind;
	(void)value;
	*(int *)count += strcasecmp(key, "Host") == 0;
	return MHD_YES;
}

static int fd_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection,
	    MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* HTTP/1.0 may go without it: no browser does. */
static struct complaint check_host(const struct bpm_http *http,
    struct MHD_Connection *connection, const char *version)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
	    "Host");
	int n = 0;

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_host, &n);
	if (n > 1)
		return (struct complaint){ 400, "There is more than one Host." };
	if (n == 0 && strcmp(version, "HTTP/1.0") != 0)
		return (struct complaint){ 400, "There is no Host." };
	if (n == 1 && (!host || !bpm_hosts_has(&http->hosts, host, fd_of(connection))))
		return (struct complaint){ 403,
		    "This monitor has no such name: see hosts in bpthread_monitor.h." };
	return (struct complaint){ 0 };
}

static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
	    "Content-Length");

	return (length && strcmp(length, "0") != 0)
	    || MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
		"Transfer-Encoding");
}

static struct complaint check(const struct bpm_http *http,
    struct MHD_Connection *connection, const char *method, const char *version)
{
	struct complaint complaint;

	if (MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
	    ->header_size > BPM_HEAD_MAX)
		return (struct complaint){ 431, "The head is above 8 KiB." };
	complaint = check_host(http, connection, version);
	if (complaint.status)
		return complaint;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return (struct complaint){ 405, "This is read-only: GET and HEAD." };
	if (has_body(connection))
		return (struct complaint){ 413, "A request has no body here." };
	return (struct complaint){ 0 };
}

/* Also of "http://host/path", which RFC 9112 wants a server to take; Host counts. */
static const char *path_of(const char *url)
{
	if (strncasecmp(url, "http://", 7) != 0)
		return url;
	url = strchr(url + 7, '/');
	return url ? url : "/";
}

/*
 * Called twice for a request: when its head is there, where it can be refused,
 * and when it is complete, where it can be answered.
 */
enum MHD_Result bpm_http_answer(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version,
    const char *upload_data, size_t *upload_data_size, void **request)
{
	struct bpm_http *http = arg;
	struct complaint complaint;

	(void)upload_data;
	(void)upload_data_size;
	if (*request)
		return bpm_route(&http->watch, connection, path_of(url));
	*request = http;
	complaint = check(http, connection, method, version);
	if (complaint.status)
		return bpm_refuse(connection, complaint.status, complaint.line);
	return MHD_YES;
}
