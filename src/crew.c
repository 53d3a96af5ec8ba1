/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.c - the reader threads of an endpoint.
 *
 * A worker leads a listener until a connection came, appoints the next leader, and
 * serves what it got: no thread is switched between accept and the first read. A
 * worker whose connection ended takes the next task, and a few spare ones stay; a
 * thread made for each accept is how a naive server loses the connect-and-close
 * race. One that leaves is joined by the reaper (R3).
 */
#include "config.h"

#include "endpoint.h"

#include <stdlib.h>

#define SPARE 16

static void run_task(struct bp__worker *worker)
{
	struct bp_conn *c = worker->conn;

	if (worker->listener)
		c = bp__listener_lead(worker->listener);
	if (!c)
		return;		/* it is only to be ready */
	if (c->addrs)		/* to be connected by its own thread */
		bp__connect_try(c, BP__NEVER);
	bp__reader_serve(c);
}

/* The next task, or false: leave. */
static bool next_task(struct bp__worker *worker)
{
	struct bp_endpoint *ep = worker->ep;
	bool tasked;

	bp__lock(&ep->lock);
	worker->tasked = false;
	worker->conn = NULL;
	worker->listener = NULL;
	if (!ep->closing && ep->n_idle < SPARE) {
		bp__list_prepend(&ep->idle, &worker->link);
		ep->n_idle++;
		while (!worker->tasked)
			bp__wait(&worker->cond, &ep->lock);
	}
	tasked = worker->conn || worker->listener;
	if (!tasked) {
		bp__list_append(&ep->leaving, &worker->link);
		bp__reaper_ring_locked(ep);
	}
	bp__unlock(&ep->lock);
	return tasked;
}

static void *worker_main(void *arg)
{
	struct bp__worker *worker = arg;

	do
		run_task(worker);
	while (next_task(worker));
	return NULL;
}

static void task_locked(struct bp__worker *worker, struct bp_conn *conn,
    struct bp_listener *listener)
    BP__REQUIRES(worker->ep->lock)
{
	bp__list_remove(&worker->link);
	worker->ep->n_idle--;
	worker->conn = conn;
	worker->listener = listener;
	worker->tasked = true;
	bp__signal(&worker->cond);
}

static int new_worker(struct bp_endpoint *ep, struct bp_conn *conn,
    struct bp_listener *listener)
{
	struct bp__worker *worker = calloc(1, sizeof *worker);
	int rc;

	if (!worker)
		return -ENOMEM;
	worker->ep = ep;
	worker->conn = conn;
	worker->listener = listener;
	bp__list_init(&worker->link);
	bp__cond_init(&worker->cond);
	bp__lock(&ep->lock);
	ep->n_workers++;
	bp__unlock(&ep->lock);
	rc = bp__thread_start(&worker->thread, ep->config.stack_size, worker_main,
	    worker);
	if (rc < 0) {
		bp__lock(&ep->lock);
		ep->n_workers--;
		bp__unlock(&ep->lock);
		bp__cond_fini(&worker->cond);
		free(worker);
	}
	return rc;
}

static int give_task(struct bp_endpoint *ep, struct bp_conn *conn,
    struct bp_listener *listener)
{
	bool given = false;

	bp__lock(&ep->lock);
	if (!bp__list_empty(&ep->idle)) {
		task_locked(bp__container_of(ep->idle.next, struct bp__worker, link),
		    conn, listener);
		given = true;
	}
	bp__unlock(&ep->lock);
	return given ? 0 : new_worker(ep, conn, listener);
}

int bp__crew_ready(struct bp_endpoint *ep)
{
	bool idle;

	bp__lock(&ep->lock);
	idle = !bp__list_empty(&ep->idle);
	bp__unlock(&ep->lock);
	return idle ? 0 : new_worker(ep, NULL, NULL);
}

int bp__crew_serve(struct bp_endpoint *ep, struct bp_conn *conn)
{
	return give_task(ep, conn, NULL);
}

int bp__crew_lead(struct bp_endpoint *ep, struct bp_listener *listener)
{
	return give_task(ep, NULL, listener);
}

void bp__crew_dismiss_locked(struct bp_endpoint *ep)
{
	bp__assert_held(&ep->lock);
	while (!bp__list_empty(&ep->idle))
		task_locked(bp__container_of(ep->idle.next, struct bp__worker, link),
		    NULL, NULL);
}

void bp__crew_join(struct bp_endpoint *ep)
{
	struct bp__worker *worker;
	struct bp__list *link;

	for (;;) {
		bp__lock(&ep->lock);
		link = bp__list_shift(&ep->leaving);
		bp__unlock(&ep->lock);
		if (!link)
			return;
		worker = bp__container_of(link, struct bp__worker, link);
		pthread_join(worker->thread, NULL);
		bp__cond_fini(&worker->cond);
		free(worker);
		bp__lock(&ep->lock);
		ep->n_workers--;
		bp__unlock(&ep->lock);
	}
}
