/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_batches.c - the frames of one read are made, charged and freed together: what
 * they cost goes back with the last of them, whoever frees which when, and whatever
 * happens to the rest.
 */
#include "config.h"

#include "batches.h"

/* ---- what they cost ------------------------------------------------------- */

static void shuffle(int *order, int n, uint64_t seed)
{
	for (int i = 0; i < n; i++) {
		int j = (int)random_below(&seed, (unsigned)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

/* Small ones are copied, and each copy goes when its event is freed. */
static void test_batches_go_back_whole_with_the_last_of_them(void)
{
	const size_t copy = bp__buf_cost(LEN);
	int order[FEW], fd = start();

	for (uint32_t round = 0; round < 50; round++) {
		shuffle(order, FEW, round);
		queue(fd, round * FEW, FEW);
		CHECK_EQ(held(), FEW * (BP__EVENT_COST + copy));
		take(round * FEW, FEW);
		for (size_t i = 0; i < FEW; i++) {
			CHECK_EQ(held(), FEW * BP__EVENT_COST + (FEW - i) * copy);
			bp_event_free(events[order[i]]);
		}
		CHECK_EQ(held(), 0);
	}
	end(fd);
}

/* More than fit the stack are slices of a chunk, which they hold together. */
static void test_batches_of_slices_hold_their_chunk_to_the_last(void)
{
	int order[MANY], fd = start();
	size_t base;

	shuffle(order, MANY, 1);
	for (uint32_t round = 0; round < 50; round++) {
		queue(fd, round * MANY, MANY);
		/* with a new chunk, or in what is left of this one */
		WAIT_UNTIL(atomic_load(&conn->whereabouts) == BP__IN_RECV);
		base = held() - MANY * BP__EVENT_COST;
		CHECK(base == CHUNK || base == 2 * CHUNK);
		take(round * MANY, MANY);
		for (size_t i = 0; i < MANY; i++) {
			CHECK_EQ(held(), base + MANY * BP__EVENT_COST);
			bp_event_free(events[order[i]]);
		}
		CHECK_LE(held(), CHUNK);	/* the reader's */
	}
	end(fd);
}

static void test_batches_of_slices_keep_their_bytes_while_more_is_read(void)
{
	struct bp_event *last;
	int fd = start();

	queue(fd, 0, MANY);
	take(0, MANY);
	last = events[MANY - 1];
	free_all(MANY - 1);
	for (uint32_t i = 1; i < 6; i++)
		queue(fd, i * MANY, MANY);
	check_bytes(last->buf->data, MANY - 1);
	bp_event_free(last);
	for (uint32_t i = 1; i < 6; i++) {
		take(i * MANY, MANY);
		free_all(MANY);
	}
	end(fd);
}

static void test_batches_of_a_large_frame_are_of_one(void)
{
	enum { LARGE = 200000 };
	static char frame[LARGE];
	struct bp_event *event;
	int fd = start();

	peer_send_u32be(fd, frame, LARGE);
	event = next_event(ep, BP_RECEIVED);
	CHECK_EQ(event->buf->len, LARGE);
	CHECK_EQ(bp__container_of(event, struct bp__event, pub)->batch->n, 1);
	CHECK_EQ(held(), BP__EVENT_COST + bp__buf_cost(LARGE));
	bp_event_free(event);
	CHECK_EQ(held(), 0);
	end(fd);
}

static void test_batches_are_outlived_by_payloads_that_are_kept(void)
{
	const size_t copy = bp__buf_cost(LEN);
	struct bp_buf *kept;
	int fd = start();

	queue(fd, 0, FEW);
	take(0, FEW);
	kept = bp_buf_ref(events[2]->buf);
	CHECK(kept == events[2]->buf);
	free_all(FEW);
	CHECK_EQ(held(), copy);
	check_bytes(kept->data, 2);
	bp_buf_unref(kept);
	CHECK_EQ(held(), 0);

	queue(fd, 0, MANY);
	take(0, MANY);
	kept = bp_buf_ref(events[2]->buf);	/* a slice is copied */
	CHECK(kept != events[2]->buf);
	free_all(MANY);
	queue(fd, 0, MANY);
	check_bytes(kept->data, 2);
	bp_conn_abort(conn, BP_REASON_ABORT);
	WAIT_UNTIL(held() == copy);
	bp_buf_unref(kept);
	end(fd);
}

/* ---- ends ----------------------------------------------------------------- */

static void test_batches_that_are_cut_go_back_with_what_is_out_of_them(void)
{
	const size_t copy = bp__buf_cost(LEN);
	struct bp_event *next;
	int fd = start();

	queue(fd, 0, FEW);
	take(0, 3);
	bp_conn_abort(conn, BP_REASON_ABORT);
	CHECK_EQ(stats_of(ep).queued_bytes, 0);
	CHECK_EQ(held(), FEW * BP__EVENT_COST + 3 * copy);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);	/* CLOSED */
	bp_event_free(events[1]);
	bp_event_free(events[2]);
	CHECK_EQ(held(), FEW * BP__EVENT_COST + copy);
	CHECK_EQ(bp_receive(ep, &next, 0), -EAGAIN);
	bp_event_free(events[0]);
	CHECK_EQ(held(), 0);
	skip_event(ep, BP_CLOSED);
	end(fd);
}

/* Where the discipline has places its reader may be half through with a batch. */
static void test_batches_that_wait_for_places_are_cut_with_their_reader(void)
{
	for (int out = 0; out < 2; out++) {
		int fd = start_with((struct bp_endpoint_config){
		    .qdisc = &bp_qdisc_bounded, .places = 2 });

		send_burst(fd, 0, FEW);
		WAIT_UNTIL(stats_of(ep).waiting == 1);
		if (out) {
			take(0, 1);
			WAIT_UNTIL(stats_of(ep).waiting == 1);
		}
		bp_conn_abort(conn, BP_REASON_ABORT);
		WAIT_UNTIL(held() == (out ? FEW * BP__EVENT_COST + bp__buf_cost(LEN)
		    : 0));
		if (out)
			bp_event_free(events[0]);
		CHECK_EQ(held(), 0);
		skip_event(ep, BP_CLOSED);
		end(fd);
	}
}

/* What is held of it is only memory then, that of the rest, too. */
static void test_batches_outlive_their_endpoint(void)
{
	int fd = start();

	queue(fd, 0, FEW);
	take(0, 2);
	bp_event_free(events[0]);
	peer_close(fd);
	bp_endpoint_free(ep);
	check_bytes(events[1]->buf->data, 1);
	CHECK(events[1]->conn == conn);
	bp_conn_unref(conn);
	bp_event_free(events[1]);
}

/* Whole frames that were read are delivered, if not the rest of their burst. */
static void test_batches_at_hand_are_delivered_when_the_connection_breaks(void)
{
	struct bp_conn_config config = narrow_config();
	enum bp_event_kind kind;
	struct bp_event *event;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = narrow_connect(addr);
	conn = take_opened(ep);
	WAIT_UNTIL(atomic_load(&conn->whereabouts) == BP__IN_RECV);
	fill_out_queue(conn);
	send_burst(fd, 0, MANY);	/* one part is read, for the other it waits */
	WAIT_UNTIL(atomic_load(&conn->bytes_in) == BP__SMALL
	    && atomic_load(&conn->whereabouts) == BP__WAITING);
	bp__conn_break(conn, BP_REASON_STALLED_WRITE, 0);
	WAIT_UNTIL(stats_of(ep).queued_events >= BP__SMALL / (4 + LEN));
	take(0, BP__SMALL / (4 + LEN));
	free_all(BP__SMALL / (4 + LEN));
	/* the level was cleared before the flow ended: it may have read on between */
	do {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(5000)), 0);
		kind = event->kind;
		bp_event_free(event);
	} while (kind == BP_RECEIVED);
	CHECK_EQ(kind, BP_CLOSED);
	end(fd);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_batches_go_back_whole_with_the_last_of_them),
		TEST(test_batches_of_slices_hold_their_chunk_to_the_last),
		TEST(test_batches_of_slices_keep_their_bytes_while_more_is_read),
		TEST(test_batches_of_a_large_frame_are_of_one),
		TEST(test_batches_are_outlived_by_payloads_that_are_kept),
		TEST(test_batches_that_are_cut_go_back_with_what_is_out_of_them),
		TEST(test_batches_that_wait_for_places_are_cut_with_their_reader),
		TEST(test_batches_outlive_their_endpoint),
		TEST(test_batches_at_hand_are_delivered_when_the_connection_breaks),
	};

	return run_suite("batches", tests, COUNT_OF(tests), argc, argv);
}
