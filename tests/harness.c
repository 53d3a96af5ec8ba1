/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.c - runs the tests of one suite, each in a child process, and waits.
 *
 *	CUnit ---> run_forked() ---fork---> run_here(): baseline, test, baseline
 *	               ^                        |
 *	               +---- verdict: exit status, and a page of shared memory
 *
 * One that fails while the machine stands still is run once more.
 *
 * The rest of harness.h is in process.c and, what helps with endpoints, fixture.c.
 */
#include "config.h"

#include "harness.h"

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	STATUS_FAILED = 1, STATUS_SKIPPED = 77, DEFAULT_SECONDS = 20,
	SLICE_MS = 20,		/* between two looks at the clock, */
	STILL_MS = 100,		/* and what it may go on besides: else the machine stood still */
	TRIES = 3,		/* of a test that failed then */
};

static struct {
	const struct test **tests;	/* those that were asked for */
	size_t n, done;
	char *skip_reason;		/* shared with the child; "" if not skipped */
} suite;

static const size_t REASON_MAX = 256;
static atomic_int failures;		/* of the checks, in this child */

/* ---- checks ------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool check_true(bool ok, const char *file, int line, const char *what)
{
	if (!ok) {
		atomic_fetch_add(&failures, 1);
		printf("# %s:%d: failed: %s\n", base_name(file), line, what);
		fflush(stdout);
	}
	return ok;
}

bool check_pair(char op, intmax_t left, intmax_t right,
    const char *file, int line, const char *what)
{
	bool ok = op == '=' ? left == right : op == '!' ? left != right
	    : op == '<' ? left <= right : left >= right;

	if (!ok) {
		atomic_fetch_add(&failures, 1);
		printf("# %s:%d: failed: %s (left %" PRIdMAX ", right %" PRIdMAX
		    ")\n", base_name(file), line, what, left, right);
		fflush(stdout);
	}
	return ok;
}

void end_failed_test(void)
{
	fflush(stdout);
	_exit(STATUS_FAILED);
}

void skip_test(const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(suite.skip_reason, REASON_MAX, reason, args);
	va_end(args);
	fflush(stdout);
	_exit(STATUS_SKIPPED);
}

/* ---- time --------------------------------------------------------------- */

int slow_factor(void)
{
	const char *text = getenv("BP_TEST_SLOW");
	int factor = text ? atoi(text) : 1;

	return factor > 0 ? factor : 1;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

bool wait_tick(uint64_t deadline_ms)
{
	const struct timespec tick = { .tv_nsec = 100000 };

	if (now_ms() >= deadline_ms)
		return false;
	nanosleep(&tick, NULL);
	return true;
}

/* ---- the child ---------------------------------------------------------- */

static void do_nothing(void *arg)
{
	(void)arg;
}

static _Noreturn void run_here(const struct test *test)
{
	uint64_t deadline;
	int fds, threads;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* what comes with the first thread, a sanitizer's own, is not the test's */
	task_join(task_start(do_nothing, NULL));
	fds = count_fds();
	threads = count_threads();
	test->run();
	/* a thread that was joined may stay in /proc for a moment */
	deadline = now_ms() + (uint64_t)SLOW(3000);
	while ((count_fds() != fds || count_threads() != threads)
	    && wait_tick(deadline))
		;
	CHECK_EQ(count_fds(), fds);
	CHECK_EQ(count_threads(), threads);
	fflush(stdout);
	if (atomic_load(&failures))
		_exit(STATUS_FAILED);
	exit(0);		/* not _exit(): leaks are looked for on the way out */
}

/* ---- the parent --------------------------------------------------------- */

static void print_line_of(pid_t pid, const char *thread, const char *what)
{
	char path[320], line[128];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%s/%s", (int)pid, thread, what);
	if (!(file = fopen(path, "r")))
		return;
	if (fgets(line, sizeof line, file))
		printf(" %s %.*s", what, (int)strcspn(line, "\n"), line);
	fclose(file);
}

/* Where the threads of a test that hangs are. */
static void print_threads(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	if (!(dir = opendir(path)))
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		printf("#   thread %s:", entry->d_name);
		print_line_of(pid, entry->d_name, "comm");
		print_line_of(pid, entry->d_name, "wchan");
		print_line_of(pid, entry->d_name, "syscall");
		printf("\n");
	}
	closedir(dir);
}

/* Wait for the child's end, or a slice. Returns the ms that took too long. */
static uint64_t wait_slice(const sigset_t *child_signal)
{
	const struct timespec slice = { .tv_nsec = SLICE_MS * 1000000 };
	uint64_t began = now_ms(), took;

	sigtimedwait(child_signal, NULL, &slice);
	took = now_ms() - began;
	return took > SLICE_MS ? took - SLICE_MS : 0;
}

/*
 * The child's exit status, or -1 when it had to be killed; and for how long nothing
 * ran here, at the longest: a virtual machine may stand still, for a second at times.
 */
static int await_child(pid_t pid, const sigset_t *child_signal, int seconds,
    uint64_t *ret_still_ms)
{
	uint64_t deadline = now_ms() + (uint64_t)seconds * 1000, late;
	int status;

	*ret_still_ms = 0;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() >= deadline) {
			printf("# not done after %d s, killed; its threads were\n",
			    seconds);
			print_threads(pid);
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		late = wait_slice(child_signal);
		if (late > *ret_still_ms)
			*ret_still_ms = late;
	}
	kill(-pid, SIGKILL);	/* whatever it left behind */
	if (WIFSIGNALED(status)) {
		printf("# died of signal %d (%s)\n", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
		return -1;
	}
	return WEXITSTATUS(status);
}

static int run_once(const struct test *test, uint64_t *ret_still_ms)
{
	int seconds = test->seconds ? test->seconds : DEFAULT_SECONDS;
	sigset_t child_signal, before;
	int status;
	pid_t pid;

	suite.skip_reason[0] = '\0';
	fflush(stdout);
	/* blocked from before the fork on: else its end could be missed */
	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, &before);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		run_here(test);
	}
	CU_ASSERT_FATAL(pid > 0);
	setpgid(pid, pid);
	status = await_child(pid, &child_signal, SLOW(seconds), ret_still_ms);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (status > STATUS_FAILED && status != STATUS_SKIPPED)
		printf("# exit status %d\n", status);
	return status;
}

static void run_forked(void)
{
	const struct test *test = suite.tests[suite.done];
	uint64_t still_ms;
	bool good;
	int tries = TRIES;

	do {
		int status = run_once(test, &still_ms);

		good = status == 0 || (status == STATUS_SKIPPED && suite.skip_reason[0]);
		if (good || still_ms < STILL_MS)
			break;
		/* no deadline of a test's is meant for that */
		printf("# %s: for %d ms nothing ran here%s\n", test->name, (int)still_ms,
		    tries > 1 ? ", so once more" : "");
	} while (--tries > 0);
	CU_ASSERT(good);
}

static void print_result(const CU_pTest test, const CU_pSuite cu_suite,
    const CU_pFailureRecord failure)
{
	const char *name = test->pName;

	(void)cu_suite;
	if (strncmp(name, "test_", 5) == 0)
		name += 5;
	printf("%s %zu - ", failure ? "not ok" : "ok", ++suite.done);
	for (; *name; name++)
		putchar(*name == '_' ? ' ' : *name);
	if (!failure && suite.skip_reason[0])
		printf(" # SKIP %s", suite.skip_reason);
	putchar('\n');
	fflush(stdout);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

int run_suite(const char *name, const struct test *tests, size_t n,
    int argc, char **argv)
{
	CU_pSuite cu_suite;
	unsigned failed;
	size_t i;

	suite.tests = calloc(n, sizeof *suite.tests);
	suite.skip_reason = mmap(NULL, REASON_MAX, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!suite.tests || suite.skip_reason == MAP_FAILED
	    || CU_initialize_registry() != CUE_SUCCESS
	    || !(cu_suite = CU_add_suite(name, NULL, NULL))) {
		printf("Bail out! no memory\n");
		return 1;
	}
	for (i = 0; i < n; i++)
		if (is_wanted(tests[i].name, argc, argv)
		    && CU_add_test(cu_suite, tests[i].name, run_forked))
			suite.tests[suite.n++] = &tests[i];
	printf("1..%zu\n", suite.n);
	CU_set_test_complete_handler(print_result);
	CU_run_suite(cu_suite);
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	munmap(suite.skip_reason, REASON_MAX);
	free(suite.tests);
	return failed || suite.done != suite.n ? 1 : 0;
}
