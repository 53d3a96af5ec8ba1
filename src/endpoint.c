/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.c - an endpoint's life: made, received from, closed, stopped, freed.
 *
 * Its memory outlasts bp_endpoint_free() as long as somebody refers to one of its
 * connections or payloads; its threads and descriptors do not.
 */
#include "config.h"

#include "endpoint.h"

#include "callback.h"
#include "drill.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#define STOP_SLACK_MS 200		/* of the 250 that P13 gives it beyond the grace */
#define STOP_SLACK_PER_CONN_NS (BP__MS / 10)
#define TRIAL_SEED 1u
#define TRIAL_ROUNDS 2000u

static struct bp_endpoint *endpoint_of(struct bp__qdisc *q)
{
	return bp__container_of(q, struct bp_endpoint, qdisc);
}

void bp__endpoint_log(struct bp_endpoint *ep, int level, const char *format, ...)
{
	struct bp__callback callback;
	char line[256];
	va_list args;

	if (!ep->config.log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	bp__callback_enter(&callback, ep, NULL, BP__IN_OTHER);
	ep->config.log(level, line, ep->config.log_arg);
	bp__callback_leave(&callback);
}

int bp__endpoint_setup(struct bp_endpoint *ep, int fd,
    const struct bp_conn_config *config)
{
	struct bp__callback callback;
	int rc;

	if (!config->setup)
		return 0;
	bp__callback_enter(&callback, ep, NULL, BP__IN_OTHER);
	atomic_fetch_add(&ep->in_setup, 1);
	rc = config->setup(fd, config->data);
	atomic_fetch_sub(&ep->in_setup, 1);
	bp__callback_leave(&callback);
	return rc != 0 ? -EPERM : 0;
}

/* ---- what the qdisc calls ----------------------------------------------- */

void bp__endpoint_room(struct bp_endpoint *ep)
{
	struct bp__list *link;

	bp__lock(&ep->lock);
	for (link = ep->listeners.next; link != &ep->listeners; link = link->next)
		bp__listener_room_locked(bp__container_of(link, struct bp_listener,
		    link));
	bp__unlock(&ep->lock);
}

static void room(struct bp__qdisc *q)
{
	bp__endpoint_room(endpoint_of(q));
}

static void flow_gone(struct bp__flow *flow)
{
	bp__conn_free(bp__conn_of_flow(flow));
}

static void qdisc_gone(struct bp__qdisc *q)
{
	struct bp_endpoint *ep = endpoint_of(q);

	bp__qdisc_fini(q);
	bp__cond_fini(&ep->reaper_cond);
	bp__mutex_fini(&ep->lock);
	free(ep);
}

static const struct bp__qdisc_hooks hooks = {
	.quiet = bp__conn_quiet, .purged = bp__event_purged, .room = room,
	.flow_gone = flow_gone, .qdisc_gone = qdisc_gone,
};

/* ---- its connections ---------------------------------------------------- */

int bp__endpoint_add(struct bp_endpoint *ep, struct bp_conn *c)
{
	uint64_t now = bp__now_ns();
	bool closing;

	c->tick_ns = bp__conn_tick_ns(&c->config);
	c->alive_ns = now;
	c->was_active = true;
	bp__lock(&ep->lock);
	closing = ep->closing;
	if (!closing) {
		c->seq = ++ep->last_seq;
		bp__list_append(&ep->conns, &c->link);
		ep->n_conns++;
		if (now + c->tick_ns < ep->look_ns)
			ep->look_ns = now + c->tick_ns;
		if (ep->look_ns < ep->reaper_wakes_ns)
			bp__reaper_ring_locked(ep);
	}
	bp__unlock(&ep->lock);
	return closing ? -EPIPE : 0;
}

void bp__endpoint_opened(struct bp_endpoint *ep, bool accepted)
{
	bp__lock(&ep->lock);
	if (accepted)
		ep->accepted++;
	else
		ep->connected++;
	bp__unlock(&ep->lock);
}

void bp__endpoint_refuse(struct bp_endpoint *ep, int err)
{
	enum bp_refusal why = err == -EUSERS ? BP_REFUSED_ADDRESS
	    : err == -EPERM ? BP_REFUSED_SETUP : BP_REFUSED_MEMORY;

	bp__lock(&ep->lock);
	ep->refusals[why]++;
	bp__unlock(&ep->lock);
}

struct bp_conn *bp__endpoint_next(struct bp_endpoint *ep, struct bp_conn *after)
{
	struct bp__list *link;
	struct bp_conn *c = NULL;

	bp__lock(&ep->lock);
	link = after && !bp__list_empty(&after->link) ? after->link.next
	    : ep->conns.next;
	for (; link != &ep->conns; link = link->next) {
		c = bp__container_of(link, struct bp_conn, link);
		if (!after || c->seq > after->seq)
			break;
	}
	c = link != &ep->conns ? bp_conn_ref(c) : NULL;
	bp__unlock(&ep->lock);
	bp_conn_unref(after);
	return c;
}

/* A discipline of the application's is tried out before a server depends on it. */
static int try_out(const struct bp_endpoint_config *config)
{
	char rule[160], line[256];

	if (bp__qdisc_is_ours(config->qdisc)
	    || bp__drill(config->qdisc, config, TRIAL_SEED, TRIAL_ROUNDS, rule,
	    sizeof rule) == 0)
		return 0;
	snprintf(line, sizeof line, "discipline %s: %s",
	    config->qdisc->name ? config->qdisc->name : "without a name", rule);
	if (config->log)
		config->log(LOG_ERR, line, config->log_arg);
	return -EINVAL;
}

int bp_qdisc_check(const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *given, unsigned seed, unsigned rounds)
{
	struct bp_endpoint_config config = { 0 };
	char rule[160] = "parameters that contradict each other";
	int rc;

	if (given)
		config = *given;
	config.qdisc = ops;
	/* with the usual number the budget of a test would be all guarantees */
	if (config.conns_max == 0)
		config.conns_max = 64;
	rc = bp__endpoint_defaults(&config, &config);
	if (rc == 0)
		rc = bp__drill(ops, &config, seed, rounds, rule, sizeof rule);
	if (rc == 0)
		return 0;
	fprintf(stderr, "bp_qdisc_check: %s: seed %u: %s\n",
	    ops->name ? ops->name : "(no name)", seed, rule);
	return -1;
}

/* ---- public ------------------------------------------------------------- */

int bp_endpoint_new(struct bp_endpoint **ret_ep, const struct bp_endpoint_config *given)
{
	struct bp_endpoint_config config;
	struct bp_endpoint *ep;
	int rc;

	rc = bp__endpoint_defaults(&config, given);
	if (rc == 0)
		rc = try_out(&config);
	if (rc < 0)
		return rc;
	ep = calloc(1, sizeof *ep);
	if (!ep)
		return -ENOMEM;
	rc = bp__qdisc_init(&ep->qdisc, &config, &hooks);
	if (rc < 0) {
		free(ep);
		return rc;
	}
	ep->config = config;
	ep->since_ns = bp__now_ns();
	bp__mutex_init(&ep->lock);
	bp__cond_init(&ep->reaper_cond);
	bp__list_init(&ep->conns);
	bp__list_init(&ep->withholding);
	bp__list_init(&ep->listeners);
	bp__list_init(&ep->idle);
	bp__list_init(&ep->leaving);
	bp__list_init(&ep->stop_waiters);
	ep->look_ns = ep->stop_deadline_ns = BP__NEVER;
	rc = bp__thread_start(&ep->reaper, config.stack_size, bp__reaper_main, ep);
	if (rc < 0) {
		bp__qdisc_unref(&ep->qdisc);
		return rc;
	}
	*ret_ep = ep;
	return 0;
}

int bp_receive(struct bp_endpoint *ep, struct bp_event **ret_event, int timeout_ms)
{
	int rc = bp_receive_many(ep, ret_event, 1, timeout_ms);

	return rc < 0 ? rc : 0;
}

int bp_receive_many(struct bp_endpoint *ep, struct bp_event **ret_events, int n,
    int timeout_ms)
{
	struct bp__entry *entry;
	int rc;

	if (n < 1)
		return -EINVAL;
	if (timeout_ms != 0)
		bp__push_own();
	rc = bp__qdisc_take(&ep->qdisc, &entry, n,
	    timeout_ms == 0 ? 0 : bp__deadline_ns(timeout_ms));
	if (rc < 0)
		return rc;
	for (; entry; entry = entry->next)
		*ret_events++ = &bp__container_of(entry, struct bp__event, entry)->pub;
	return rc;
}

void bp_endpoint_close(struct bp_endpoint *ep)
{
	struct bp_conn *c = NULL;
	struct bp__list *link;

	if (!ep)
		return;
	bp__lock(&ep->lock);
	ep->closing = true;
	for (link = ep->listeners.next; link != &ep->listeners; link = link->next)
		bp__listener_close_locked(bp__container_of(link, struct bp_listener,
		    link));
	bp__crew_dismiss_locked(ep);
	bp__reaper_ring_locked(ep);
	bp__unlock(&ep->lock);
	bp__qdisc_close(&ep->qdisc);
	while ((c = bp__endpoint_next(ep, c)) != NULL)
		bp__conn_stop(c);
}

static bool log_running(struct bp_endpoint *ep, const struct bp_conn *c,
    const char *name)
{
	if (name)
		bp__endpoint_log(ep, LOG_ERR, "stop: %s of connection %llu has not "
		    "returned", name, (unsigned long long)c->id);
	return name != NULL;
}

/* Name the application's callbacks that still run; are there any? */
static bool log_callbacks(struct bp_endpoint *ep)
{
	struct bp_conn *c = NULL;
	bool any = false;

	if (atomic_load(&ep->in_setup) > 0) {
		bp__endpoint_log(ep, LOG_ERR, "stop: a setup has not returned");
		any = true;
	}
	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		any |= log_running(ep, c, atomic_load(&c->handler));
		any |= log_running(ep, c, atomic_load(&c->notification));
	}
	return any;
}

static uint64_t begin_stop(struct bp_endpoint *ep, int grace_ms)
{
	uint64_t deadline_ns = bp__deadline_ns(grace_ms), limit_ns;

	bp__lock(&ep->lock);
	if (deadline_ns < ep->stop_deadline_ns) {
		ep->stop_deadline_ns = deadline_ns;
		bp__reaper_ring_locked(ep);
	}
	limit_ns = ep->stop_deadline_ns;
	if (limit_ns != BP__NEVER)
		limit_ns += STOP_SLACK_MS * BP__MS
		    + ep->n_conns * STOP_SLACK_PER_CONN_NS;
	bp__unlock(&ep->lock);
	return limit_ns;
}

static bool wait_stopped(struct bp_endpoint *ep, uint64_t limit_ns, bool *ret_join)
{
	struct bp__waiter waiter;
	bool stopped;

	bp__lock(&ep->lock);
	if (!ep->stopped)
		bp__waiter_wait(&waiter, &ep->stop_waiters, &ep->lock, limit_ns);
	stopped = ep->stopped;
	*ret_join = stopped && !ep->reaper_joined;
	if (*ret_join)
		ep->reaper_joined = true;
	bp__unlock(&ep->lock);
	return stopped;
}

int bp_endpoint_stop(struct bp_endpoint *ep, int grace_ms)
{
	uint64_t limit_ns;
	bool join;

	if (!ep)
		return 0;
	bp_endpoint_close(ep);
	if (bp__in_endpoint(ep))
		return -EDEADLK;
	bp__push_own();
	limit_ns = begin_stop(ep, grace_ms);
	while (!wait_stopped(ep, limit_ns, &join)) {
		if (log_callbacks(ep))
			return -ETIMEDOUT;
		/* it is our own threads that are slow, on a slow machine */
		limit_ns = bp__deadline_ns(STOP_SLACK_MS);
	}
	if (join)
		pthread_join(ep->reaper, NULL);
	bp__qdisc_stop(&ep->qdisc);
	return 0;
}

void bp_endpoint_free(struct bp_endpoint *ep)
{
	if (!ep)
		return;
	if (bp__in_endpoint(ep)) {
		bp_endpoint_close(ep);
		return;
	}
	while (bp_endpoint_stop(ep, 0) == -ETIMEDOUT)
		;
	bp__listeners_free(ep);
	bp__qdisc_drain(&ep->qdisc);
	bp__qdisc_unref(&ep->qdisc);
}
