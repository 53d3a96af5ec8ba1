/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpthread_monitor.h - watch an endpoint in a browser, with Prometheus, with curl.
 *
 *	bp_monitor_start(&monitor, ep, "127.0.0.1:8000", NULL);
 *	...
 *	bp_monitor_stop(monitor);
 *
 * Link with -lbpthread-monitor. It is read-only, and has a thread, sockets and limits
 * of its own: it answers while the endpoint is stalled or abused, and who abuses the
 * monitor disturbs nobody but other observers. There is no password and no encryption:
 * what listens on other addresses than the loopback wants a proxy before it that has.
 *
 *	/			the page; with Accept: application/json all metrics, nested,
 *				and /a/b/c one of them
 *	/metrics		for Prometheus: OpenMetrics, or its older text
 *	/api/v1/status		what bp_endpoint_detail() tells, as JSON
 *	/api/v1/history		likewise bp_history_read(): ?since=, ?step=
 *	/api/v1/connections	likewise bp_conn_detail(): ?sort=, ?limit=, ?state=
 *	/healthz /readyz	200 or 503
 *	/status.txt		one line
 */
#ifndef BPTHREAD_MONITOR_H
#define BPTHREAD_MONITOR_H

#include <bpthread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bp_monitor;

struct bp_monitor_config {
	const char *name;		/* of the program, on the page; that of the process */
	const char *const *hosts;	/* names it is asked by beside its address, localhost
					 * and the machine's name; NULL ends them; none */
};

/*
 * Serve on addr: one address, as for bp_listen(), but no Unix socket; NULL is
 * "127.0.0.1:8000", and ":8000" is for everybody who can reach the machine. config may
 * be NULL and is copied. The endpoint must outlive the monitor. Returns -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES, -ENOENT (no such name), -EINVAL, -EMFILE, -ENOMEM,
 * -EAGAIN.
 */
BP_API int bp_monitor_start(struct bp_monitor **ret_monitor, struct bp_endpoint *ep,
    const char *addr, const struct bp_monitor_config *config);

/* "http://127.0.0.1:8000/"; as long as the monitor. */
BP_API const char *bp_monitor_url(const struct bp_monitor *monitor);

/* Blocks for a moment, until its threads have gone. NULL is stopped. */
BP_API void bp_monitor_stop(struct bp_monitor *monitor);

#ifdef __cplusplus
}
#endif
#endif /* BPTHREAD_MONITOR_H */
