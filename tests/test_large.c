/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_large.c - frames so large that the socket tells of their bytes only when there
 * are many (large.c): that nobody waits for more than the peer sends, and that it is
 * seen to live meanwhile. On Unix sockets, too, where the kernel has no such mark.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <stdio.h>
#include <unistd.h>

enum { MIB = 1 << 20, LARGE = 4 * MIB };

static struct bp_endpoint *ep;
static int fd;

static void begin(const char *at, struct bp_conn_config config)
{
	char addr[ADDR_MAX];

	config.framer = &bp_framer_u32be;
	ep = new_endpoint(NULL);
	listen_on(ep, at, &config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
}

static void end(void)
{
	peer_close(fd);
	skip_event(ep, BP_CLOSED);
	finish(ep);
}

static void send_head(size_t len)
{
	const unsigned char head[] = { (unsigned char)(len >> 24),
	    (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len };

	peer_send(fd, head, sizeof head);
}

static void over_both(void (*test)(const char *at))
{
	char at[ADDR_MAX];

	test("127.0.0.1:0");
	snprintf(at, sizeof at, "unix:/tmp/bp_large.%d", (int)getpid());
	test(at);
}

/* ---- idle ----------------------------------------------------------------- */

static void trickle(const char *at)
{
	begin(at, (struct bp_conn_config){ .idle_ms = 400 * slow_factor() });
	send_head(LARGE);
	for (int i = 0; i < 16; i++) {
		HOLDS_FOR_MS(stats_of(ep).closed == 0, SLOW(60));
		peer_send(fd, "slowly", 6);
	}
	CHECK_EQ(stats_of(ep).closed, 0);
	end();
}

static void test_slow_bytes_of_a_large_frame_put_idle_off(void)
{
	over_both(trickle);
}

/* ---- the end of one ------------------------------------------------------- */

/* Nothing comes after the last byte until the frame was received. */
static void stop_at_the_end(const char *at)
{
	static const size_t lens[] = { 2 * MIB - 1, 2 * MIB, LARGE, LARGE + 1 };

	begin(at, (struct bp_conn_config){ 0 });
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct bp_event *event;

		send_head(lens[i]);
		peer_send_pattern(fd, 0, lens[i]);
		event = next_event(ep, BP_RECEIVED);
		REQUIRE_EQ(event->buf->len, lens[i]);
		CHECK(pattern_matches(event->buf->data, 0, lens[i]));
		bp_event_free(event);
		/* and a small one alone is told of at once */
		peer_send_u32be(fd, "x", 1);
		skip_event(ep, BP_RECEIVED);
	}
	peer_half_close(fd);
	skip_event(ep, BP_ENDED);
	end();
}

static void test_large_frame_is_received_without_more(void)
{
	over_both(stop_at_the_end);
}

static void break_off(const char *at)
{
	struct bp_event *event;

	begin(at, (struct bp_conn_config){ 0 });
	send_head(LARGE);
	peer_send_pattern(fd, 0, MIB + 7);
	peer_half_close(fd);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_TRUNCATED);
	bp_event_free(event);
	peer_close(fd);
	finish(ep);
}

static void test_large_frame_that_breaks_off_ends_at_once(void)
{
	over_both(break_off);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_slow_bytes_of_a_large_frame_put_idle_off),
		TEST(test_large_frame_is_received_without_more),
		TEST(test_large_frame_that_breaks_off_ends_at_once),
	};

	return run_suite("large", tests, COUNT_OF(tests), argc, argv);
}
