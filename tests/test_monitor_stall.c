/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor_stall.c - promise 21: whatever the data plane is in, each path
 * answers within 100 ms. A thousand peers announce 16 MiB and stall, the one
 * consumer never comes back, and every observer asks for everything.
 */
#include "config.h"

#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define WITHIN_MS 100
#define PEERS_MAX 1000
#define ANNOUNCED (16u << 20)

static const char *const paths[] = {
	"/", "/monitor.js", "/monitor.css", "/metrics", "/healthz", "/readyz",
	"/status.txt",
	"/api/v1/status", "/api/v1/history", "/api/v1/history?step=10",
	"/api/v1/connections", "/api/v1/connections?limit=1000&sort=wait_p99_ns",
	"/api/v1/connections?state=waiting", "/api/v1/connections?state=closed",
	"/endpoint/held_bytes",
};

static int n_peers(void)
{
	struct rlimit limit;
	int n = is_sanitized() ? 200 : PEERS_MAX;

	REQUIRE_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < (rlim_t)(2 * n + 100))
		skip_test("no more than %ju descriptors", (uintmax_t)limit.rlim_max);
	return n;
}

/* A header, and as much of the payload as is taken at once. */
static int announce(const char *addr)
{
	static const char some[8192];
	const unsigned char head[4] = { ANNOUNCED >> 24, ANNOUNCED >> 16 & 0xff };
	int fd = peer_connect(addr);

	peer_send(fd, head, sizeof head);
	send(fd, some, sizeof some, MSG_DONTWAIT | MSG_NOSIGNAL);
	return fd;
}

static uint64_t ms_to_answer(const char *at, const char *path)
{
	uint64_t begun_ms = now_ms();
	struct answer answer = get(at, path, "");
	uint64_t took_ms = now_ms() - begun_ms;

	CHECK(answer.status == 200 || strcmp(path, "/readyz") == 0);
	answer_free(&answer);
	return took_ms;
}

/* Others may keep the machine busy for a while: once in so many times is enough. */
static void ask_all(const char *at)
{
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		uint64_t took_ms = ms_to_answer(at, paths[i]);

		for (int more = 9; more > 0 && took_ms > WITHIN_MS; more--)
			took_ms = ms_to_answer(at, paths[i]);
		if (!CHECK_LE(took_ms, SLOW(WITHIN_MS)))
			fprintf(stderr, "# %s took %d ms\n", paths[i], (int)took_ms);
	}
}

static void test_it_answers_while_1000_announcers_stall(void)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = PEERS_MAX + 1,
	};
	const struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_max = ANNOUNCED,
	};
	int fds[PEERS_MAX], n = n_peers();
	struct bp_event *held;
	struct watched w;

	watch(&w, &config, &conn_config);
	for (int i = 0; i < n; i++)
		fds[i] = announce(w.addr);
	REQUIRE_EQ(bp_receive(w.ep, &held, SLOW(8000)), 0);	/* and no more */
	WAIT_UNTIL_MS(stats_of(w.ep).waiting >= (size_t)n * 9 / 10
	    && stats_of(w.ep).conns == (size_t)n, 15000);

	for (int i = 0; i < 3; i++)
		ask_all(w.at);
	CHECK_EQ(stats_of(w.ep).conns, n);			/* nobody was hurt */
	bp_event_free(held);
	for (int i = 0; i < n; i++)
		peer_close(fds[i]);
	unwatch(&w);
}

/* ---- observers that never stop asking ------------------------------------- */

#define POLLERS 7
static atomic_bool enough;
static atomic_int polls;

static void poll_on(void *arg)
{
	const struct watched *w = arg;

	while (!enough) {
		free(body_of(w->at, "/api/v1/connections?limit=1000", "", 200));
		atomic_fetch_add(&polls, 1);
	}
}

static void test_it_answers_while_seven_others_never_stop_asking(void)
{
	const struct bp_endpoint_config config = { .conns_max = PEERS_MAX + 1 };
	int fds[PEERS_MAX], n = n_peers();
	struct task *pollers[POLLERS];
	struct watched w;

	watch(&w, &config, NULL);
	for (int i = 0; i < n; i++)
		fds[i] = peer_connect(w.addr);
	WAIT_UNTIL_MS(stats_of(w.ep).conns == (size_t)n, 15000);
	for (int i = 0; i < POLLERS; i++)
		pollers[i] = task_start(poll_on, &w);
	WAIT_UNTIL(polls >= POLLERS);
	ask_all(w.at);
	enough = true;
	for (int i = 0; i < POLLERS; i++)
		task_join(pollers[i]);
	for (int i = 0; i < n; i++)
		peer_close(fds[i]);
	unwatch(&w);
}

/* ---- handlers that never return, threads that never read ------------------ */

static atomic_bool let_go;

static void never_return(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn;
	(void)buf;
	(void)data;
	while (!let_go)
		wait_tick(now_ms() + 1000);
}

static void test_it_answers_while_the_only_slot_is_stuck(void)
{
	static const struct bp_conn_ops ops = { .received = never_return };
	const struct bp_endpoint_config config = { .handlers_max = 1 };
	const struct bp_conn_config conn_config = { .ops = &ops };
	struct watched w;
	int fds[20];

	watch(&w, &config, &conn_config);
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		fds[i] = peer_connect(w.addr);
		peer_send_string(fds[i], "go");
	}
	WAIT_UNTIL(stats_of(w.ep).conns == COUNT_OF(fds));
	ask_all(w.at);
	let_go = true;
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		peer_close(fds[i]);
	unwatch(&w);
}

/* ---- */

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_it_answers_while_1000_announcers_stall, 60),
		TEST_WITHIN(test_it_answers_while_seven_others_never_stop_asking, 60),
		TEST(test_it_answers_while_the_only_slot_is_stuck),
	};

	return run_suite("monitor_stall", tests, COUNT_OF(tests), argc, argv);
}
