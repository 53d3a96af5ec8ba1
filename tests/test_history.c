/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_history.c - what bp_history_read() tells of the past. For most tests the clock of
 * its thread is the test's own, which makes a second pass whenever that would wait, and
 * what it sees is made up from the number of the second; so ten hours are a moment.
 */
#include "config.h"

#include "detail.h"
#include "harness.h"
#include "peer.h"

#include "sync.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND (1000 * MS)

static struct bp_endpoint *ep;
static struct bp_history *history;
static struct bp_sample samples[BP_HISTORY_MAX + 1];

/* ---- its thread's world --------------------------------------------------- */

static atomic_bool made_up;			/* set before it begins */
static atomic_uint seconds, missed_at, missed;	/* to pass; after one, so many not seen */
static atomic_uint looks, allocations;
static _Atomic uint64_t blocked_signals;	/* as bits */

static _Thread_local bool sampling;		/* this is its thread */
static _Thread_local uint64_t clock_ns, began_ns;

uint64_t __real_bp__now_ns(void);
uint64_t __wrap_bp__now_ns(void);
bool __real_bp__wait_until(struct bp__cond *cond, struct bp__mutex *lock, uint64_t at);
bool __wrap_bp__wait_until(struct bp__cond *cond, struct bp__mutex *lock, uint64_t at);
void __real_bp_endpoint_detail(struct bp_endpoint *of, struct bp_endpoint_detail *ret);
void __wrap_bp_endpoint_detail(struct bp_endpoint *of, struct bp_endpoint_detail *ret);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_fopen(const char *path, const char *mode);
void *__wrap_fopen(const char *path, const char *mode);

uint64_t __wrap_bp__now_ns(void)
{
	return sampling && atomic_load(&made_up) ? clock_ns : __real_bp__now_ns();
}

bool __wrap_bp__wait_until(struct bp__cond *cond, struct bp__mutex *lock, uint64_t at)
{
	if (!sampling || !atomic_load(&made_up))
		return __real_bp__wait_until(cond, lock, at);
	if (atomic_load(&looks) > atomic_load(&seconds)) {
		__real_bp__wait_until(cond, lock, BP__NEVER);
		return true;
	}
	clock_ns = at;
	if ((at - began_ns + SECOND / 2) / SECOND == atomic_load(&missed_at) + 1)
		clock_ns += atomic_load(&missed) * SECOND;
	return false;
}

static void note_signals(void)
{
	sigset_t set;
	uint64_t bits = 0;

	REQUIRE_EQ(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
	for (int i = 1; i < 32; i++)
		bits |= (uint64_t)(sigismember(&set, i) == 1) << i;
	atomic_store(&blocked_signals, bits);
}

/* In the nth second: what is of the moment rises and falls, a counter is the nth's. */
static uint64_t level_at(uint64_t n)
{
	return n % 10 == 3 ? 1000 + n : n % 10;
}

static void make_up(uint64_t n, struct bp_endpoint_detail *ret)
{
	ret->stats.held_bytes = 1 + level_at(n);
	ret->stats.queued_bytes = 2 + level_at(n);
	ret->stats.queued_events = 3 + level_at(n);
	ret->stats.out_bytes = 4 + level_at(n);
	for (unsigned i = 0; i < BP_STATES; i++)
		ret->states[i] = 10 * (i + 1) + level_at(n);
	ret->stats.received_bytes = 100 + n;
	ret->stats.received_events = 200 + n;
	ret->stats.sent_bytes = 300 + n;
	ret->accepted = 400 + n;
	ret->connected = 500 + n;
	ret->stats.closed = 600 + n;
	ret->stats.refused = 700 + n;
	ret->busy_ns = 800 + n;
	ret->gate_ns = 900 + n;
	ret->throttled_ns = 1000 + n;
	ret->muted_ns = 1100 + n;
	ret->paused_ns = 1200 + n;
	ret->throttles = 1300 + n;
	ret->gate_waits = 1400 + n;
	ret->stats.stalls = 1500 + n;
}

void __wrap_bp_endpoint_detail(struct bp_endpoint *of, struct bp_endpoint_detail *ret)
{
	CHECK(of == ep);
	if (!sampling) {
		sampling = true;
		clock_ns = began_ns = __real_bp__now_ns();
		note_signals();
	}
	__real_bp_endpoint_detail(of, ret);
	if (atomic_load(&made_up))
		make_up((clock_ns - began_ns + SECOND / 2) / SECOND, ret);
	atomic_fetch_add(&looks, 1);
}

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocations, sampling);
	return __real_malloc(size);
}

void *__wrap_fopen(const char *path, const char *mode)
{
	atomic_fetch_add(&allocations, sampling);
	return __real_fopen(path, mode);
}

/* ---- what is checked of it ------------------------------------------------ */

static void begin(void)
{
	ep = new_endpoint(NULL);
	REQUIRE_EQ(bp_history_new(&history, ep), 0);
}

/* That many seconds have passed, and the one it began in. */
static void begin_made_up(unsigned n)
{
	atomic_store(&seconds, n);
	atomic_store(&made_up, true);
	begin();
	WAIT_UNTIL(atomic_load(&looks) == n + 1);
}

static void end(void)
{
	bp_history_free(history);
	CHECK_EQ(atomic_load(&allocations), 0);
	finish(ep);
}

static size_t read_all(enum bp_resolution resolution)
{
	return bp_history_read(history, resolution, 0, samples, COUNT_OF(samples));
}

/* Its thread has looked, but may not have kept that yet. */
static void await_last(enum bp_resolution resolution, uint64_t received_bytes)
{
	size_t n;

	WAIT_UNTIL((n = read_all(resolution)) > 0
	    && samples[n - 1].received_bytes == received_bytes);
}

static void check_counters(const struct bp_sample *sample, uint64_t n)
{
	CHECK_EQ(sample->received_bytes, 100 + n);
	CHECK_EQ(sample->received_events, 200 + n);
	CHECK_EQ(sample->sent_bytes, 300 + n);
	CHECK_EQ(sample->accepted, 400 + n);
	CHECK_EQ(sample->connected, 500 + n);
	CHECK_EQ(sample->closed, 600 + n);
	CHECK_EQ(sample->refused, 700 + n);
	CHECK_EQ(sample->busy_ns, 800 + n);
	CHECK_EQ(sample->gate_ns, 900 + n);
	CHECK_EQ(sample->throttled_ns, 1000 + n);
	CHECK_EQ(sample->muted_ns, 1100 + n);
	CHECK_EQ(sample->paused_ns, 1200 + n);
	CHECK_EQ(sample->throttles, 1300 + n);
	CHECK_EQ(sample->gate_waits, 1400 + n);
	CHECK_EQ(sample->stalls, 1500 + n);
	CHECK(sample->resident_bytes > 0 && sample->cpu_ns > 0);
}

static void check_levels(const struct bp_sample *sample, uint64_t level)
{
	CHECK_EQ(sample->held_bytes, 1 + level);
	CHECK_EQ(sample->queued_bytes, 2 + level);
	CHECK_EQ(sample->queued_events, 3 + level);
	CHECK_EQ(sample->out_bytes, 4 + level);
	for (unsigned i = 0; i < BP_STATES; i++)
		CHECK_EQ(sample->states[i], 10 * (i + 1) + level);
}

/* ---- by the made up clock ------------------------------------------------- */

static void test_history_has_a_sample_of_each_second_as_it_was(void)
{
	begin_made_up(25);
	await_last(BP_EVERY_SECOND, 100 + 25);
	REQUIRE_EQ(read_all(BP_EVERY_SECOND), 26);	/* the first at once */
	for (unsigned n = 0; n < 26; n++) {
		check_counters(&samples[n], n);
		check_levels(&samples[n], level_at(n));
		CHECK(n == 0 || samples[n].at_ns - samples[n - 1].at_ns
		    == (n == 1 ? samples[1].at_ns - samples[0].at_ns : SECOND));
		CHECK(n == 0 || samples[n].cpu_ns >= samples[n - 1].cpu_ns);
	}
	end();
}

/* Counters as they are at its end; of levels the most, which was in the third second. */
static void test_history_of_ten_seconds_has_the_largest_of_them(void)
{
	begin_made_up(35);
	await_last(BP_EVERY_10_SECONDS, 100 + 30);
	REQUIRE_EQ(read_all(BP_EVERY_10_SECONDS), 4);
	for (unsigned n = 0; n < 4; n++) {
		check_counters(&samples[n], n * 10);
		check_levels(&samples[n], n == 0 ? level_at(0) : level_at(n * 10 - 7));
	}
	end();
}

static void test_history_keeps_the_last_600(void)
{
	begin_made_up(6789);
	await_last(BP_EVERY_SECOND, 100 + 6789);
	REQUIRE_EQ(read_all(BP_EVERY_SECOND), BP_HISTORY_MAX);
	for (unsigned n = 0; n < BP_HISTORY_MAX; n++)
		check_counters(&samples[n], 6789 - BP_HISTORY_MAX + 1 + n);
	REQUIRE_EQ(read_all(BP_EVERY_10_SECONDS), BP_HISTORY_MAX);
	for (unsigned n = 0; n < BP_HISTORY_MAX; n++)
		check_counters(&samples[n], 6780 - (BP_HISTORY_MAX - 1 - n) * 10);
	end();
}

static void test_history_is_told_from_a_moment_on_and_the_latest_of_it(void)
{
	static struct bp_sample some[50];
	uint64_t at;

	begin_made_up(700);
	await_last(BP_EVERY_SECOND, 100 + 700);
	REQUIRE_EQ(bp_history_read(history, BP_EVERY_SECOND, 0, some, 50), 50);
	for (unsigned n = 0; n < 50; n++)
		CHECK_EQ(some[n].received_bytes, 100 + 651 + n);
	at = some[40].at_ns;
	REQUIRE_EQ(bp_history_read(history, BP_EVERY_SECOND, at, some, 50), 9);
	CHECK(some[0].at_ns == at + SECOND);
	REQUIRE_EQ(bp_history_read(history, BP_EVERY_SECOND, at - 1, some, 50), 10);
	CHECK(some[0].at_ns == at);
	REQUIRE_EQ(bp_history_read(history, BP_EVERY_SECOND, at, some, 3), 3);
	CHECK_EQ(some[2].received_bytes, 100 + 700);
	CHECK_EQ(bp_history_read(history, BP_EVERY_SECOND, some[2].at_ns, some, 50), 0);
	CHECK_EQ(bp_history_read(history, BP_EVERY_SECOND, UINT64_MAX, some, 50), 0);
	CHECK_EQ(bp_history_read(history, BP_EVERY_SECOND, 0, NULL, 0), 0);
	end();
}

/* A process that was stopped has no samples of then, but goes on as before. */
static void test_history_leaves_out_seconds_that_were_missed(void)
{
	atomic_store(&missed_at, 7);
	atomic_store(&missed, 24);		/* the tenth, 20th and 30th among them */
	begin_made_up(20);			/* looks */
	await_last(BP_EVERY_SECOND, 100 + 44);
	REQUIRE_EQ(read_all(BP_EVERY_SECOND), 21);
	CHECK_EQ(samples[7].received_bytes, 100 + 7);
	CHECK_EQ(samples[8].received_bytes, 100 + 32);
	CHECK_EQ(samples[9].received_bytes, 100 + 33);
	/* the tenth comes late, the 40th when it should */
	REQUIRE_EQ(read_all(BP_EVERY_10_SECONDS), 3);
	check_counters(&samples[1], 32);
	check_levels(&samples[1], level_at(3));
	check_counters(&samples[2], 40);
	check_levels(&samples[2], level_at(33));
	end();
}

/* ---- by the real one ------------------------------------------------------ */

static void test_history_begins_at_once_and_goes_on_every_second(void)
{
	uint64_t began = now_ns();

	begin();
	WAIT_UNTIL(read_all(BP_EVERY_10_SECONDS) == 1);
	CHECK_EQ(samples[0].held_bytes, 0);
	CHECK(samples[0].at_ns >= began && samples[0].at_ns <= now_ns());
	WAIT_UNTIL(read_all(BP_EVERY_SECOND) >= 3);
	CHECK(samples[1].at_ns - began >= SECOND);
	CHECK(samples[2].at_ns - began >= 2 * SECOND);
	CHECK(samples[2].at_ns <= now_ns());
	if (slow_factor() == 1)
		CHECK(samples[2].at_ns - samples[0].at_ns < 3 * SECOND);
	end();
}

static void test_history_of_the_wait_is_since_the_sample_before(void)
{
	char addr[ADDR_MAX];
	size_t n;
	int fd;

	begin();
	WAIT_UNTIL(read_all(BP_EVERY_SECOND) >= 1);
	CHECK_EQ(samples[0].wait_max_ns, 0);
	listen_on(ep, "127.0.0.1:0", NULL, addr);
	fd = peer_connect(addr);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	HOLDS_FOR_MS(stats_of(ep).queued_events == 1, 30);
	n = read_all(BP_EVERY_SECOND);
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(read_all(BP_EVERY_SECOND) >= n + 3);
	/* the sample that saw it; before it and after, nothing was taken */
	while (n < COUNT_OF(samples) && samples[n].wait_max_ns == 0)
		n++;
	REQUIRE(n < COUNT_OF(samples));
	CHECK_GE(samples[n].wait_max_ns, 28 * MS);
	CHECK_GE(samples[n].wait_p50_ns, 28 * MS);
	CHECK_GE(samples[n].wait_p99_ns, samples[n].wait_p50_ns);
	CHECK_EQ(samples[n + 1].wait_max_ns, 0);
	CHECK_EQ(samples[n + 1].wait_p99_ns, 0);
	peer_close(fd);
	end();
}

static void test_history_has_a_thread_that_no_signal_of_the_host_reaches(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGUSR1 };
	int threads;

	ep = new_endpoint(NULL);
	threads = count_threads();
	REQUIRE_EQ(bp_history_new(&history, ep), 0);
	CHECK_EQ(count_threads(), threads + 1);
	WAIT_UNTIL(atomic_load(&looks) > 0);
	for (size_t i = 0; i < COUNT_OF(signals); i++)
		CHECK(atomic_load(&blocked_signals) >> signals[i] & 1);
	end();
}

static void test_history_is_freed_at_once_and_leaves_nothing(void)
{
	uint64_t began;
	int fds, threads;

	ep = new_endpoint(NULL);
	fds = count_fds();
	threads = count_threads();
	for (int i = 0; i < 20; i++) {
		REQUIRE_EQ(bp_history_new(&history, ep), 0);
		if (i % 2)		/* it may be about to look, or wait */
			WAIT_UNTIL(read_all(BP_EVERY_SECOND) == 1);
		began = now_ms();
		bp_history_free(history);
		CHECK_LE(now_ms() - began, (uint64_t)SLOW(300));
		WAIT_UNTIL(count_threads() == threads);
		CHECK_EQ(count_fds(), fds);
	}
	bp_history_free(NULL);
	finish(ep);
}

static void test_history_of_an_endpoint_that_is_stopped_goes_on(void)
{
	begin();
	REQUIRE_EQ(bp_endpoint_stop(ep, 0), 0);
	WAIT_UNTIL(read_all(BP_EVERY_SECOND) >= 2);
	CHECK_EQ(samples[1].states[BP_STATE_IDLE], 0);
	end();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_history_has_a_sample_of_each_second_as_it_was),
		TEST(test_history_of_ten_seconds_has_the_largest_of_them),
		TEST(test_history_keeps_the_last_600),
		TEST(test_history_is_told_from_a_moment_on_and_the_latest_of_it),
		TEST(test_history_leaves_out_seconds_that_were_missed),
		TEST(test_history_begins_at_once_and_goes_on_every_second),
		TEST(test_history_of_the_wait_is_since_the_sample_before),
		TEST(test_history_has_a_thread_that_no_signal_of_the_host_reaches),
		TEST(test_history_is_freed_at_once_and_leaves_nothing),
		TEST(test_history_of_an_endpoint_that_is_stopped_goes_on),
	};

	return run_suite("history", tests, COUNT_OF(tests), argc, argv);
}
