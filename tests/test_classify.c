/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_classify.c - the application tells the band of a frame by its start: it is
 * asked once for each, sees the bytes that were sent, and what it says decides the
 * order.
 */
#include "config.h"

#include "conn.h"
#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEAD = 64, WIRE_MAX = 200 << 10, MALFORMED = 255 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

/* The frame that is under way, as it is on the wire. */
static struct {
	char bytes[WIRE_MAX];
	size_t len;
	atomic_int asked;
	atomic_int received;
} wire;

static int check_head(struct bp_conn *conn, const void *head, size_t len, void *data)
{
	CHECK(data == &wire);
	CHECK(bp_conn_data(conn) == data);
	CHECK_EQ(len, wire.len < HEAD ? wire.len : HEAD);
	CHECK(memcmp(head, wire.bytes, len < wire.len ? len : wire.len) == 0);
	atomic_fetch_add(&wire.asked, 1);
	return 1;
}

static void count_received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)buf, (void)data;
	atomic_fetch_add(&wire.received, 1);
}

static const struct bp_conn_ops counting = { .received = count_received };

/* How what is read is stored depends on the guarantee: in a chunk, or not. */
static int start(const struct bp_framer_ops *framer, size_t guarantee, size_t expect,
    struct bp_conn **ret_conn)
{
	struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_prio, .guarantee = guarantee,
	};
	struct bp_conn_config conn_config = {
		.framer = framer, .classify = check_head, .data = &wire,
		.ops = &counting, .expect = expect,
	};
	int fd;

	ep = serve(&config, &conn_config, addr);
	fd = peer_connect(addr);
	*ret_conn = only_conn(ep);
	return fd;
}

static void wire_up(const struct bp_framer_ops *framer, size_t len)
{
	uint32_t header = htonl((uint32_t)len);
	size_t head = framer == &bp_framer_u32be ? sizeof header : 0;

	memcpy(wire.bytes, &header, head);
	for (size_t i = 0; i < len; i++)	/* no '\n' among them */
		wire.bytes[head + i] = (char)('!' + (i * 7 + len) % 90);
	wire.len = head + len;
	if (framer == &bp_framer_line)
		wire.bytes[wire.len++] = '\n';
}

static uint64_t bytes_in(struct bp_conn *conn)
{
	return atomic_load(&conn->bytes_in);
}

/* Send the frame in two parts, the second when the first was read. */
static void send_split(int fd, struct bp_conn *conn, size_t split)
{
	uint64_t before = bytes_in(conn);
	int asked = atomic_load(&wire.asked), received = atomic_load(&wire.received);

	peer_send(fd, wire.bytes, split);
	WAIT_UNTIL(bytes_in(conn) == before + split);
	if (split < wire.len && split < HEAD)
		CHECK_EQ(atomic_load(&wire.asked), asked);
	peer_send(fd, wire.bytes + split, wire.len - split);
	WAIT_UNTIL(atomic_load(&wire.received) == received + 1);
	CHECK_EQ(atomic_load(&wire.asked), asked + 1);
}

static void stop_all(int fd, struct bp_conn *conn)
{
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- what it is shown ---------------------------------------------------- */

static const size_t guarantees[] = { 0, 8192, 1024 };

static void test_classify_sees_the_start_of_frames_of_every_size(void)
{
	static const size_t lens[] = {
		0, 1, 59, 60, 61, 300, 508, 509, 600, 5000, 20000, 30000, 40000, 150000,
	};
	struct bp_conn *conn;
	int fd;

	for (size_t g = 0; g < COUNT_OF(guarantees); g++) {
		fd = start(&bp_framer_u32be, guarantees[g], 0, &conn);
		for (size_t i = 0; i < COUNT_OF(lens); i++) {
			wire_up(&bp_framer_u32be, lens[i]);
			send_split(fd, conn, wire.len);
		}
		stop_all(fd, conn);
	}
}

static void test_classify_sees_as_much_wherever_the_frame_is_split(void)
{
	static const size_t lens[] = { 30, 100, 700, 40000 };
	struct bp_conn *conn;
	int fd;

	for (size_t g = 0; g < COUNT_OF(guarantees); g++) {
		fd = start(&bp_framer_u32be, guarantees[g], 0, &conn);
		for (size_t i = 0; i < COUNT_OF(lens); i++) {
			wire_up(&bp_framer_u32be, lens[i]);
			for (size_t n = 1; n < wire.len && n < 110; n++)
				send_split(fd, conn, n);
		}
		stop_all(fd, conn);
	}
}

static void test_classify_sees_lines_and_frames_of_an_expected_size(void)
{
	static const size_t lens[] = { 0, 1, 62, 63, 64, 100, 700, 10000 };
	struct bp_conn *conn;
	int fd = start(&bp_framer_line, 0, 0, &conn);

	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		wire_up(&bp_framer_line, lens[i]);
		send_split(fd, conn, wire.len);
		if (wire.len > 1)
			send_split(fd, conn, wire.len - 1);
	}
	stop_all(fd, conn);
	for (size_t i = 1; i < COUNT_OF(lens); i++) {
		fd = start(&bp_framer_raw, 0, lens[i], &conn);
		wire_up(&bp_framer_raw, lens[i]);
		for (size_t n = 1; n <= wire.len && n < 110; n++)
			send_split(fd, conn, n);
		stop_all(fd, conn);
	}
}

/* ---- what it says: the order --------------------------------------------- */

static atomic_uint asked, sent;

static int band_in_first_byte(struct bp_conn *conn, const void *head, size_t len,
    void *data)
{
	unsigned char band = ((const unsigned char *)head)[4];

	(void)conn, (void)data;
	atomic_fetch_add(&asked, 1);
	CHECK_GE(len, 5);
	return band == MALFORMED ? -1 : band;
}

/* A string of frames, each some bytes of payload that tell band and number. */
struct lot {
	int fd;
	unsigned char bands[40];
	unsigned n, got;
	size_t len;
};

static void send_bytes_of(const struct lot *lot)
{
	size_t size = 4 + lot->len;
	char *bytes = calloc(lot->n, size);

	REQUIRE(bytes != NULL);
	for (unsigned i = 0; i < lot->n; i++) {
		bytes[i * size + 1] = (char)(lot->len >> 16);
		bytes[i * size + 2] = (char)(lot->len >> 8);
		bytes[i * size + 3] = (char)lot->len;
		bytes[i * size + 4] = (char)lot->bands[i];
		bytes[i * size + 5] = (char)i;
	}
	atomic_fetch_add(&sent, lot->n);
	peer_send(lot->fd, bytes, lot->n * size);
	free(bytes);
}

/* In one piece. */
static void send_lot(const struct lot *lot)
{
	uint64_t before = stats_of(ep).queued_events;

	send_bytes_of(lot);
	WAIT_UNTIL(stats_of(ep).queued_events == before + lot->n);
}

static void start_lots(struct lot *lots, size_t n, const struct bp_qdisc_ops *qdisc,
    unsigned n_bands)
{
	struct bp_endpoint_config config = { .qdisc = qdisc, .bands = n_bands };
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .classify = band_in_first_byte,
		.band = 1,
	};

	ep = serve(&config, &conn_config, addr);
	for (size_t i = 0; i < n; i++) {
		lots[i].fd = peer_connect(addr);
		skip_event(ep, BP_OPENED);
	}
}

static void expect_next(struct lot *lot)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);
	const unsigned char *payload = event->buf->data;

	CHECK_EQ(event->buf->len, lot->len);
	CHECK_EQ(payload[0], lot->bands[lot->got]);
	CHECK_EQ(payload[1], lot->got);
	lot->got++;
	bp_event_free(event);
}

/* Whose oldest frame has the least band; of equal ones that of the first lot sent. */
static struct lot *next_of(struct lot *lots, size_t n)
{
	struct lot *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (lots[i].got < lots[i].n && (!best
		    || lots[i].bands[lots[i].got] < best->bands[best->got]))
			best = &lots[i];
	return best;
}

static void end_lots(struct lot *lots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		peer_close(lots[i].fd);
	finish(ep);
}

static void test_band_of_each_frame_decides_the_order(void)
{
	static const size_t lens[] = { 2, 100, 700, 40000 };
	uint64_t state = 3;

	for (unsigned round = 0; round < 8; round++) {
		struct lot lots[3] = { { .n = 0 } }, *next;

		start_lots(lots, COUNT_OF(lots), &bp_qdisc_prio, 8);
		for (size_t i = 0; i < COUNT_OF(lots); i++) {
			lots[i].len = lens[round % COUNT_OF(lens)];
			lots[i].n = 1 + random_below(&state, 12);
			for (unsigned k = 0; k < lots[i].n; k++)
				lots[i].bands[k] = (unsigned char)
				    random_below(&state, 8);
			send_lot(&lots[i]);
		}
		while ((next = next_of(lots, COUNT_OF(lots))) != NULL)
			expect_next(next);
		CHECK_EQ(atomic_load(&asked), atomic_load(&sent));	/* once each */
		end_lots(lots, COUNT_OF(lots));
	}
}

static unsigned highest;		/* band the discipline was shown */

static void note_band(void *q, struct bp_item *item)
{
	if (item->band > highest)
		highest = item->band;
	bp_qdisc_prio.put(q, item);
}

/* 200 is the last band there is, and so as good as 2. */
static void test_band_beyond_the_last_is_the_last(void)
{
	struct lot lots[] = {
		{ .n = 2, .len = 10, .bands = { 200, 3 } },
		{ .n = 1, .len = 10, .bands = { 2 } },
		{ .n = 1, .len = 10, .bands = { 1 } },
	};

	struct bp_qdisc_ops noting = bp_qdisc_prio;

	noting.put = note_band;
	start_lots(lots, COUNT_OF(lots), &noting, 3);
	highest = 0;
	for (size_t i = 0; i < COUNT_OF(lots); i++)
		send_lot(&lots[i]);
	expect_next(&lots[2]);
	expect_next(&lots[0]);
	expect_next(&lots[0]);		/* it came before */
	expect_next(&lots[1]);
	end_lots(lots, COUNT_OF(lots));
	CHECK_EQ(highest, 2);
}

/* ---- what it says: malformed --------------------------------------------- */

/* Frames before it are delivered, itself and those behind it are not. */
static void one_is_malformed(const struct bp_qdisc_ops *qdisc, size_t len)
{
	struct lot lot = { .n = 3, .len = len, .bands = { 0, 5, 0 } };
	struct lot bad = { .n = 3, .len = len, .bands = { MALFORMED, 0, 0 } };
	struct bp_event *event;

	start_lots(&lot, 1, qdisc, 8);
	bad.fd = lot.fd;
	send_lot(&lot);
	send_bytes_of(&bad);
	WAIT_UNTIL(stats_of(ep).queued_events == lot.n + 1);
	for (unsigned i = 0; i < lot.n; i++)
		expect_next(&lot);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_PROTOCOL);
	CHECK_EQ(event->err, -EPROTO);
	bp_event_free(event);
	end_lots(&lot, 1);
}

static void test_malformed_in_its_opinion_ends_with_protocol(void)
{
	static const size_t lens[] = { 2, 100, 700, 40000 };

	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		one_is_malformed(&bp_qdisc_prio, lens[i]);
		one_is_malformed(&bp_qdisc_fair, lens[i]);
	}
}

/* In one batch with good ones before it. */
static void test_malformed_behind_others_leaves_those_alone(void)
{
	struct lot lot = {
		.n = 4, .len = 20, .bands = { 4, 4, MALFORMED, 0 },
	};

	start_lots(&lot, 1, &bp_qdisc_prio, 8);
	send_bytes_of(&lot);
	WAIT_UNTIL(stats_of(ep).queued_events == 3);
	expect_next(&lot);
	expect_next(&lot);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(stats_of(ep).ended[BP_REASON_PROTOCOL] == 1);
	end_lots(&lot, 1);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_classify_sees_the_start_of_frames_of_every_size, 40),
		TEST_WITHIN(test_classify_sees_as_much_wherever_the_frame_is_split, 40),
		TEST(test_classify_sees_lines_and_frames_of_an_expected_size),
		TEST(test_band_of_each_frame_decides_the_order),
		TEST(test_band_beyond_the_last_is_the_last),
		TEST(test_malformed_in_its_opinion_ends_with_protocol),
		TEST(test_malformed_behind_others_leaves_those_alone),
	};

	return run_suite("classify", tests, COUNT_OF(tests), argc, argv);
}
