/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answers.h - a server that answers, whose clock, socket and reaper's net are the
 * test's own: it counts writes, says how long an answer took, takes the net away.
 *
 * The program is linked with -Wl,--wrap= each of bp__now_ns, bp__sock_plain and
 * bp__endpoint_owner.
 */
#ifndef TEST_ANSWERS_H
#define TEST_ANSWERS_H

#include "corners.h"
#include "endpoint.h"
#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>

/* ---- a clock for each thread ---------------------------------------------- */

uint64_t __real_bp__now_ns(void);
uint64_t __wrap_bp__now_ns(void);

static _Thread_local uint64_t stopped_ns;	/* 0: it goes */
static _Thread_local void (*asked_time)(void);
static _Atomic uint64_t common_ns;		/* that of all others; 0: it goes */
static atomic_uint common_asked;

uint64_t __wrap_bp__now_ns(void)
{
	if (asked_time)
		asked_time();
	if (stopped_ns > 0)
		return stopped_ns;
	atomic_fetch_add(&common_asked, 1);
	return atomic_load(&common_ns) > 0 ? atomic_load(&common_ns)
	    : __real_bp__now_ns();
}

/* From now on this thread's stands, but for pass_us(). */
static inline void stop_clock(void)
{
	stopped_ns = __real_bp__now_ns();
}

static inline void pass_us(unsigned us)
{
	stopped_ns += us * UINT64_C(1000);
}

/* ---- writes --------------------------------------------------------------- */

extern const struct bp__sock_ops __real_bp__sock_plain;
extern struct bp__sock_ops __wrap_bp__sock_plain;
struct bp__sock_ops __wrap_bp__sock_plain;

static atomic_int writes, writer_writes;	/* of any thread but writers; of those */
static atomic_size_t write_max;			/* bytes in one; 0: as many as it gets */

static inline ssize_t write_counted(int fd, const struct iovec *iov, int n, bool wait)
{
	size_t max = atomic_load(&write_max);
	struct iovec some = iov[0];

	atomic_fetch_add(wait ? &writer_writes : &writes, 1);
	if (max == 0)
		return __real_bp__sock_plain.write_some(fd, iov, n, wait);
	if (some.iov_len > max)
		some.iov_len = max;
	return __real_bp__sock_plain.write_some(fd, &some, 1, wait);
}

/* ---- the net -------------------------------------------------------------- */

extern const struct bp__conn_owner __real_bp__endpoint_owner;
extern struct bp__conn_owner __wrap_bp__endpoint_owner;
struct bp__conn_owner __wrap_bp__endpoint_owner;

enum net { NET, NO_NET, LATE_NET };

static atomic_int net;			/* LATE_NET: told once it is NET again */
static atomic_int withholdings;

static inline void withholds(struct bp_conn *conn)
{
	atomic_fetch_add(&withholdings, 1);
	WAIT_UNTIL(atomic_load(&net) != LATE_NET);
	if (atomic_load(&net) == NET)
		__real_bp__endpoint_owner.withholds(conn);
}

static inline void wrap(enum net with)
{
	__wrap_bp__sock_plain = __real_bp__sock_plain;
	__wrap_bp__sock_plain.write_some = write_counted;
	__wrap_bp__endpoint_owner = __real_bp__endpoint_owner;
	__wrap_bp__endpoint_owner.withholds = withholds;
	atomic_store(&net, with);
}

/* ---- requests and answers ------------------------------------------------- */

enum { LEN = 8, WIRE = 4 + LEN, MANY = 64 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;
static struct bp_conn *conn;
static int fd;

static inline void fill(char *wire, uint64_t first, uint64_t n)
{
	const uint32_t len = htonl(LEN);

	for (uint64_t seq = first; seq < first + n; seq++, wire += WIRE) {
		memcpy(wire, &len, 4);
		memcpy(wire + 4, &seq, LEN);
	}
}

/* In one segment. */
static inline void request(uint64_t first, uint64_t n)
{
	char wire[MANY * WIRE];

	fill(wire, first, n);
	peer_send(fd, wire, n * WIRE);
}

static inline void expect_answers(uint64_t first, uint64_t n)
{
	char wire[MANY * WIRE];

	fill(wire, first, n);
	peer_expect(fd, wire, n * WIRE);
}

static inline void begin(enum net with, struct bp_conn_config config)
{
	wrap(with);
	config.framer = &bp_framer_u32be;
	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = config.ops ? only_conn(ep) : take_opened(ep);
}

/* With requests 0 to n that consumers can take, and a clock that stands. */
static inline void begin_queued(enum net with, struct bp_conn_config config, size_t n)
{
	begin(with, config);
	request(0, n);
	WAIT_UNTIL(stats_of(ep).queued_events == n);
	stop_clock();
}

static inline void end(void)
{
	peer_close(fd);
	bp_conn_unref(conn);
	finish(ep);
}

static inline void answer(struct bp_event *event)
{
	REQUIRE_EQ(event->kind, BP_RECEIVED);
	CHECK_EQ(bp_send_buf(event->conn, event->buf, SLOW(8000)), 0);
}

static inline struct bp_event *take(void)
{
	return next_event(ep, BP_RECEIVED);
}

static inline void take_and_answer(void)
{
	struct bp_event *event = take();

	answer(event);
	bp_event_free(event);
}

static inline void free_all(struct bp_event **events, int n)
{
	while (n > 0)
		bp_event_free(events[--n]);
}

/* Take up to n at a time, answer them, free them, until there are none. */
static inline void consume_by(int n)
{
	struct bp_event *events[MANY];
	int rc;

	while ((rc = bp_receive_many(ep, events, n, 0)) > 0) {
		for (int i = 0; i < rc; i++)
			answer(events[i]);
		free_all(events, rc);
	}
	CHECK_EQ(rc, -EAGAIN);
}

/* ---- handlers ------------------------------------------------------------- */

static int handled;
/* What the test wants of the nth, before it has answered and afterwards. */
static void (*in_handler)(struct bp_conn *c, int n, bool answered);

static inline void opened(struct bp_conn *c, void *data)
{
	(void)c, (void)data;
	stop_clock();
}

static inline void received(struct bp_conn *c, struct bp_buf *buf, void *data)
{
	(void)data;
	if (in_handler)
		in_handler(c, handled, false);
	CHECK_EQ(bp_send_buf(c, buf, SLOW(8000)), 0);
	if (in_handler)
		in_handler(c, handled, true);
	handled++;
}

static const struct bp_conn_ops handlers = { .opened = opened, .received = received };

static inline void begin_handled(enum net with, struct bp_conn_config config,
    void (*hook)(struct bp_conn *c, int n, bool answered))
{
	config.ops = &handlers;
	in_handler = hook;
	handled = 0;
	begin(with, config);
}

#endif /* TEST_ANSWERS_H */
