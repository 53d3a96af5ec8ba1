/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - what every test program needs: a suite, checks, waiting, baselines.
 *
 * One CUnit suite a program, TAP on stdout. Each test runs in a forked child: a
 * crash, a hang or a leak is that test's alone, and the parent, which has one
 * thread, kills the child at its deadline. So a test may set limits, dispositions
 * and the like for itself. After it the child must have the descriptors and threads
 * it began with.
 *
 * The checks may be used on any thread, also within handlers of the library. CHECK
 * notes a failure and goes on, REQUIRE ends the test. (CUnit's own assertions are
 * for one thread only.) Nothing here sleeps to synchronise but WAIT_UNTIL, which
 * polls its condition.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <bpthread.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>

struct test {
	const char *name;	/* a sentence with _ for the spaces */
	void (*run)(void);
	int seconds;		/* deadline; 0: 20 */
};

#define TEST(function) { #function, function, 0 }
#define TEST_WITHIN(function, seconds) { #function, function, seconds }
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/*
 * Run those of the tests whose name contains one of the arguments (all of them
 * without arguments) and return the exit status for main().
 */
int run_suite(const char *name, const struct test *tests, size_t n,
    int argc, char **argv);

/* ---- checks ------------------------------------------------------------- */

bool check_true(bool ok, const char *file, int line, const char *what);
bool check_pair(char op, intmax_t left, intmax_t right,
    const char *file, int line, const char *what);
_Noreturn void end_failed_test(void);

/* What the machine lacks: ends the test, and says so aloud. */
_Noreturn void skip_test(const char *reason, ...)
    __attribute__((format(printf, 1, 2)));

#define CHECK(cond) check_true((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(a, b) CHECK_PAIR(a, '=', b, #a " == " #b)
#define CHECK_NE(a, b) CHECK_PAIR(a, '!', b, #a " != " #b)
#define CHECK_LE(a, b) CHECK_PAIR(a, '<', b, #a " <= " #b)
#define CHECK_GE(a, b) CHECK_PAIR(a, '>', b, #a " >= " #b)
#define CHECK_PAIR(a, op, b, what) check_pair(op, (intmax_t)(a), (intmax_t)(b), \
	__FILE__, __LINE__, what)
#define CHECK_STR(a, b) check_true(strcmp((a), (b)) == 0, __FILE__, __LINE__, \
	#a " is " #b)

#define REQUIRE(cond) REQUIRED(check_true((cond), __FILE__, __LINE__, #cond))
#define REQUIRE_EQ(a, b) REQUIRED(CHECK_PAIR(a, '=', b, #a " == " #b))
#define REQUIRED(ok) do { if (!(ok)) end_failed_test(); } while (0)

/* ---- time --------------------------------------------------------------- */

/* Upper limits are stretched by BP_TEST_SLOW, an integer factor (1). */
int slow_factor(void);
#define SLOW(ms) ((ms) * slow_factor())

uint64_t now_ns(void);
uint64_t now_ms(void);

/* Give way for a tenth of a millisecond; false once deadline_ms has passed. */
bool wait_tick(uint64_t deadline_ms);

/* Poll until cond holds; a failed REQUIRE when it does not within ms (stretched). */
#define WAIT_UNTIL_MS(cond, ms) WAIT_UNTIL_TRUE(cond, ms, "in time: " #cond)
#define WAIT_UNTIL(cond) WAIT_UNTIL_TRUE(cond, 8000, "in time: " #cond)
#define WAIT_UNTIL_TRUE(cond, ms, what) do { \
	uint64_t deadline_ = now_ms() + (uint64_t)SLOW(ms); \
	bool holds_; \
	while (!(holds_ = (cond)) && wait_tick(deadline_)) \
		; \
	REQUIRED(check_true(holds_, __FILE__, __LINE__, what)); \
} while (0)

/*
 * cond must hold now and go on holding for ms: for what must NOT happen, where no
 * counter can tell. Not stretched: a slow machine makes it weaker, never wrong.
 */
#define HOLDS_FOR_MS(cond, ms) do { \
	uint64_t deadline_ = now_ms() + (uint64_t)(ms); \
	bool holds_; \
	while ((holds_ = (cond)) && wait_tick(deadline_)) \
		; \
	check_true(holds_, __FILE__, __LINE__, "stays true: " #cond); \
} while (0)

/* ---- threads of the test's own ------------------------------------------ */

struct task;
struct task *task_start(void (*fn)(void *arg), void *arg);
bool task_done(const struct task *task);
void task_join(struct task *task);	/* REQUIREs that it ends in time; frees it */

/* ---- the process -------------------------------------------------------- */

int count_fds(void);
int count_threads(void);
size_t resident_bytes(void);		/* REQUIREs /proc */
uint64_t cpu_ns(void);			/* used by all threads of the process */

/* Resident size and such mean nothing under a sanitizer: skip_test() there. */
bool is_sanitized(void);

/* ---- endpoints ---------------------------------------------------------- */

#define ADDR_MAX 128

/* A new endpoint that listens on 127.0.0.1, any port; either config may be NULL. */
struct bp_endpoint *serve(const struct bp_endpoint_config *config,
    const struct bp_conn_config *conn_config, char ret_addr[ADDR_MAX]);
struct bp_endpoint *new_endpoint(const struct bp_endpoint_config *config);
void listen_on(struct bp_endpoint *ep, const char *addr,
    const struct bp_conn_config *config, char ret_addr[ADDR_MAX]);

/* A reference to the one connection ep has or gets. */
struct bp_conn *only_conn(struct bp_endpoint *ep);

struct bp_endpoint_stats stats_of(struct bp_endpoint *ep);
struct bp_conn_stats conn_stats_of(struct bp_conn *conn);

/* The next event, which must come in time and be of this kind. */
struct bp_event *next_event(struct bp_endpoint *ep, enum bp_event_kind kind);
void skip_event(struct bp_endpoint *ep, enum bp_event_kind kind);

/* Wait until no connection is left and nothing is charged, queued or to be sent. */
void check_quiet(struct bp_endpoint *ep);

/* Stop with a short grace, drop what was not received, check_quiet(), free. */
void finish(struct bp_endpoint *ep);

#endif /* TEST_HARNESS_H */
