/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * defaults.c - what 0 means in a config struct, and what contradicts what.
 */
#include "config.h"

#include "endpoint.h"
#include "lines.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <syslog.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define STACK_MIN (64 * KIB)
#define BUDGET_MIN (4 * KIB)	/* half of it is a small frame or two */
#define FDS_KEPT 64		/* descriptors left to the rest of the process */
#define TICK_MS 500		/* a reset is noticed within a second */
#define FRAME_MAX (16 * MIB)
#define FRAME_LIMIT (SIZE_MAX >> (sizeof(size_t) > 4 ? 16 : 3))	/* so sums fit */

static void or_size(size_t *field, size_t value)
{
	if (*field == 0)
		*field = value;
}

/* How many connections the process has descriptors for. */
static size_t fds_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return 1 << 20;
	return limit.rlim_cur > 2 * FDS_KEPT ? (size_t)limit.rlim_cur - FDS_KEPT
	    : (size_t)limit.rlim_cur / 2 + 1;
}

static int or_ms(int *field, int value)
{
	if (*field < BP_FOREVER)
		return -EINVAL;
	if (*field == 0)
		*field = value;
	return 0;
}

/* Whom a discipline serves, in what order, and how many at once. */
static int sharing_defaults(struct bp_endpoint_config *config)
{
	if (config->bands == 0)
		config->bands = 8;
	if (config->bands > BP__BANDS_MAX || config->min_share > 100 / config->bands)
		return -EINVAL;
	if ((unsigned)config->peer_by > BP_PEER_KEY)
		return -EINVAL;
	if (config->handlers_max == BP_UNLIMITED)
		config->handlers_max = 0;
	if (config->conns_per_addr == BP_UNLIMITED)
		config->conns_per_addr = 0;
	return or_ms(&config->target_ms, BP_FOREVER);
}

/* What a frame of len bytes costs, in a buffer of its own, and its event. */
static size_t frame_cost(size_t len)
{
	return bp__buf_cost(len) + BP__EVENT_COST;
}

/* Fair: what one peer may hold. By default one frame handled and one being read. */
static int peer_max_default(struct bp_endpoint_config *config)
{
	size_t pool = config->budget - config->conns_max * config->guarantee;
	size_t frame = frame_cost(FRAME_MAX + BP__HEAD_MAX + BP__TAIL_MAX), two;

	if (frame > pool)
		frame = pool;
	two = 2 * frame + config->guarantee;
	or_size(&config->peer_max, config->budget / 8 > two ? config->budget / 8 : two);
	return config->qdisc != &bp_qdisc_fair || config->peer_max > config->guarantee
	    ? 0 : -EINVAL;
}

int bp__endpoint_defaults(struct bp_endpoint_config *config,
    const struct bp_endpoint_config *given)
{
	size_t half, fds = fds_max();

	*config = given ? *given : (struct bp_endpoint_config){ 0 };
	if (!config->qdisc)
		config->qdisc = &bp_qdisc_fair;
	or_size(&config->budget, 128 * MIB);
	or_size(&config->places, 1024);
	or_size(&config->conns_max, 1024);
	if (config->conns_max > fds) {
		config->conns_max = fds;
		if (given && given->conns_max && given->log)
			given->log(LOG_WARNING, "conns_max is more than the limit of "
			    "open files admits, and was lowered to that",
			    given->log_arg);
	}
	half = bp__qdisc_budgeted(config->qdisc) ? config->budget / 2 / config->conns_max
	    : SIZE_MAX;
	or_size(&config->guarantee, half < 64 * KIB ? half : 64 * KIB);
	or_size(&config->stack_size, 256 * KIB);
	if (config->guarantee > half || config->stack_size < STACK_MIN)
		return -EINVAL;
	if (bp__qdisc_budgeted(config->qdisc)) {
		if (config->budget < BUDGET_MIN || peer_max_default(config) < 0)
			return -EINVAL;
	}
	return sharing_defaults(config);
}

static int or_switch(enum bp_switch *field, enum bp_switch value)
{
	if ((unsigned)*field > BP_OFF)
		return -EINVAL;
	if (*field == BP_DEFAULT)
		*field = value;
	return 0;
}

/* A frame in a buffer of its own, of the largest size. */
static bool admits(const struct bp_endpoint *ep, const struct bp_conn_config *config,
    size_t frame_max)
{
	size_t len = frame_max + config->framer->head_max + config->framer->tail_max;

	return frame_max <= FRAME_LIMIT && frame_cost(len) <= ep->qdisc.cost_max;
}

/* The largest that can ever be granted, up to most; or 0. */
static size_t largest_frame(const struct bp_endpoint *ep,
    const struct bp_conn_config *config, size_t most)
{
	size_t admitted = 0, refused = most + 1, middle;

	while (refused - admitted > 1) {
		middle = admitted + (refused - admitted) / 2;
		if (admits(ep, config, middle))
			admitted = middle;
		else
			refused = middle;
	}
	return admitted;
}

static int frame_defaults(struct bp_conn_config *config, const struct bp_endpoint *ep)
{
	const struct bp_framer_ops *framer;

	if (!config->framer)
		config->framer = &bp_framer_raw;
	framer = config->framer;
	if (!framer->cut || framer->head_max > BP__HEAD_MAX
	    || framer->tail_max > BP__TAIL_MAX)
		return -EINVAL;
	if (config->frame_max == BP_UNLIMITED && ep->qdisc.cost_max == BP_UNLIMITED)
		config->frame_max = FRAME_LIMIT;
	if (config->frame_max == 0)
		config->frame_max = largest_frame(ep, config,
		    framer == &bp_framer_line ? 16 * KIB : FRAME_MAX);
	if (config->frame_max == 0 || !admits(ep, config, config->frame_max))
		return -EINVAL;
	if (config->expect != 0 && framer != &bp_framer_raw)
		return -EINVAL;
	or_size(&config->expect, BP_ANY);
	if (config->expect != BP_ANY && config->expect > config->frame_max)
		return -EINVAL;
	return 0;
}

int bp__conn_defaults(struct bp_conn_config *config,
    const struct bp_conn_config *given, const struct bp_endpoint *ep, bool accepted)
{
	const struct bp_conn_ops *ops;
	int rc;

	*config = given ? *given : (struct bp_conn_config){ 0 };
	rc = frame_defaults(config, ep);
	if (rc < 0)
		return rc;
	ops = config->ops;
	if (ops && !ops->received && (ops->opened || ops->ended || ops->closed))
		return -EINVAL;
	/* the discipline's order is then that of handlers */
	if (ep->config.handlers_max > 0 && !(ops && ops->received))
		return -EINVAL;
	if (config->weight == 0)
		config->weight = BP__WEIGHT_DEFAULT;
	if (config->weight > BP__WEIGHT_MAX || config->band >= ep->config.bands)
		return -EINVAL;
	or_size(&config->rate_min, 64 * KIB);
	if (config->rate_min == BP_UNLIMITED)
		config->rate_ms = BP_FOREVER;
	or_size(&config->out_high, 256 * KIB);
	or_size(&config->out_low, config->out_high / 2);
	if (config->out_low >= config->out_high)
		return -EINVAL;
	if (or_switch(&config->couple, accepted ? BP_ON : BP_OFF) < 0
	    || or_switch(&config->nodelay, BP_ON) < 0
	    || or_switch(&config->keepalive, BP_ON) < 0
	    || or_switch(&config->gather, BP_ON) < 0
	    || or_switch(&config->spin, BP_OFF) < 0)
		return -EINVAL;
	if (or_ms(&config->header_ms, 10 * 1000) < 0
	    || or_ms(&config->frame_ms, 120 * 1000) < 0
	    || or_ms(&config->idle_ms, accepted ? 600 * 1000 : BP_FOREVER) < 0
	    || or_ms(&config->rate_ms, 5 * 1000) < 0
	    || or_ms(&config->write_ms, 60 * 1000) < 0
	    || or_ms(&config->linger_ms, 5 * 1000) < 0)
		return -EINVAL;
	if (config->user_timeout_ms < BP_FOREVER || config->backlog < 0)
		return -EINVAL;
	if (config->backlog == 0)
		config->backlog = SOMAXCONN;
	return 0;
}

uint64_t bp__conn_tick_ns(const struct bp_conn_config *config)
{
	const int deadlines[] = {
		config->header_ms, config->frame_ms, config->idle_ms / 2,
		config->write_ms, config->linger_ms, config->rate_ms,
	};
	int ms = TICK_MS;

	for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
		if (deadlines[i] > 0 && deadlines[i] < ms)
			ms = deadlines[i];
	return (uint64_t)ms * BP__MS;
}
