/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_process.c - the process that hosts the library is left as it was (P17):
 * signals are its own, no wait ends for one, and to exit is to exit.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char addr[ADDR_MAX];

/* Call fn for each thread of the process. */
static void each_thread(void (*fn)(pid_t tid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	REQUIRE(dir != NULL);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fn(atoi(entry->d_name), arg);
	closedir(dir);
}

/* ---- signals are blocked in threads of the library ---------------------------------- */

static uint64_t blocked_signals(pid_t tid)
{
	char path[64], line[256];
	uint64_t mask = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tid);
	file = fopen(path, "re");
	REQUIRE(file != NULL);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "SigBlk: %" SCNx64, &mask) == 1)
			break;
	fclose(file);
	return mask;
}

struct known {
	pid_t tids[8];
	size_t n;
	uint64_t all;		/* what pthread_sigmask() can block at most */
	unsigned checked;
};

static void remember(pid_t tid, void *arg)
{
	struct known *known = arg;

	REQUIRE(known->n < COUNT_OF(known->tids));
	known->tids[known->n++] = tid;
}

static void check_unless_known(pid_t tid, void *arg)
{
	struct known *known = arg;

	for (size_t i = 0; i < known->n; i++)
		if (known->tids[i] == tid)
			return;
	known->checked++;
	CHECK(blocked_signals(tid) == known->all);
}

static uint64_t everything_blocked(void)
{
	sigset_t all, before;
	uint64_t mask;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	mask = blocked_signals((pid_t)syscall(SYS_gettid));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return mask;
}

static void answer_much(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf;
	fill_out_queue(conn);		/* needs the writer */
	atomic_store((atomic_bool *)seen->own, true);
}

/* P17: reaper, leader, readers, writer, and one that connects */
static void test_process_signals_are_blocked_in_threads_of_the_library(void)
{
	struct known known = { .all = everything_blocked() };
	atomic_bool answered = false;
	struct seen seen = { .on_received = answer_much, .own = &answered };
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint *ep;
	struct black_hole hole;
	int fd;

	each_thread(remember, &known);
	black_hole_open(&hole);
	config.ops = &seen_ops;
	config.data = &seen;
	ep = serve(NULL, &config, addr);
	REQUIRE_EQ(bp_connect(ep, NULL, hole.addr, NULL, 0), 0);
	fd = narrow_connect(addr);
	peer_send_u32be(fd, "?", 1);
	WAIT_UNTIL(atomic_load(&answered));
	each_thread(check_unless_known, &known);
	CHECK_GE(known.checked, 4);
	peer_reset(fd);
	black_hole_close(&hole);
	finish(ep);
}

/* ---- EINTR -------------------------------------------------------------------------- */

static atomic_int signals_taken;

static void take_signal(int number)
{
	(void)number;
	atomic_fetch_add(&signals_taken, 1);
}

struct waits {
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	const char *nowhere;
	atomic_int rc[6];
};

enum { RECEIVE, SEND, UNTHROTTLED, WAIT_CLOSED, CONNECT };

static void wait_receive(void *arg)
{
	struct waits *w = arg;
	struct bp_event *event;
	int rc = bp_receive(w->ep, &event, BP_FOREVER);

	if (rc == 0)
		bp_event_free(event);
	w->rc[RECEIVE] = rc;
}

static void wait_send(void *arg)
{
	struct waits *w = arg;

	w->rc[SEND] = bp_send(w->conn, "x", 1, BP_FOREVER);
}

static void wait_unthrottled(void *arg)
{
	struct waits *w = arg;

	w->rc[UNTHROTTLED] = bp_conn_wait_unthrottled(w->conn, 60000);
}

static void wait_closed(void *arg)
{
	struct waits *w = arg;

	w->rc[WAIT_CLOSED] = bp_conn_wait_closed(w->conn, BP_FOREVER);
}

static void wait_connect(void *arg)
{
	struct waits *w = arg;

	w->rc[CONNECT] = bp_connect(w->ep, NULL, w->nowhere, NULL, 700);
}

static void signal_one(pid_t tid, void *arg)
{
	(void)arg;
	syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

/* P17: threads of the application that wait in the library are interrupted in vain */
static void test_process_a_signal_never_ends_a_wait(void)
{
	void (*const waiting[])(void *) = {
		wait_receive, wait_send, wait_unthrottled, wait_closed, wait_connect,
	};
	struct sigaction action = { .sa_handler = take_signal };	/* no SA_RESTART */
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct task *tasks[COUNT_OF(waiting)];
	struct black_hole hole;
	struct waits waits = { .ep = ep, .nowhere = hole.addr };
	int fd = narrow_connect(addr);

	black_hole_open(&hole);
	REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
	waits.conn = take_opened(ep);
	fill_out_queue(waits.conn);
	for (size_t i = 0; i < COUNT_OF(tasks); i++)
		tasks[i] = task_start(waiting[i], &waits);
	for (int i = 0; i < 200; i++) {
		each_thread(signal_one, NULL);
		wait_tick(now_ms() + 1);
	}
	for (size_t i = 0; i < CONNECT; i++)
		CHECK(!task_done(tasks[i]));
	CHECK_GE(atomic_load(&signals_taken), 200);
	task_join(tasks[CONNECT]);
	CHECK_EQ(waits.rc[CONNECT], -ETIMEDOUT);
	bp_conn_abort(waits.conn, BP_REASON_ABORT);
	for (size_t i = 0; i < CONNECT; i++)
		task_join(tasks[i]);
	CHECK_EQ(waits.rc[RECEIVE], 0);	/* CLOSED */
	CHECK_EQ(waits.rc[SEND], -EPIPE);
	CHECK_EQ(waits.rc[UNTHROTTLED], -EPIPE);
	CHECK_EQ(waits.rc[WAIT_CLOSED], 0);
	bp_conn_unref(waits.conn);
	peer_close(fd);
	black_hole_close(&hole);
	finish(ep);
}

/* ---- exit ---------------------------------------------------------------------------- */

static _Noreturn void exit_in_the_midst(void)
{
	struct bp_endpoint_config tight = { .budget = 1 << 20, .guarantee = 4096,
	    .conns_max = 64 };
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint *ep = serve(&tight, &config, addr);
	struct bp_conn *conn;
	struct task *task;

	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* a hang ends with the test */
	task = task_start(push_until_cut, addr);
	conn = take_opened(ep);
	WAIT_UNTIL(stats_of(ep).waiting == 1);
	WAIT_UNTIL(bp_send(conn, addr, sizeof addr, 0) == 0);
	CHECK(!task_done(task));
	exit(0);
}

/* P17: nothing at exit, no thread that must be joined, nobody waits */
static void test_process_may_exit_with_everything_running(void)
{
	pid_t pid = fork();
	int status = -1;

	REQUIRE(pid >= 0);
	if (pid == 0)
		exit_in_the_midst();
	WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_process_signals_are_blocked_in_threads_of_the_library),
		TEST(test_process_a_signal_never_ends_a_wait),
		TEST(test_process_may_exit_with_everything_running),
	};

	return run_suite("process", tests, COUNT_OF(tests), argc, argv);
}
