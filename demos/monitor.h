/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.h - what --monitor does in every demo: where the live monitor is served,
 * and what is said about it. A build without libbpthread-monitor only says so.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stddef.h>

#define MONITOR_USUAL "127.0.0.1:8000+"	/* "+": or at the next port that is free */

struct args_program;
struct bp_endpoint;
struct bp_monitor;

/*
 * Serve it where --monitor says: "off" (or NULL), "PORT" of the loopback, "HOST:PORT",
 * or ":PORT", which is any address; "PORT+" takes one of the next 20 ports if PORT is
 * taken. The page is headed by the program's name and what (or NULL). Says where on
 * stdout. Exits when it cannot be as asked; who asked with a "+" goes on without when
 * all of the ports are taken. Returns NULL where there is none.
 */
struct bp_monitor *monitor_start(const struct args_program *program,
    struct bp_endpoint *ep, const char *where, const char *what);

/* The same in silence; returns 0, or the exit status for what it said on stderr. */
int monitor_serve(struct bp_monitor **ret_monitor, const struct args_program *program,
    struct bp_endpoint *ep, const char *where, const char *what);

/*
 * "watch it live: http://127.0.0.1:8000/", or that in JSON; nothing for NULL. And that
 * others can, too, where --monitor names any address.
 */
void monitor_tell(const struct bp_monitor *monitor, const char *where, bool json);

/* Before the endpoint is freed. */
void monitor_stop(struct bp_monitor *monitor);

/*
 * For several servers that follow one another: fill in where each of them is to serve
 * it, at a port that is free now; or "off". Tells it likewise.
 */
int monitor_choose(const struct args_program *program, const char *where, bool json,
    char *ret_where, size_t size);

/* Refuse what is no address, before anything is begun. */
void monitor_check(const struct args_program *program, const char *where);

#endif /* MONITOR_H */
