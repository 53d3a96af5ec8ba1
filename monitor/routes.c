/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes.c - see routes.h. A parameter that is unknown or has a value that is
 * none is an error: who misspells one is told so, and not given the default.
 */
#include "config.h"

#include "routes.h"

#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "assets.h"
#include "formats.h"
#include "reply.h"

#define PLAIN "text/plain; charset=utf-8"
#define JSON "application/json"
#define ROWS_MAX 1000
#define ROWS 100

struct request {
	struct bpm_watch *watch;
	struct MHD_Connection *connection;
	const char *path;

	/* parameters, and the first thing wrong with them */
	const char *wrong;
	enum bp_resolution resolution;
	uint64_t since_ns;
	struct bpm_selection selection;
};

static const char *header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* ---- parameters ---------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text || strlen(text) > 19 || text[strspn(text, "0123456789")])
		return false;
	for (; *text; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	if (n > max)
		return false;
	*ret = n;
	return true;
}

static const char *no_parameters(struct request *request, const char *key,
    const char *value)
{
	(void)request;
	(void)key;
	(void)value;
	return "There are no parameters here.";
}

static const char *history_parameter(struct request *request, const char *key,
    const char *value)
{
	if (strcmp(key, "since") == 0)
		return parse_number(value, INT64_MAX, &request->since_ns) ? NULL
		    : "since is an at_ns: nanoseconds, 0 or more.";
	if (strcmp(key, "step") != 0)
		return "The parameters are since and step.";
	request->resolution = strcmp(value, "10") == 0 ? BP_EVERY_10_SECONDS
	    : BP_EVERY_SECOND;
	return strcmp(value, "1") == 0 || strcmp(value, "10") == 0 ? NULL
	    : "step is 1 or 10, seconds.";
}

static const char *connections_parameter(struct request *request, const char *key,
    const char *value)
{
	uint64_t limit;

	if (strcmp(key, "sort") == 0) {
		request->selection.sort = bpm_sort_column(value);
		return request->selection.sort >= 0 ? NULL
		    : "sort is id or the name of a column of numbers.";
	}
	if (strcmp(key, "state") == 0) {
		request->selection.state = bpm_state_named(value);
		return request->selection.state >= 0 ? NULL
		    : "state is closing, throttled, muted, waiting, reading, idle or "
		    "closed.";
	}
	if (strcmp(key, "limit") != 0)
		return "The parameters are limit, sort and state.";
	if (!parse_number(value, ROWS_MAX, &limit) || limit == 0)
		return "limit is 1 to 1000.";
	request->selection.limit = limit;
	return NULL;
}

/* ---- answers ------------------------------------------------------------- */

static enum MHD_Result reply_json(struct request *request, const char *vary,
    struct bpm_text *text)
{
	return bpm_reply(request->connection, 200, JSON, vary, text);
}

static enum MHD_Result status(struct request *request)
{
	struct bpm_text text = { 0 };

	bpm_write_status(&text, request->watch);
	return reply_json(request, NULL, &text);
}

static enum MHD_Result history(struct request *request)
{
	struct bpm_text text = { 0 };

	bpm_write_history(&text, request->watch, request->resolution,
	    request->since_ns);
	return reply_json(request, NULL, &text);
}

static enum MHD_Result connections(struct request *request)
{
	struct bpm_text text = { 0 };

	bpm_write_connections(&text, request->watch, &request->selection);
	return reply_json(request, NULL, &text);
}

static enum MHD_Result metrics(struct request *request)
{
	static const char *const offers[] = {
		"text/plain", "application/openmetrics-text",
	};
	bool open = bpm_accept_best(header(request, "Accept"), offers, 2) == 1;
	struct bpm_text text = { 0 };

	bpm_write_metrics(&text, request->watch, open);
	return bpm_reply(request->connection, 200, open
	    ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	    : "text/plain; version=0.0.4; charset=utf-8", "Accept", &text);
}

static enum MHD_Result status_line(struct request *request)
{
	struct bpm_text text = { 0 };

	bpm_write_line(&text, request->watch);
	return bpm_reply(request->connection, 200, PLAIN, NULL, &text);
}

static enum MHD_Result healthy(struct request *request)
{
	return bpm_reply_line(request->connection, 200, "ok");
}

static enum MHD_Result ready(struct request *request)
{
	const char *says = bpm_watch_ready(bpm_watch_moment(request->watch));

	return bpm_reply_line(request->connection, strcmp(says, "ok") == 0 ? 200 : 503,
	    says);
}

/* ---- the page, and what EKG gives in its place --------------------------- */

static bool page_asset(struct request *request, enum MHD_Result *ret)
{
	bool gzip = bpm_accept_gzip(header(request, "Accept-Encoding"));
	const char *vary = request->path[1] ? "Accept-Encoding"
	    : "Accept, Accept-Encoding";

	for (size_t i = 0; i < bpm_n_assets; i++) {
		const struct bpm_asset *asset = &bpm_assets[i];

		if (strcmp(asset->path, request->path) != 0)
			continue;
		*ret = bpm_reply_static(request->connection, asset->type, vary,
		    gzip ? "gzip" : NULL, gzip ? asset->gzip : asset->plain,
		    gzip ? asset->gzip_size : asset->plain_size);
		return true;
	}
	return false;
}

static enum MHD_Result root(struct request *request)
{
	static const char *const offers[] = { "text/html", "application/json" };
	struct bpm_text text = { 0 };
	enum MHD_Result result = MHD_NO;

	if (bpm_accept_best(header(request, "Accept"), offers, 2) == 1) {
		bpm_write_ekg(&text, request->watch);
		return reply_json(request, "Accept, Accept-Encoding", &text);
	}
	page_asset(request, &result);
	return result;
}

static enum MHD_Result other(struct request *request)
{
	static const char *const offers[] = { "application/json", "text/plain" };
	bool plain = bpm_accept_best(header(request, "Accept"), offers, 2) == 1;
	struct bpm_text text = { 0 };
	enum MHD_Result result;

	if (page_asset(request, &result))
		return result;
	if (request->path[0] != '/' || !bpm_write_ekg_one(&text, request->watch,
	    request->path + 1, plain))
		return bpm_reply_line(request->connection, 404,
		    "There is nothing here.");
	return bpm_reply(request->connection, 200, plain ? PLAIN : JSON, "Accept",
	    &text);
}

/* ---- all ----------------------------------------------------------------- */

static const struct route {
	const char *path;
	enum MHD_Result (*answer)(struct request *request);
	/* what is wrong with it, or NULL; none: they are not looked at */
	const char *(*parameter)(struct request *request, const char *key,
	    const char *value);
} routes[] = {
	{ "/", root, NULL },
	{ "/api/v1/status", status, no_parameters },
	{ "/api/v1/history", history, history_parameter },
	{ "/api/v1/connections", connections, connections_parameter },
	{ "/metrics", metrics, NULL },
	{ "/healthz", healthy, NULL },
	{ "/readyz", ready, NULL },
	{ "/status.txt", status_line, NULL },
};

struct parsing {
	const struct route *route;
	struct request *request;
};

static enum MHD_Result parse_one(void *arg, enum MHD_ValueKind kind, const char *key,
    const char *value)
{
	struct parsing *parsing = arg;

	(void)kind;
	parsing->request->wrong = parsing->route->parameter(parsing->request, key,
	    value ? value : "");
	return parsing->request->wrong ? MHD_NO : MHD_YES;
}

static enum MHD_Result follow(const struct route *route, struct request *request)
{
	struct parsing parsing = { route, request };

	if (route->parameter)
		MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND,
		    parse_one, &parsing);
	if (request->wrong)
		return bpm_reply_line(request->connection, 400, request->wrong);
	return route->answer(request);
}

enum MHD_Result bpm_route(struct bpm_watch *watch, struct MHD_Connection *connection,
    const char *path)
{
	struct request request = {
		.watch = watch,
		.connection = connection,
		.path = path,
		.resolution = BP_EVERY_SECOND,
		.selection = {
			.sort = bpm_sort_column("held_bytes"), .limit = ROWS,
			.state = -1,
		},
	};

	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (strcmp(routes[i].path, path) == 0)
			return follow(&routes[i], &request);
	return other(&request);
}
