/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_sync.c - locks that catch their misuse, waits and deadlines, threads.
 */
#include "config.h"

#include "harness.h"

#include "sync.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- locks ---------------------------------------------------------------- */

static struct bp__mutex lock, second;
static struct bp__cond cond;
static int counted;

static void count_to_1000(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		bp__lock(&lock);
		counted++;
		bp__unlock(&lock);
	}
}

static void test_lock_lets_one_thread_in_at_a_time(void)
{
	struct task *tasks[4];
	size_t i;

	bp__mutex_init(&lock);
	for (i = 0; i < COUNT_OF(tasks); i++)
		tasks[i] = task_start(count_to_1000, NULL);
	for (i = 0; i < COUNT_OF(tasks); i++)
		task_join(tasks[i]);
	CHECK_EQ(counted, 4000);
	bp__mutex_fini(&lock);
}

static void lock_two(void)
{
	bp__lock(&lock);
	bp__lock(&second);
}

static void lock_twice(void)
{
	bp__lock(&lock);
	bp__lock(&lock);
}

static void unlock_another(void)
{
	bp__lock(&lock);
	bp__unlock(&second);
}

static void unlock_unlocked(void)
{
	bp__unlock(&lock);
}

static void claim_to_hold(void)
{
	bp__assert_held(&lock);
}

static void wait_without_lock(void)
{
	bp__wait(&cond, &lock);
}

static void claim_to_hold_another(void)
{
	bp__lock(&lock);
	bp__assert_held(&second);
}

/* It ends in abort(), in a process of its own. */
static bool aborts(void (*misuse)(void))
{
	const struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0) {
		alarm(10);
		setrlimit(RLIMIT_CORE, &no_core);
		close(STDERR_FILENO);
		bp__mutex_init(&lock);
		bp__mutex_init(&second);
		bp__cond_init(&cond);
		misuse();
		_exit(0);
	}
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* R1: a thread holds one lock at most */
static void test_lock_misuse_aborts(void)
{
#ifdef NDEBUG
	skip_test("built without assertions");
#else
	CHECK(aborts(lock_two));
	CHECK(aborts(lock_twice));
	CHECK(aborts(unlock_another));
	CHECK(aborts(unlock_unlocked));
	CHECK(aborts(claim_to_hold));
	CHECK(aborts(claim_to_hold_another));
	CHECK(aborts(wait_without_lock));
#endif
}

/* ---- waits ---------------------------------------------------------------- */

static void test_wait_until_ends_at_its_deadline_and_not_before(void)
{
	uint64_t deadline_ns;
	bool in_time;

	bp__mutex_init(&lock);
	bp__cond_init(&cond);
	bp__lock(&lock);
	deadline_ns = bp__now_ns() + 20 * BP__MS;
	do	/* once in a while a condition wakes for nothing */
		in_time = bp__wait_until(&cond, &lock, deadline_ns);
	while (in_time && bp__now_ns() < deadline_ns);
	CHECK(!in_time);
	CHECK(bp__now_ns() >= deadline_ns);
	CHECK(!bp__wait_until(&cond, &lock, 0));
	bp__unlock(&lock);
	bp__cond_fini(&cond);
	bp__mutex_fini(&lock);
}

static struct bp__list waiters;
static atomic_int woken_order;

struct waiting {
	struct task *task;
	uint64_t deadline_ns;
	bool woken;
	int order;
};

static void wait_in_line(void *arg)
{
	struct waiting *waiting = arg;
	struct bp__waiter waiter;

	bp__lock(&lock);
	waiting->woken = bp__waiter_wait(&waiter, &waiters, &lock,
	    waiting->deadline_ns);
	waiting->order = atomic_fetch_add(&woken_order, 1);
	bp__unlock(&lock);
}

static int n_waiters(void)
{
	struct bp__list *link;
	int n = 0;

	bp__lock(&lock);
	for (link = waiters.next; link != &waiters; link = link->next)
		n++;
	bp__unlock(&lock);
	return n;
}

static void start_waiting(struct waiting *waiting, size_t n, uint64_t deadline_ns)
{
	size_t i;

	bp__mutex_init(&lock);
	bp__list_init(&waiters);
	atomic_store(&woken_order, 0);
	for (i = 0; i < n; i++) {
		waiting[i].deadline_ns = deadline_ns;
		waiting[i].task = task_start(wait_in_line, &waiting[i]);
		if (deadline_ns == BP__NEVER)
			WAIT_UNTIL(n_waiters() == (int)i + 1);
	}
}

static void test_waiter_wakes_the_one_that_was_meant(void)
{
	struct waiting waiting[4];
	int i;

	start_waiting(waiting, COUNT_OF(waiting), BP__NEVER);
	for (i = 0; i < 4; i++) {
		bp__lock(&lock);
		bp__waiter_wake(bp__container_of(waiters.next,
		    struct bp__waiter, link));
		bp__unlock(&lock);
		task_join(waiting[i].task);
		CHECK(waiting[i].woken);
		CHECK_EQ(waiting[i].order, i);
		CHECK_EQ(n_waiters(), 3 - i);
	}
	bp__mutex_fini(&lock);
}

static void test_waiters_all_wake_when_all_are_woken(void)
{
	struct waiting waiting[4];
	size_t i;

	start_waiting(waiting, COUNT_OF(waiting), BP__NEVER);
	bp__lock(&lock);
	bp__wake_all(&waiters);
	CHECK(bp__list_empty(&waiters));
	bp__unlock(&lock);
	for (i = 0; i < COUNT_OF(waiting); i++) {
		task_join(waiting[i].task);
		CHECK(waiting[i].woken);
	}
	bp__mutex_fini(&lock);
}

static void test_waiter_that_waits_in_vain_leaves_the_line(void)
{
	struct waiting waiting[3];
	size_t i;

	start_waiting(waiting, COUNT_OF(waiting), bp__now_ns() + 10 * BP__MS);
	for (i = 0; i < COUNT_OF(waiting); i++) {
		task_join(waiting[i].task);
		CHECK(!waiting[i].woken);
	}
	CHECK_EQ(n_waiters(), 0);
	bp__mutex_fini(&lock);
}

static void test_deadlines_are_told_in_the_units_asked_for(void)
{
	uint64_t now = bp__now_ns(), at;

	CHECK(bp__deadline_ns(BP_FOREVER) == BP__NEVER);
	at = bp__deadline_ns(50);
	CHECK(at >= now + 50 * BP__MS && at <= bp__now_ns() + 50 * BP__MS);
	CHECK(bp__deadline_ns(INT_MAX) < BP__NEVER);
	CHECK_EQ(bp__poll_ms(BP__NEVER), -1);
	CHECK_EQ(bp__poll_ms(0), 0);
	CHECK_EQ(bp__poll_ms(now), 0);
	at = bp__now_ns() + 3600 * 1000 * BP__MS;
	CHECK_LE(bp__poll_ms(at), 3600 * 1000);
	CHECK_GE(bp__poll_ms(at), 3590 * 1000);
	CHECK_EQ(bp__poll_ms(BP__NEVER - 1), INT_MAX);
	/* rounded down poll() would return before, and again */
	at = bp__now_ns() + BP__MS / 2;
	CHECK(bp__poll_ms(at) == 1 || bp__now_ns() >= at);
}

/* ---- threads -------------------------------------------------------------- */

struct found {
	sigset_t blocked;
	void *stack;
	size_t stack_size;
};

static void *look_around(void *arg)
{
	struct found *found = arg;
	pthread_attr_t attr;

	REQUIRE_EQ(pthread_sigmask(SIG_SETMASK, NULL, &found->blocked), 0);
	REQUIRE_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	REQUIRE_EQ(pthread_attr_getstack(&attr, &found->stack, &found->stack_size), 0);
	pthread_attr_destroy(&attr);
	return NULL;
}

static void test_thread_has_no_signals_of_the_host(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGUSR1 };
	sigset_t before, after;
	pthread_t thread;
	struct found found;
	size_t i;

	REQUIRE_EQ(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	REQUIRE_EQ(bp__thread_start(&thread, 256 * 1024, look_around, &found), 0);
	REQUIRE_EQ(pthread_join(thread, NULL), 0);
	REQUIRE_EQ(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (i = 0; i < COUNT_OF(signals); i++) {
		CHECK(sigismember(&found.blocked, signals[i]));
		CHECK_EQ(sigismember(&after, signals[i]),
		    sigismember(&before, signals[i]));
	}
}

static void test_thread_has_a_stack_as_large_as_asked_for(void)
{
	static const size_t sizes[] = { 64 * 1024, 256 * 1024, 256 * 1024 + 1 };
	pthread_t thread;
	struct found found;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes); i++) {
		REQUIRE_EQ(bp__thread_start(&thread, sizes[i], look_around, &found), 0);
		REQUIRE_EQ(pthread_join(thread, NULL), 0);
		CHECK_GE(found.stack_size, sizes[i]);
	}
}

static void test_thread_that_there_is_no_memory_for_is_an_error(void)
{
	pthread_t thread;
	struct found found;

	CHECK_EQ(bp__thread_start(&thread, SIZE_MAX / 4, look_around, &found) < 0, true);
}

/* What is compared with it may be older than the thread: an address would not do. */
enum { IN_LINE = 50, AT_ONCE = 8 };

static atomic_int n_numbered;

static void take_number(void *arg)
{
	uint64_t *ret_number = arg;

	*ret_number = bp__this_thread();
	CHECK_NE(*ret_number, 0);
	CHECK_EQ(bp__this_thread(), *ret_number);
	atomic_fetch_add(&n_numbered, 1);
}

static void take_number_beside_others(void *arg)
{
	take_number(arg);
	WAIT_UNTIL(atomic_load(&n_numbered) == IN_LINE + AT_ONCE);
}

static void test_thread_has_a_number_that_none_had_before(void)
{
	uint64_t numbers[IN_LINE + AT_ONCE + 1];
	struct task *tasks[AT_ONCE];
	size_t i, j;

	numbers[IN_LINE + AT_ONCE] = bp__this_thread();
	for (i = 0; i < IN_LINE; i++)
		task_join(task_start(take_number, &numbers[i]));
	for (i = 0; i < AT_ONCE; i++)
		tasks[i] = task_start(take_number_beside_others, &numbers[IN_LINE + i]);
	for (i = 0; i < AT_ONCE; i++)
		task_join(tasks[i]);
	CHECK_EQ(bp__this_thread(), numbers[IN_LINE + AT_ONCE]);
	for (i = 0; i < COUNT_OF(numbers); i++)
		for (j = 0; j < i; j++)
			CHECK_NE(numbers[i], numbers[j]);
}

/* Cheap, and behind by a tick of some ms at most; never ahead. */
static void test_clock_that_is_about_right_is_never_ahead(void)
{
	uint64_t until = bp__now_ns() + 30 * BP__MS, before = 0, about, now;

	do {
		about = bp__about_now_ns();
		now = bp__now_ns();
		CHECK(about <= now && about >= before);
		before = about;
	} while (now < until);
	CHECK(bp__about_now_ns() + 20 * BP__MS >= until);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_lock_lets_one_thread_in_at_a_time),
		TEST(test_lock_misuse_aborts),
		TEST(test_wait_until_ends_at_its_deadline_and_not_before),
		TEST(test_waiter_wakes_the_one_that_was_meant),
		TEST(test_waiters_all_wake_when_all_are_woken),
		TEST(test_waiter_that_waits_in_vain_leaves_the_line),
		TEST(test_deadlines_are_told_in_the_units_asked_for),
		TEST(test_thread_has_no_signals_of_the_host),
		TEST(test_thread_has_a_stack_as_large_as_asked_for),
		TEST(test_thread_that_there_is_no_memory_for_is_an_error),
		TEST(test_thread_has_a_number_that_none_had_before),
		TEST(test_clock_that_is_about_right_is_never_ahead),
	};

	return run_suite("sync", tests, COUNT_OF(tests), argc, argv);
}
