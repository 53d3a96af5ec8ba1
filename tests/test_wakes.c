/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_wakes.c - who is woken by what (ARCHITECTURE.md has the table): every thread
 * that can sleep, each way to end that sleep, from another thread, from a callback,
 * and from two threads at once; at last raced by an abort.
 *
 * A case is one endpoint with one connection in a corner where somebody sleeps. The
 * peer is silent, so that nothing but the ender can end it; only what must drain is
 * read at last. The cases of a sleeper run at the same time, a task each.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "sleepers.h"

#include <stdio.h>

struct ender {
	const char *name;
	void (*end)(struct corner *c);
	enum bp_reason reason;
	bool of_endpoint;
	bool in_good_order;
	bool once;			/* cannot be done by two, or by a callback */
};

static const char *const way_names[WAYS] = {
	"from another thread", "from a callback", "from two threads",
	"raced by an abort",
};

enum { LINGER_MS = 250, DEADLINE_MS = 300, GRACE_MS = 100, PROMPT_MS = 1500 };

/* Like CHECK, and says which case it was. */
static bool expect(struct corner *c, bool ok, const char *what)
{
	char text[300];

	snprintf(text, sizeof text, "%s: %s", c->name, what);
	return check_true(ok, __FILE__, __LINE__, text);
}

/* ---- enders ------------------------------------------------------------------------ */

static void by_close(struct corner *c)
{
	bp_conn_close(c->conn);
}

static void by_abort(struct corner *c)
{
	bp_conn_abort(c->conn, BP_REASON_ABORT);
}

static void by_deadline(struct corner *c)
{
	expect(c, !bp_conn_wait_closed(c->conn, SLOW(8000)), "the deadline comes");
}

static void by_reset(struct corner *c)
{
	peer_reset(c->fd);
	c->fd = -1;
}

static void by_endpoint_close(struct corner *c)
{
	bp_endpoint_close(c->ep);
}

static void by_stop(struct corner *c)
{
	int rc = bp_endpoint_stop(c->ep, GRACE_MS);

	expect(c, rc == (c->way == CALLBACK ? -EDEADLK : 0), "stop returns");
}

static const struct ender enders[] = {
	{ .name = "close", .end = by_close, .reason = BP_REASON_LOCAL,
	    .in_good_order = true },
	{ .name = "abort", .end = by_abort, .reason = BP_REASON_ABORT },
	{ .name = "deadline", .end = by_deadline, .once = true },
	{ .name = "reset", .end = by_reset, .reason = BP_REASON_RESET,
	    .once = true },
	{ .name = "endpoint close", .end = by_endpoint_close,
	    .reason = BP_REASON_SHUTDOWN, .of_endpoint = true,
	    .in_good_order = true },
	{ .name = "stop", .end = by_stop, .reason = BP_REASON_SHUTDOWN,
	    .of_endpoint = true },
};

static void control_received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct corner *c = data;

	(void)conn, (void)buf;
	c->ender->end(c);
	c->called = true;
}

static void end_task(void *arg)
{
	struct corner *c = arg;

	c->ender->end(c);
}

static void abort_task(void *arg)
{
	by_abort(arg);
}

static void end_it(struct corner *c)
{
	struct task *first, *second;

	if (c->way == CALLBACK) {
		peer_send(c->control, "!", 1);
		return;
	}
	first = task_start(end_task, c);
	if (c->way != OTHER_THREAD) {
		second = task_start(c->way == TWO_THREADS ? end_task : abort_task, c);
		task_join(second);
	}
	task_join(first);
}

/* ---- a case ------------------------------------------------------------------------- */

static void set_up(struct corner *c)
{
	static const struct bp_conn_ops control_ops = { .received = control_received };
	struct bp_endpoint_config limits = { .budget = 1 << 20, .guarantee = 4096,
	    .conns_max = 16 };
	struct bp_conn_config config = narrow_config(), control = {
		.ops = &control_ops, .data = c,
	};

	config.linger_ms = LINGER_MS;
	control.linger_ms = LINGER_MS;
	if (c->ender->end == by_deadline) {
		config.idle_ms = BP_FOREVER;
		if (c->sleeper->deadline == BP_REASON_IDLE)
			config.idle_ms = SLOW(DEADLINE_MS);
		config.frame_ms = SLOW(DEADLINE_MS);
		config.write_ms = SLOW(DEADLINE_MS);
	}
	c->fd = c->control = -1;
	c->ep = serve(&limits, &config, c->addr);
	if (!c->sleeper->without_conn) {
		c->fd = narrow_connect(c->addr);
		c->conn = take_opened(c->ep);
	}
	if (c->way == CALLBACK) {
		listen_on(c->ep, "127.0.0.1:0", &control, c->control_addr);
		c->control = peer_connect(c->control_addr);
		WAIT_UNTIL(stats_of(c->ep).conns == (c->conn ? 2 : 1));
	}
}

/* Take events until the connection's CLOSED; its reason, or NONE if it does not come. */
static enum bp_reason await_closed(struct corner *c, int timeout_ms)
{
	enum bp_reason reason = BP_REASON_NONE;
	struct bp_event *event;

	while (reason == BP_REASON_NONE
	    && bp_receive(c->ep, &event, timeout_ms) == 0) {
		if (event->kind == BP_CLOSED && event->conn == c->conn)
			reason = event->reason;
		bp_event_free(event);
	}
	return reason;
}

static void read_to_end(void *arg)
{
	struct corner *c = arg;
	int end;

	peer_read_to_end(c->fd, &end);
	expect(c, end == 0, "the peer sees the end in good order");
}

static bool is_refused(const char *addr)
{
	int fd = peer_try_connect(addr);

	if (fd >= 0)
		peer_close(fd);
	return fd == -ECONNREFUSED;
}

static void check_conn(struct corner *c)
{
	enum bp_reason want = c->ender->end == by_deadline ? c->sleeper->deadline
	    : c->ender->reason, reason;
	bool gentle = c->way != WITH_ABORT && (c->ender->in_good_order
	    || (c->ender->end == by_stop && c->way == CALLBACK));
	struct task *reading = NULL;
	char text[60];

	if (c->sleeper->to_drain && gentle) {
		expect(c, await_closed(c, 30) == BP_REASON_NONE, "it drains first");
		reading = task_start(read_to_end, c);
	}
	if (c->sleeper->to_unmute && gentle && c->ender->of_endpoint)
		bp_conn_unmute(c->conn);	/* what was read is still given */
	if (!c->ender->in_good_order && !gentle)
		expect(c, bp_conn_wait_closed(c->conn, SLOW(PROMPT_MS)) == 0,
		    "it ends without a consumer");	/* R4 */
	reason = await_closed(c, SLOW(PROMPT_MS));
	snprintf(text, sizeof text, "CLOSED in time, reason %d is right", reason);
	expect(c, reason == want || (reason == BP_REASON_ABORT
	    && c->way == WITH_ABORT), text);
	expect(c, await_closed(c, 0) == BP_REASON_NONE, "one CLOSED only");
	expect(c, bp_conn_wait_closed(c->conn, SLOW(PROMPT_MS)) == 0, "it is gone");
	if (reading)
		task_join(reading);
}

static void run_case(void *arg)
{
	struct corner *c = arg;
	char text[60];

	set_up(c);
	c->sleeper->lie_down(c);
	if (c->asleep)
		HOLDS_FOR_MS(!task_done(c->asleep), 10);
	end_it(c);
	if (c->conn)
		check_conn(c);
	if (c->asleep) {
		task_join(c->asleep);
		snprintf(text, sizeof text, "the call returns, %d is right", c->rc);
		expect(c, c->rc == c->sleeper->rc, text);
	}
	if (c->sleeper == &sleeper_accepting)
		WAIT_UNTIL(is_refused(c->addr));
	if (c->sleeper == &sleeper_connecting)
		black_hole_close(&c->hole);
	if (c->fd >= 0)
		peer_close(c->fd);
	if (c->control >= 0)
		peer_close(c->control);
	WAIT_UNTIL(c->called || c->way != CALLBACK);
	bp_conn_unref(c->conn);
	finish(c->ep);
}

static bool makes_sense(const struct sleeper *s, const struct ender *e, enum way way)
{
	if (s->without_conn && (!e->of_endpoint || way == WITH_ABORT))
		return false;
	if (e->end == by_deadline && s->deadline == BP_REASON_NONE)
		return false;
	if (way == WITH_ABORT && e->end == by_abort)
		return false;
	return !e->once || way == OTHER_THREAD;
}

static void wake(const struct sleeper *sleeper)
{
	static struct corner cases[COUNT_OF(enders) * WAYS];
	struct task *tasks[COUNT_OF(cases)];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(enders); i++) {
		for (enum way way = 0; way < WAYS; way++) {
			struct corner *c = &cases[n];

			if (!makes_sense(sleeper, &enders[i], way))
				continue;
			c->sleeper = sleeper;
			c->ender = &enders[i];
			c->way = way;
			snprintf(c->name, sizeof c->name, "%s, ended by %s %s",
			    sleeper->name, enders[i].name, way_names[way]);
			tasks[n++] = task_start(run_case, c);
		}
	}
	CHECK_GE(n, sleeper->without_conn ? 6 : 16);
	for (size_t i = 0; i < n; i++)
		task_join(tasks[i]);
}

static void test_wakes_a_reader_in_recv(void)
{
	wake(&sleeper_in_recv);
}

static void test_wakes_a_reader_within_a_frame(void)
{
	wake(&sleeper_in_frame);
}

static void test_wakes_a_muted_reader(void)
{
	wake(&sleeper_muted);
}

static void test_wakes_a_reader_at_the_gate(void)
{
	wake(&sleeper_at_gate);
}

static void test_wakes_a_coupled_reader(void)
{
	wake(&sleeper_coupled);
}

static void test_wakes_an_idle_writer(void)
{
	wake(&sleeper_writer_idle);
}

static void test_wakes_a_writer_in_send(void)
{
	wake(&sleeper_writer_in_send);
}

static void test_wakes_a_waiting_send(void)
{
	wake(&sleeper_sending);
}

static void test_wakes_a_wait_for_unthrottled(void)
{
	wake(&sleeper_unthrottled);
}

static void test_wakes_a_wait_for_closed(void)
{
	wake(&sleeper_wait_closed);
}

static void test_wakes_a_waiting_receive(void)
{
	wake(&sleeper_receiving);
}

static void test_wakes_the_accepting_thread(void)
{
	wake(&sleeper_accepting);
}

static void test_wakes_a_waiting_connect(void)
{
	wake(&sleeper_connecting);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_wakes_a_reader_in_recv),
		TEST(test_wakes_a_reader_within_a_frame),
		TEST(test_wakes_a_muted_reader),
		TEST(test_wakes_a_reader_at_the_gate),
		TEST(test_wakes_a_coupled_reader),
		TEST(test_wakes_an_idle_writer),
		TEST(test_wakes_a_writer_in_send),
		TEST(test_wakes_a_waiting_send),
		TEST(test_wakes_a_wait_for_unthrottled),
		TEST(test_wakes_a_wait_for_closed),
		TEST(test_wakes_a_waiting_receive),
		TEST(test_wakes_the_accepting_thread),
		TEST(test_wakes_a_waiting_connect),
	};

	return run_suite("wakes", tests, COUNT_OF(tests), argc, argv);
}
