/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_lists.c - the contenders and the modes. One more of either is one more
 * entry here, and nothing elsewhere.
 */
#include "compare.h"

#define KIB 1024L
#define MIB (1024 * KIB)

const struct contender contenders[] = {
	{ "raw", "raw", "raw", "server_raw", { 0 }, "u32", false, false },
	{ "bpthread-handler", "bpthread, handler", "handler", "server_bpthread",
	    { "--by", "handler" }, "u32", true, false },
	{ "bpthread-receive", "bpthread, receive", "receive", "server_bpthread",
	    { "--by", "receive" }, "u32", true, false },
	{ "bpthread-spin", "bpthread, spin", "spin", "server_bpthread",
	    { "--spin" }, "u32", true, true },
	{ "libuv", "libuv", "libuv", "server_libuv", { 0 }, "u32", false, false },
	{ "libevent", "libevent", "libevent", "server_libevent", { 0 }, "u32", false,
	    false },
	{ "asio", "asio", "asio", "server_asio", { 0 }, "u32", false, false },
	{ "go", "go", "go", "server_go", { 0 }, "u32", false, false },
	{ "nng", "nng", "nng", "server_nng", { 0 }, "sp", false, false },
	{ "zeromq", "zeromq", "zeromq", "server_zeromq", { 0 }, "zmtp", false, false },
};
const int contenders_n = sizeof contenders / sizeof *contenders;

#define RATE { "messages/s", "rate", 1 }
#define BULK { "MB/s", "mb_s", 1 }
#define P50 { "p50 us", "p50_us", 1 }
#define P99 { "p99 us", "p99_us", 1 }
#define PEAK { "server peak MiB", "server_peak_kib", 1.0 / 1024 }

const struct mode modes[] = {
	{ "pingpong-64", "ping-pong 64 B, free", "pingpong", "echo",
	    .size = 64, .connections = 1, .spin = true,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "pingpong-64-one-core", "ping-pong 64 B, one core", "pingpong", "echo",
	    .size = 64, .connections = 1, .placing = ONE_CORE,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "pingpong-64-two-cores", "ping-pong 64 B, two cores", "pingpong", "echo",
	    .size = 64, .connections = 1, .placing = TWO_CORES, .spin = true,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "pingpong-64-50", "ping-pong 64 B, 50 connections", "pingpong", "echo",
	    .size = 64, .connections = 50,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "pingpong-1m", "ping-pong 1 MiB", "pingpong", "echo",
	    .size = MIB, .connections = 1,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "pipeline-1", "pipelined 64 B, 1 x 64", "pipeline", "echo",
	    .size = 64, .connections = 1, .outstanding = 64,
	    .two_cores_if_pinned = true,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { PEAK } },
	{ "pipeline-16", "pipelined 64 B, 16 x 16", "pipeline", "echo",
	    .size = 64, .connections = 16, .outstanding = 16,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { PEAK } },
	{ "sink-16m-1", "sink 16 MiB, 1 connection", "sink", "sink",
	    .size = 16 * MIB, .connections = 1,
	    .cpu = CPU_PER_GB, .figure = BULK, .more = { PEAK } },
	{ "sink-16m-4", "sink 16 MiB, 4 connections", "sink", "sink",
	    .size = 16 * MIB, .connections = 4,
	    .cpu = CPU_PER_GB, .figure = BULK, .more = { PEAK } },
	{ "sink-64", "sink 64 B, 4 connections", "sink", "sink",
	    .size = 64, .connections = 4,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { PEAK } },
	{ "connect", "connect, echo, close", "connect", "echo",
	    .size = 64,
	    .cpu = CPU_PER_MESSAGE, .figure = RATE, .more = { P50, P99 } },
	{ "idle", "idle connections", "idle", "echo",
	    .less_is_better = true,
	    .figure = { "KiB resident each", "resident_kib_per_connection", 1 },
	    .more = { { "kernel KiB each", "kernel_kib_per_connection", 1 },
	    { "threads", "threads", 1 }, { "connections", "connections", 1 } } },
	{ "slow", "slow readers, memory", "slow", "echo",
	    .connections = 16, .less_is_better = true,
	    .figure = { "MiB at most", "server_peak_kib", 1.0 / 1024 },
	    .more = { { "sent at stall MiB", "sent_before_stall_bytes",
	    1.0 / MIB } } },
	{ "flood", "pings beside a flood, p99", "flood", "echo",
	    .less_is_better = true, .cpu = CPU_PER_MESSAGE,
	    .figure = { "ms, p99", "p99_us", 1e-3 }, .more = { P50,
	    { "max us", "max_us", 1 }, { "flood MB/s", "mb_s", 1 } } },
};
const int modes_n = sizeof modes / sizeof *modes;

_Static_assert(sizeof modes / sizeof *modes <= MODES_MAX, "has_mode[]");
_Static_assert(sizeof contenders / sizeof *contenders <= CONTENDERS_MAX,
    "has_contender[]");

bool takes_part(const struct contender *contender, const struct mode *mode)
{
	return !contender->spins || mode->spin;
}
