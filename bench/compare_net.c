/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_net.c - how TCP paces itself on the loopback. There is nothing to pace:
 * reno and cubic send as long as nothing is lost, and nothing is. One that goes by
 * what it estimates of the path (bbr) holds back and sends by timers, so that it
 * would be measured, and not the servers.
 *
 * Such a one is left behind by a network namespace of our own, of which we may
 * choose; the machine's is not touched. What else is set for a namespace is taken
 * along.
 */
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONGESTION "ipv4/tcp_congestion_control"
#define WANTED "reno"			/* always there, and allowed */

struct setting {
	char s[96];
};

static const char *const carried[] = {
	"core/somaxconn", "core/rmem_max", "core/wmem_max",
	"ipv4/ip_local_port_range", "ipv4/tcp_rmem", "ipv4/tcp_wmem",
	"ipv4/tcp_max_syn_backlog", "ipv4/tcp_tw_reuse", "ipv4/tcp_fin_timeout",
};
#define CARRIED (sizeof carried / sizeof *carried)

static int open_setting(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	return open(path, flags | O_CLOEXEC);
}

/* Empty when it cannot be read. */
static struct setting setting_of(const char *name)
{
	struct setting value = { "" };
	int fd = open_setting(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return value;
	n = read(fd, value.s, sizeof value.s - 1);
	close(fd);
	value.s[n > 0 ? n : 0] = '\0';
	value.s[strcspn(value.s, "\n")] = '\0';
	return value;
}

static bool set(const char *name, const char *value)
{
	int fd = open_setting(name, O_WRONLY);
	ssize_t n;
	int err;

	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	err = errno;
	close(fd);
	errno = err;
	return n >= 0;
}

static bool paces(const char *congestion)
{
	return *congestion && strcmp(congestion, "reno") != 0
	    && strcmp(congestion, "cubic") != 0;
}

static bool raise_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc, err;

	if (fd < 0)
		return false;
	rc = ioctl(fd, SIOCSIFFLAGS, &lo);
	err = errno;
	close(fd);
	errno = err;
	return rc == 0;
}

/* Who is not root is allowed it in a user namespace of his own, if at all. */
static bool enter_own(void)
{
	return (unshare(CLONE_NEWNET) == 0
	    || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
	    && raise_loopback() && set(CONGESTION, WANTED);
}

/* There is no way back from one that we may enter but not use. Returns an errno. */
static int try_in_child(void)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return errno;
	if (child == 0)
		_exit(enter_own() ? 0 : errno);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return ECHILD;
	return WEXITSTATUS(status);
}

static void carry(const struct setting *values)
{
	struct setting here;

	for (size_t i = 0; i < CARRIED; i++) {
		here = setting_of(carried[i]);
		if (*here.s && *values[i].s && strcmp(here.s, values[i].s) != 0
		    && !set(carried[i], values[i].s))
			fprintf(stderr, "compare: net/%s is %s here, not %s\n",
			    carried[i], here.s, values[i].s);
	}
}

void choose_congestion(struct bench *bench)
{
	struct setting before = setting_of(CONGESTION), values[CARRIED];
	int err;

	snprintf(bench->congestion, sizeof bench->congestion, "%.31s",
	    before.s);
	if (!paces(before.s))
		return;
	for (size_t i = 0; i < CARRIED; i++)
		values[i] = setting_of(carried[i]);
	err = try_in_child();
	if (!err && !enter_own())
		err = errno;
	if (err) {
		fprintf(stderr, "compare: TCP is paced by %s, which distorts what "
		    "follows; no network of our own: %s\n", before.s, strerror(err));
		return;
	}
	carry(values);
	snprintf(bench->congestion, sizeof bench->congestion, "%.31s",
	    setting_of(CONGESTION).s);
	fprintf(stderr, "compare: in a network of our own, where TCP goes by %s and "
	    "not by %s\n", bench->congestion, before.s);
}
