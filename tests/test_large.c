/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_large.c - frames so large that the socket tells of their bytes only when there
 * are many (large.c): that nobody waits for more than the peer sends, and that it is
 * seen to live meanwhile. On Unix sockets, too, where the kernel has no such mark.
 *
 * Reads go through the test: the program is linked with -Wl,--wrap=bp__sock_plain.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include "sock.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MIB = 1 << 20, LARGE = 4 * MIB };

static struct bp_endpoint *ep;
static int fd;

extern const struct bp__sock_ops __real_bp__sock_plain;
extern struct bp__sock_ops __wrap_bp__sock_plain;
struct bp__sock_ops __wrap_bp__sock_plain;

typedef ssize_t (*read_fn)(int fd, const struct iovec *iov, int n, bool wait);

static void begin_reading_by(read_fn read_some, const char *at,
    struct bp_conn_config config)
{
	char addr[ADDR_MAX];

	__wrap_bp__sock_plain = __real_bp__sock_plain;
	__wrap_bp__sock_plain.read_some = read_some;
	config.framer = &bp_framer_u32be;
	ep = new_endpoint(NULL);
	listen_on(ep, at, &config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
}

static void begin(const char *at, struct bp_conn_config config)
{
	begin_reading_by(__real_bp__sock_plain.read_some, at, config);
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

/* A read that finds FOUND of the last TAIL bytes; the rest of them comes while it waits. */
enum { TAIL = 300 << 10, FOUND = 64 << 10 };

static _Atomic int waits_on;		/* the descriptor of that read; or 0 */

static int at_hand(int server_fd)
{
	int n = 0;

	REQUIRE_EQ(ioctl(server_fd, FIONREAD, &n), 0);
	return n;
}

static ssize_t read_to_the_tail(int server_fd, const struct iovec *iov, int n, bool wait)
{
	struct iovec some = iov[0];

	if (some.iov_len > TAIL && n > 1) {
		some.iov_len -= TAIL;
		WAIT_UNTIL(at_hand(server_fd) > 0);
		return __real_bp__sock_plain.read_some(server_fd, &some, 1, false);
	}
	if (some.iov_len == TAIL && n > 1) {
		WAIT_UNTIL(at_hand(server_fd) == FOUND);
		atomic_store(&waits_on, server_fd);
	}
	return __real_bp__sock_plain.read_some(server_fd, iov, n, wait);
}

static void sleep_with_a_part(const char *at)
{
	atomic_store(&waits_on, 0);
	begin_reading_by(read_to_the_tail, at, (struct bp_conn_config){ 0 });
	send_head(LARGE);
	peer_send_pattern(fd, 0, LARGE - TAIL + FOUND);
	WAIT_UNTIL(atomic_load(&waits_on) > 0 && at_hand(atomic_load(&waits_on)) == 0);
	peer_send_pattern(fd, LARGE - TAIL + FOUND, TAIL - FOUND);
	skip_event(ep, BP_RECEIVED);
	peer_half_close(fd);
	skip_event(ep, BP_ENDED);
	end();
}

/* The kernel wakes it for what is at hand, and not for what it has taken besides. */
static void test_read_that_has_a_part_of_the_end_is_woken_for_the_rest(void)
{
	over_both(sleep_with_a_part);
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
		TEST(test_read_that_has_a_part_of_the_end_is_woken_for_the_rest),
		TEST(test_large_frame_that_breaks_off_ends_at_once),
	};

	return run_suite("large", tests, COUNT_OF(tests), argc, argv);
}
