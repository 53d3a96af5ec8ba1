/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_history_begin.c - what a history begins with: nothing of what was before it, and
 * a thread, whatever else the program has on each of its stacks.
 */
#include "config.h"

#include "detail.h"
#include "harness.h"
#include "peer.h"

/* The C library takes what is local to threads out of the stack of each. */
static _Thread_local volatile char thread_local[128 << 10];

static struct bp_endpoint *ep;
static struct bp_history *history;

static struct bp_sample first_sample(enum bp_resolution resolution)
{
	struct bp_sample sample;

	WAIT_UNTIL(bp_history_read(history, resolution, 0, &sample, 1) == 1);
	return sample;
}

static void test_history_begins_in_a_program_with_much_that_is_local_to_threads(void)
{
	thread_local[0] = 1;
	ep = new_endpoint(NULL);
	REQUIRE_EQ(bp_history_new(&history, ep), 0);
	CHECK(first_sample(BP_EVERY_SECOND).at_ns > 0);
	bp_history_free(history);
	finish(ep);
}

static void test_history_has_no_waits_of_before(void)
{
	struct bp_event *event;
	struct bp_conn *conn;
	char addr[ADDR_MAX];
	int fd;

	ep = serve(NULL, NULL, addr);
	fd = peer_connect(addr);
	event = next_event(ep, BP_OPENED);
	conn = bp_conn_ref(event->conn);
	bp_event_free(event);
	CHECK(detail_of(ep).wait.count > 0 && detail_of(ep).wait.max > 0);
	REQUIRE_EQ(bp_history_new(&history, ep), 0);
	CHECK_EQ(first_sample(BP_EVERY_SECOND).wait_max_ns, 0);
	CHECK_EQ(first_sample(BP_EVERY_10_SECONDS).wait_max_ns, 0);
	CHECK_EQ(bp_history_read(history, (enum bp_resolution)2, 0, NULL, 1), 0);
	bp_history_free(history);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_history_begins_in_a_program_with_much_that_is_local_to_threads),
		TEST(test_history_has_no_waits_of_before),
	};

	return run_suite("history_begin", tests, COUNT_OF(tests), argc, argv);
}
