/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_idle.c - many connections that were served once and are idle now: what
 * memory each of them takes.
 *
 * Resident is what the server's process has more than before the first
 * connection. The kernel's share is what /proc/meminfo has more of in slabs,
 * kernel stacks and page tables: of both ends of a connection, for both are on
 * this machine, and of whatever else the machine did in that second or two.
 * Socket buffers are not in it but as far as they are slabs; those of idle
 * connections are empty.
 */
#include "load.h"

#include <sys/resource.h>
#include <unistd.h>

#define OTHER_FILES 16
#define READING_MS 100
#define READINGS_MAX 50

struct reading {
	struct memory server;
	uint64_t kernel;
};

static struct reading read_memory(const struct load *load)
{
	return (struct reading){ server_memory(load), kernel_memory() };
}

static void allow_files(const struct load *load)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail("getrlimit: %m");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail("setrlimit: %m");
	if (limit.rlim_max < load->connections + OTHER_FILES)
		fail("%u connections are more than RLIMIT_NOFILE, %llu, allows",
		    load->connections, (unsigned long long)limit.rlim_max);
}

static void connect_one(const struct load *load, const struct stream *stream,
    unsigned char *scratch, unsigned source)
{
	struct echo echo = { .stream = stream };

	echo.fd = wire_connect(load, source);
	echo_allow(&echo, 1);
	echo_send(&echo, 0);
	while (echo_recv(&echo, scratch, stream->frame, 0) == 0)
		;
}

static bool is_settled(uint64_t last, uint64_t now)
{
	return (now > last ? now - last : last - now) <= last / 200;
}

/*
 * Until two readings differ by less than a 200th. Before the first connection,
 * too: the kernel may still be giving back what another server had.
 */
static struct reading settled_reading(const struct load *load)
{
	struct reading last, now = read_memory(load);
	int readings = 0;

	do {
		last = now;
		usleep(READING_MS * 1000);
		now = read_memory(load);
	} while (++readings < READINGS_MAX
	    && !(is_settled(last.server.resident, now.server.resident)
	    && is_settled(last.kernel, now.kernel)));
	return now;
}

static double per_connection(const struct load *load, uint64_t before,
    uint64_t after)
{
	return ((double)after - (double)before) / load->connections;
}

void load_idle(struct load *load)
{
	struct stream stream;
	struct reading before, after;
	unsigned char *scratch;
	unsigned i;

	if (load->server_pid == 0)
		fail("idle needs --server-pid");
	allow_files(load);
	stream_init(&stream, load);
	scratch = get_memory(1, stream.frame);
	before = settled_reading(load);
	for (i = 0; i < load->connections; i++)
		connect_one(load, &stream, scratch, i + 1);
	after = settled_reading(load);
	report_head(load);
	report_number("server_rss_before_kib", before.server.resident);
	report_number("server_rss_kib", after.server.resident);
	report_real("resident_kib_per_connection",
	    per_connection(load, before.server.resident,
	    after.server.resident));
	report_real("kernel_kib_per_connection",
	    per_connection(load, before.kernel, after.kernel));
	report_number("threads", after.server.threads);
	report_peak(load);
	report_end();
}
