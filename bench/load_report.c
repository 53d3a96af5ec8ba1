/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_report.c - the figures, as key=value on one line.
 */
#include "load.h"

#include <stdio.h>

static double seconds(uint64_t begin_ns, uint64_t end_ns)
{
	return (double)(end_ns - begin_ns) / NS_PER_S;
}

void report_head(const struct load *load)
{
	printf("mode=%s connections=%u size=%zu", load->mode->name,
	    load->connections, load->size);
}

void report_rate(const struct load *load, uint64_t messages, uint64_t bytes)
{
	double span = seconds(load->begin_ns, load->end_ns);

	printf(" seconds=%.3f messages=%llu bytes=%llu rate=%.1f mb_s=%.2f",
	    span, (unsigned long long)messages, (unsigned long long)bytes,
	    (double)messages / span, (double)bytes / span / 1e6);
}

void report_number(const char *key, uint64_t n)
{
	printf(" %s=%llu", key, (unsigned long long)n);
}

void report_real(const char *key, double n)
{
	printf(" %s=%.3f", key, n);
}

void report_latency(const struct histogram *h)
{
	printf(" p50_us=%.3f p99_us=%.3f p999_us=%.3f max_us=%.3f",
	    (double)histogram_at(h, 500) / 1e3,
	    (double)histogram_at(h, 990) / 1e3,
	    (double)histogram_at(h, 999) / 1e3, (double)h->max / 1e3);
}

/* Per message and per GB: of both sides together. */
void report_cost(const struct load *load, uint64_t messages, uint64_t bytes)
{
	const struct usage *begin = &load->usage_begin, *end = &load->usage_end;
	double client = seconds(begin->client, end->client);
	double server = seconds(begin->server, end->server);

	printf(" client_cpu_s=%.4f", client);
	if (load->server_pid == 0)
		return;
	printf(" server_cpu_s=%.4f", server);
	if (messages > 0)
		printf(" cpu_us_per_message=%.4f",
		    (client + server) / (double)messages * 1e6);
	if (bytes > 0)
		printf(" cpu_s_per_gb=%.4f",
		    (client + server) / (double)bytes * 1e9);
}

void report_peak(const struct load *load)
{
	if (load->server_pid != 0)
		report_number("server_peak_kib", server_memory(load).peak);
}

void report_end(void)
{
	printf("\n");
	if (fflush(stdout) != 0)
		fail("stdout: %m");
}
