/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_child.c - the server and the client as processes of their own, so that the
 * memory that is looked at is that of one side alone. They are this same program.
 *
 * A child is always reaped. It has a process group of its own, so that Ctrl-C
 * reaches it only through compare; and it dies with compare, however that dies.
 * One that is forked without an exec must not have had threads before: compare
 * itself has none, and calls the library only for names.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_compare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_AFTER_MS 5000

/* Returns false when compare has died before it could be tied to. */
static bool tie_to(pid_t parent)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == parent;
}

static _Noreturn void become(const char *const argv[], int out, pid_t parent)
{
	if (tie_to(parent) && dup2(out, STDOUT_FILENO) >= 0)
		execv("/proc/self/exe", (char *const *)argv);
	_exit(127);
}

int child_start(struct child *child, const char *const argv[])
{
	pid_t self = getpid();
	int ends[2], rc;

	memset(child, 0, sizeof *child);
	if (pipe(ends) != 0)
		return -errno;
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child->fd = ends[0];
	child->pid = fork();
	rc = child->pid < 0 ? -errno : 0;
	if (child->pid == 0)
		become(argv, ends[1], self);
	close(ends[1]);
	if (rc < 0)
		close(ends[0]);
	return rc;
}

int child_fork(struct child *child, int (*fn)(void *arg), void *arg)
{
	pid_t self = getpid();

	memset(child, 0, sizeof *child);
	child->fd = -1;
	fflush(stdout);			/* or both would write what is in it */
	child->pid = fork();
	if (child->pid == 0)
		_exit(tie_to(self) ? fn(arg) : 127);
	return child->pid < 0 ? -errno : 0;
}

/* A line longer than the buffer is none of ours: it is handed on in pieces. */
static void hand_on(struct child *child, void (*fn)(const char *line, void *arg), void *arg)
{
	char *line = child->text, *end;

	child->text[child->have] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		fn(line, arg);
		line = end + 1;
	}
	child->have = strlen(line);
	if (child->have == sizeof child->text - 1)
		child->have = 0;
	memmove(child->text, line, child->have);
}

bool child_poll(struct child *child, void (*fn)(const char *line, void *arg), void *arg)
{
	ssize_t n;

	/* asked first: what it wrote before it ended is read below */
	if (!child->exited && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->exited = true;
	while (child->fd >= 0) {
		n = read(child->fd, child->text + child->have,
		    sizeof child->text - 1 - child->have);
		if (n <= 0)
			break;
		child->have += (size_t)n;
		hand_on(child, fn, arg);
	}
	if (child->exited && child->fd >= 0) {
		close(child->fd);
		child->fd = -1;
	}
	return !child->exited;
}

void child_finish(struct child *child, uint64_t patience_ms,
    void (*fn)(const char *line, void *arg), void *arg)
{
	uint64_t term_at = now_ns() + patience_ms * NS_PER_MS;
	uint64_t kill_at = term_at + KILL_AFTER_MS * NS_PER_MS;
	bool termed = false;

	while (child_poll(child, fn, arg)) {
		if (!termed && now_ns() >= term_at) {
			kill(child->pid, SIGTERM);
			termed = true;
		}
		if (now_ns() >= kill_at)
			kill(child->pid, SIGKILL);
		sleep_until(now_ns() + TICK_NS / 4);
	}
}

bool child_failed(const struct child *child, const char *who, char *out, size_t size)
{
	if (WIFSIGNALED(child->status))
		snprintf(out, size, "the %s was killed by signal %d", who,
		    WTERMSIG(child->status));
	else if (WEXITSTATUS(child->status) != 0)
		snprintf(out, size, "the %s exited with status %d", who,
		    WEXITSTATUS(child->status));
	else
		return false;
	return true;
}
