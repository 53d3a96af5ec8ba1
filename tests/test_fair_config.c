/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fair_config.c - what contradicts itself where memory is shared is refused when
 * it is said, and what is admitted can come: never a frame that waits for ever.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { KIB = 1 << 10, MIB = 1 << 20, GUARANTEE = 8 * KIB, PEER_MAX = 300 * KIB };

static char addr[ADDR_MAX];

/* ---- endpoints ----------------------------------------------------------- */

static const struct bp_qdisc_ops *const disciplines[] = {
	&bp_qdisc_fair, &bp_qdisc_prio, &bp_qdisc_bytes, &bp_qdisc_bounded,
};

static void check_endpoints(struct bp_endpoint_config *configs, size_t n, int rc)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < COUNT_OF(disciplines); k++) {
			struct bp_endpoint *ep = NULL;

			configs[i].qdisc = disciplines[k];
			if (!CHECK_EQ(bp_endpoint_new(&ep, &configs[i]), rc))
				printf("#   config %zu, discipline %zu\n", i, k);
			CHECK_EQ(ep != NULL, rc == 0);
			bp_endpoint_free(ep);
		}
}

static void test_sharing_that_makes_no_sense_is_refused(void)
{
	struct bp_endpoint_config wrong[] = {
		{ .bands = 65 },
		{ .min_share = 13 },			/* of eight bands: 104 % */
		{ .bands = 1, .min_share = 101 },
		{ .bands = 64, .min_share = 2 },
		{ .target_ms = -5 },
		{ .peer_by = (enum bp_peer_by)7 },
	};
	struct bp_endpoint_config right[] = {
		{ .bands = 64, .min_share = 1 },
		{ .min_share = 12 },
		{ .bands = 1, .min_share = 100 },
		{ .target_ms = BP_FOREVER },
		{ .target_ms = 1 },
		{ .peer_by = BP_PEER_KEY },
		{ .handlers_max = BP_UNLIMITED, .conns_per_addr = BP_UNLIMITED },
	};

	check_endpoints(wrong, COUNT_OF(wrong), -EINVAL);
	check_endpoints(right, COUNT_OF(right), 0);
}

static void test_peer_that_may_hold_no_more_than_its_guarantee_is_refused(void)
{
	struct bp_endpoint_config config = { .guarantee = GUARANTEE };
	struct bp_endpoint *ep = NULL;

	for (size_t less = 0; less < 2; less++) {
		config.peer_max = GUARANTEE - less;
		CHECK_EQ(bp_endpoint_new(&ep, &config), -EINVAL);
	}
	config = (struct bp_endpoint_config){ .peer_max = 64 * KIB }; /* the default */
	CHECK_EQ(bp_endpoint_new(&ep, &config), -EINVAL);
	CHECK(ep == NULL);
}

/* ---- connections --------------------------------------------------------- */

/* Whichever way a connection would be made. */
static void check_connections(struct bp_endpoint *ep,
    const struct bp_conn_config *config, int rc)
{
	struct bp_listener *listener = NULL;
	struct bp_conn *conn = NULL;
	char there[ADDR_MAX];
	int knocks = peer_listen(there), far = peer_connect(there);
	int near = peer_accept(knocks);

	CHECK_EQ(bp_listen(ep, &listener, "127.0.0.1:0", config), rc);
	CHECK_EQ(bp_connect(ep, NULL, there, config, SLOW(8000)), rc);
	CHECK_EQ(bp_adopt(ep, &conn, near, config), rc);
	CHECK_EQ(listener != NULL, rc == 0);
	CHECK_EQ(conn != NULL, rc == 0);
	bp_conn_unref(conn);
	if (rc < 0)
		peer_close(near);	/* ours still */
	peer_close(far);
	peer_close(knocks);
}

static void test_weight_or_band_that_is_none_is_refused(void)
{
	const struct bp_conn_config wrong[] = {
		{ .weight = 1025 }, { .band = 8 }, { .rate_ms = -2 },
	};
	const struct bp_conn_config right[] = {
		{ .weight = 1024 }, { .weight = 1 }, { .band = 7 },
		{ .rate_ms = BP_FOREVER }, { .rate_min = BP_UNLIMITED },
	};
	struct bp_endpoint *ep = new_endpoint(NULL);

	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		check_connections(ep, &wrong[i], -EINVAL);
	CHECK_EQ(stats_of(ep).conns, 0);
	for (size_t i = 0; i < COUNT_OF(right); i++)
		check_connections(ep, &right[i], 0);
	finish(ep);
}

static void test_band_is_refused_by_how_many_there_are(void)
{
	struct bp_endpoint_config config = { .qdisc = &bp_qdisc_prio, .bands = 3 };
	const struct bp_conn_config last = { .band = 2 }, beyond = { .band = 3 };
	struct bp_endpoint *ep = new_endpoint(&config);

	check_connections(ep, &last, 0);
	check_connections(ep, &beyond, -EINVAL);
	finish(ep);
}

/* ---- frames: I4 ---------------------------------------------------------- */

static bool admits(struct bp_endpoint *ep, size_t frame_max)
{
	struct bp_conn_config config = {
		.framer = &bp_framer_u32be, .frame_max = frame_max,
	};
	struct bp_listener *listener = NULL;
	int rc = bp_listen(ep, &listener, "127.0.0.1:0", &config);

	CHECK(rc == 0 || rc == -EINVAL);
	bp_listener_close(listener);
	return rc == 0;
}

/* The largest frame_max there may be. */
static size_t largest(struct bp_endpoint *ep, size_t limit)
{
	size_t least = 1, most = limit;

	CHECK(!admits(ep, limit));
	while (most - least > 1) {
		size_t middle = least + (most - least) / 2;

		*(admits(ep, middle) ? &least : &most) = middle;
	}
	return least;
}

struct sending {
	int fd;
	size_t len;
};

static void send_frame(void *arg)
{
	const struct sending *sending = arg;
	char *frame = calloc(1, sending->len);

	REQUIRE(frame != NULL);
	peer_send_u32be(sending->fd, frame, (uint32_t)sending->len);
	free(frame);
}

/* One of that size comes, though its peer's chunk and a payload are held. */
static void check_it_comes(const struct bp_endpoint_config *sharing, size_t len)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be, .frame_max = len };
	struct bp_endpoint *ep = serve(sharing, &config, addr);
	struct sending sending = { .fd = peer_connect(addr), .len = len };
	struct bp_event *event;
	struct bp_buf *kept;
	struct task *task;

	skip_event(ep, BP_OPENED);
	peer_send_u32be(sending.fd, "small", 5);
	event = next_event(ep, BP_RECEIVED);
	kept = bp_buf_ref(event->buf);
	bp_event_free(event);
	task = task_start(send_frame, &sending);
	event = next_event(ep, BP_RECEIVED);
	CHECK_EQ(event->buf->len, len);
	bp_event_free(event);
	bp_buf_unref(kept);
	task_join(task);
	peer_close(sending.fd);
	finish(ep);
}

/* By default frame_max is no more than can come; what is more is refused at once. */
static void check_default(const struct bp_endpoint_config *sharing, size_t most)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep = serve(sharing, &config, addr);
	uint32_t header = htonl((uint32_t)most + 1);
	int fd = peer_connect(addr);
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	peer_send(fd, &header, sizeof header);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_OVERSIZE);
	bp_event_free(event);
	peer_close(fd);
	finish(ep);
}

static void check_frame_max(const struct bp_endpoint_config *sharing, size_t limit)
{
	struct bp_endpoint *ep = new_endpoint(sharing);
	size_t most = largest(ep, limit);
	struct bp_conn_config config = { .framer = &bp_framer_u32be };

	config.frame_max = most;
	check_connections(ep, &config, 0);
	config.frame_max = most + 1;
	check_connections(ep, &config, -EINVAL);
	finish(ep);
	CHECK_GE(most, limit / 2);	/* sizes of blocks are an eighth apart */
	check_it_comes(sharing, most);
	check_default(sharing, most);
}

static void test_frame_max_is_what_a_peer_may_hold_above_its_guarantee(void)
{
	struct bp_endpoint_config config = {
		.budget = 4 * MIB, .conns_max = 8, .guarantee = GUARANTEE,
		.peer_max = PEER_MAX,
	};

	check_frame_max(&config, PEER_MAX - GUARANTEE);
	config.peer_max = GUARANTEE + 1 * KIB;
	check_frame_max(&config, 1 * KIB);
}

static void test_frame_max_is_what_the_shared_pool_admits(void)
{
	for (size_t i = 0; i < 3; i++) {
		struct bp_endpoint_config config = {
			.qdisc = disciplines[i], .budget = 1 * MIB, .conns_max = 8,
			.guarantee = 8 * KIB,
		};

		check_frame_max(&config, 1 * MIB - 8 * 8 * KIB);
	}
}

/* ---- who waits behind another -------------------------------------------- */

static void announce(int fd, uint32_t len)
{
	uint32_t header = htonl(len);

	peer_send(fd, &header, sizeof header);
}

/* The first of the line is not passed by; when it goes, the next one is looked at. */
static void first_of_the_line_goes(const struct bp_qdisc_ops *qdisc)
{
	struct bp_endpoint_config sharing = {
		.qdisc = qdisc, .budget = 1 * MIB, .conns_max = 8,
		.guarantee = GUARANTEE,
	};
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	static const uint32_t lens[] = { 600 * KIB, 500 * KIB, 200 * KIB };
	struct bp_endpoint *ep = new_endpoint(&sharing);
	int fds[COUNT_OF(lens)];

	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		config.weight = i == 1 ? 1024 : 1;	/* fair: it is the next */
		listen_on(ep, "127.0.0.1:0", &config, addr);
		fds[i] = peer_connect(addr);
		skip_event(ep, BP_OPENED);
		announce(fds[i], lens[i]);
		WAIT_UNTIL(stats_of(ep).held_bytes >= lens[0]);
		WAIT_UNTIL(stats_of(ep).waiting == i);
	}
	peer_reset(fds[1]);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(stats_of(ep).waiting == 0);
	CHECK_GE(stats_of(ep).held_bytes, lens[0] + lens[2]);
	peer_close(fds[0]);
	peer_close(fds[2]);
	finish(ep);
}

static void test_frame_behind_one_that_is_gone_is_granted(void)
{
	for (size_t i = 0; i < 3; i++)
		first_of_the_line_goes(disciplines[i]);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_sharing_that_makes_no_sense_is_refused),
		TEST(test_peer_that_may_hold_no_more_than_its_guarantee_is_refused),
		TEST(test_weight_or_band_that_is_none_is_refused),
		TEST(test_band_is_refused_by_how_many_there_are),
		TEST(test_frame_max_is_what_a_peer_may_hold_above_its_guarantee),
		TEST(test_frame_max_is_what_the_shared_pool_admits),
		TEST(test_frame_behind_one_that_is_gone_is_granted),
	};

	return run_suite("fair_config", tests, COUNT_OF(tests), argc, argv);
}
