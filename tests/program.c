/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - see program.h. Nobody waits in here but with a deadline, and a program
 * dies with its test.
 */
#include "config.h"

#include "program.h"

#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static _Noreturn void become(const char *const args[])
{
	const char *place = getenv("BP_TEST_DEMOS");
	char path[1024];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof path, "%s/%s", place ? place : "demos", args[0]);
	execv(path, (char *const *)args);
	_exit(127);
}

void program_start(struct program *p, const char *const args[])
{
	int out[2], err[2];

	memset(p, 0, sizeof *p);
	REQUIRE_EQ(pipe2(out, O_CLOEXEC), 0);
	REQUIRE_EQ(pipe2(err, O_CLOEXEC), 0);
	p->pid = fork();
	REQUIRE(p->pid >= 0);
	if (p->pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		become(args);
	}
	close(out[1]);
	close(err[1]);
	p->terminal = -1;
	p->fds[SAID] = out[0];
	p->fds[COMPLAINED] = err[0];
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
}

/* Its other end is name. A chroot or a container may have none. */
static int open_terminal(char *name, size_t size)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0
	    || ptsname_r(fd, name, size) != 0 || access(name, R_OK | W_OK) < 0)
		skip_test("there are no pseudo-terminals here");
	return fd;
}

void program_start_on_terminal(struct program *p, int columns, int rows,
    const char *const args[])
{
	struct winsize size = {
		.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns,
	};
	char name[64];
	int fd;

	memset(p, 0, sizeof *p);
	p->terminal = open_terminal(name, sizeof name);
	REQUIRE_EQ(ioctl(p->terminal, TIOCSWINSZ, &size), 0);
	p->pid = fork();
	REQUIRE(p->pid >= 0);
	if (p->pid == 0) {
		setsid();
		fd = open(name, O_RDWR);	/* now the controlling one */
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
		setenv("TERM", "xterm", 1);
		become(args);
	}
	p->fds[SAID] = p->terminal;
	p->fds[COMPLAINED] = -1;
}

void program_listen(struct program *p)
{
	char dropped[4096];
	size_t room;
	ssize_t n;

	for (int i = 0; i < 2; i++)
		do {
			room = sizeof p->text[i] - 1 - p->n[i];
			n = p->fds[i] < 0 ? 0 : room
			    ? read(p->fds[i], p->text[i] + p->n[i], room)
			    : read(p->fds[i], dropped, sizeof dropped);
			if (n > 0 && room)
				p->n[i] += (size_t)n;
		} while (n > 0);
}

bool program_said(struct program *p, int which, const char *text)
{
	program_listen(p);
	return strstr(p->text[which], text) != NULL;
}

size_t program_lines(struct program *p, int which)
{
	size_t n = 0;

	program_listen(p);
	for (const char *c = p->text[which]; (c = strchr(c, '\n')); c++)
		n++;
	return n;
}

void program_type(struct program *p, const char *keys)
{
	REQUIRE_EQ(write(p->terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* On a terminal it would wait for its output to be taken. */
static bool has_ended(struct program *p, int *ret_status)
{
	program_listen(p);
	return waitpid(p->pid, ret_status, WNOHANG) == p->pid;
}

int program_await(struct program *p, int ms)
{
	int status;

	WAIT_UNTIL_MS(has_ended(p, &status), ms);
	program_listen(p);
	for (int i = 0; i < 2; i++)
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int program_stop(struct program *p, int stop_signal)
{
	kill(p->pid, stop_signal);
	return program_await(p, 8000);
}

static bool has_line(struct program *p, int which, const char *begin)
{
	const char *found;

	program_listen(p);
	found = strstr(p->text[which], begin);
	return found && strchr(found, '\n');
}

void program_find(struct program *p, int which, const char *begin, char *out, size_t size)
{
	const char *found;

	WAIT_UNTIL(has_line(p, which, begin));
	found = strstr(p->text[which], begin) + strlen(begin);
	snprintf(out, size, "%.*s", (int)strcspn(found, "\r\n\""), found);
}
