/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.c - the library's three functions. Of the endpoint a monitor needs no
 * more than the public headers give to anyone.
 */
#include "config.h"

#include <bpthread_monitor.h>
#include <stdlib.h>
#include <unistd.h>

#include "listen.h"
#include "loop.h"

#define ADDR "127.0.0.1:8000"

struct bp_monitor {
	/* set by bp_monitor_start(), then constant */
	char *url;

	/* its thread's */
	struct bpm_http http;
	struct bpm_loop loop;
};

static int start(struct bp_monitor *monitor, struct bp_endpoint *ep, const char *addr,
    const struct bp_monitor_config *config)
{
	char host[BPM_HOST_MAX];
	int listener, rc;

	rc = bpm_listen(&listener, &monitor->url, host, addr);
	if (rc < 0)
		return rc;
	rc = bpm_hosts_init(&monitor->http.hosts, host, config->hosts);
	if (rc < 0)
		goto close_listener;
	rc = bpm_watch_init(&monitor->http.watch, ep, config->name);
	if (rc < 0)
		goto drop_hosts;
	rc = bpm_loop_start(&monitor->loop, &monitor->http, listener);
	if (rc == 0)
		return 0;
	bpm_watch_fini(&monitor->http.watch);
drop_hosts:
	bpm_hosts_fini(&monitor->http.hosts);
close_listener:
	close(listener);
	free(monitor->url);
	return rc;
}

int bp_monitor_start(struct bp_monitor **ret_monitor, struct bp_endpoint *ep,
    const char *addr, const struct bp_monitor_config *config)
{
	static const struct bp_monitor_config defaults = { 0 };
	struct bp_monitor *monitor;
	int rc;

	if (!ret_monitor || !ep)
		return -EINVAL;
	monitor = calloc(1, sizeof *monitor);
	if (!monitor)
		return -ENOMEM;
	rc = start(monitor, ep, addr ? addr : ADDR, config ? config : &defaults);
	if (rc < 0) {
		free(monitor);
		return rc;
	}
	*ret_monitor = monitor;
	return 0;
}

const char *bp_monitor_url(const struct bp_monitor *monitor)
{
	return monitor->url;
}

void bp_monitor_stop(struct bp_monitor *monitor)
{
	if (!monitor)
		return;
	bpm_loop_stop(&monitor->loop);
	bpm_watch_fini(&monitor->http.watch);
	bpm_hosts_fini(&monitor->http.hosts);
	free(monitor->url);
	free(monitor);
}
