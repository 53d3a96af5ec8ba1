/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_top_terminal.c - demos/abuse top on a terminal that is the test's: it takes it
 * over, gives it back however it ends, and sends it nothing but what it means to.
 */
#include "config.h"

#include "fake.h"
#include "program.h"

#include <termios.h>

static struct program top;

static void begin_on_terminal(enum behaviour behaviour)
{
	fake_begin(behaviour);
	program_start_on_terminal(&top, 100, 30,
	    (const char *[]){ "abuse", "top", fake.url, NULL });
}

static bool is_cooked(void)
{
	struct termios now;

	return tcgetattr(top.terminal, &now) == 0
	    && (now.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO);
}

static const char restored[] = "\033[0m\033[?25h\033[?1049l";

static void check_terminal_restored(void)
{
	size_t n = strlen(top.text[SAID]), len = strlen(restored);

	CHECK(n > len && strcmp(top.text[SAID] + n - len, restored) == 0);
}

static void test_top_takes_the_terminal_and_gives_it_back(void)
{
	begin_on_terminal(GOOD);
	WAIT_UNTIL(program_said(&top, SAID, "127.0.0.1:40001"));
	CHECK(program_said(&top, SAID, "\033[?1049h\033[?25l"));
	CHECK(!is_cooked());
	program_type(&top, "s");
	WAIT_UNTIL(program_said(&top, SAID, "s sorts: received"));
	program_type(&top, "q");
	WAIT_UNTIL(program_said(&top, SAID, restored) && is_cooked());
	CHECK_EQ(program_await(&top, 8000), 0);
	check_terminal_restored();
	fake_end();
}

static void test_top_gives_the_terminal_back_when_it_is_interrupted(void)
{
	begin_on_terminal(GOOD);
	WAIT_UNTIL(program_said(&top, SAID, "127.0.0.1:40001"));
	program_type(&top, "\003");
	WAIT_UNTIL(program_said(&top, SAID, restored) && is_cooked());
	CHECK_EQ(program_await(&top, 8000), 0);
	check_terminal_restored();
	fake_end();
}

static void test_top_ends_at_once_while_a_server_is_silent(void)
{
	uint64_t begin;

	begin_on_terminal(SILENT);
	WAIT_UNTIL(fake.served == 1);
	begin = now_ms();
	program_type(&top, "q");
	CHECK_EQ(program_await(&top, 8000), 0);
	CHECK_LE(now_ms() - begin, (uint64_t)SLOW(1000));	/* a request may take 2 s */
	check_terminal_restored();
	fake_end();
}

/* What begins with an escape is a colour, the cursor's or the screen's; ours are few. */
static bool is_ours(const char *escape)
{
	static const char *const ours[] = {
		"[H", "[K", "[J", "[2J", "[?1049h", "[?1049l", "[?25h", "[?25l",
		"[0m", "[1m", "[2m", "[31m", "[32m", "[33m", "[36m", "[1;37;41m",
	};

	for (size_t i = 0; i < COUNT_OF(ours); i++)
		if (strncmp(escape + 1, ours[i], strlen(ours[i])) == 0)
			return true;
	return false;
}

static void test_top_on_a_terminal_obeys_nobody_else(void)
{
	char *c = top.text[SAID];

	begin_on_terminal(HOSTILE);
	WAIT_UNTIL(program_said(&top, SAID, "?]0;owned??[31"));
	program_type(&top, "q");
	CHECK_EQ(program_await(&top, 8000), 0);
	CHECK(strstr(c, "]0;owned\007") == NULL);
	fake_take_out_glyphs(c);
	for (; *c; c++)
		CHECK(*c == '\033' ? is_ours(c) : *c == '\r' || *c == '\n'
		    || (*c >= ' ' && *c < 0x7f));
	fake_end();
}

static void test_top_on_a_terminal_shows_that_the_server_is_lost(void)
{
	begin_on_terminal(GOOD);
	WAIT_UNTIL(program_said(&top, SAID, "127.0.0.1:40001"));
	fake_end();
	WAIT_UNTIL(program_said(&top, SAID, "trying again"));
	top.n[SAID] = 0;
	memset(top.text[SAID], 0, sizeof top.text[SAID]);
	fake_begin_again();
	WAIT_UNTIL(program_said(&top, SAID, "ready"));
	program_type(&top, "q");
	CHECK_EQ(program_await(&top, 8000), 0);
	fake_end();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_top_takes_the_terminal_and_gives_it_back),
		TEST(test_top_gives_the_terminal_back_when_it_is_interrupted),
		TEST(test_top_ends_at_once_while_a_server_is_silent),
		TEST(test_top_on_a_terminal_obeys_nobody_else),
		TEST(test_top_on_a_terminal_shows_that_the_server_is_lost),
	};

	return run_suite("top on a terminal", tests, COUNT_OF(tests), argc, argv);
}
