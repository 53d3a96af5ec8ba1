// SPDX-License-Identifier: BSD-2-Clause
/*
 * figures.js - which plots there are, and how one of any metric is made. Colours are
 * names of the stylesheet.
 */

const STATES = ["closing", "throttled", "muted", "waiting", "reading", "idle"];
const NS = 1e-9;

const FIGURES = [
	{
		id: "memory", title: "memory",
		format: bytes, binary: true, least: 1 << 20,
		series: [
			{ label: "resident", color: "--blue", fill: true,
			    values: h => h.gauge("resident_bytes") },
			{ label: "held", color: "--orange",
			    values: h => h.gauge("held_bytes") },
		],
		limits: [
			{ label: "budget", value: s => s.limits.budget_bytes },
		],
	}, {
		id: "throughput", title: "throughput",
		format: bytesPerSecond, least: 1000,
		series: [
			{ label: "in", color: "--blue", fill: true,
			    values: h => h.rate("received_bytes") },
			{ label: "out", color: "--orange",
			    values: h => h.rate("sent_bytes") },
		],
	}, {
		id: "queue", title: "queue", format: bytes, binary: true, least: 1024,
		series: [
			{ label: "bytes", color: "--blue", fill: true,
			    values: h => h.gauge("queued_bytes") },
			{ label: "events", color: "--pink", right: true,
			    format: count, least: 4,
			    values: h => h.gauge("queued_events") },
		],
		limits: [
			{ label: "bytes at most", value: s => s.limits.queue_bytes },
			{ label: "events at most", right: true, format: count,
			    value: s => s.limits.queue_events },
		],
	}, {
		id: "cpu", title: "work", format: plain, least: 1,
		series: [
			{ label: "CPU cores", color: "--green", fill: true,
			    values: h => h.rate("cpu_ns", NS) },
			{ label: "events in hand", color: "--orange",
			    values: h => h.rate("busy_ns", NS) },
		],
	}, {
		id: "wait", title: "time in queue", format: seconds, log: true,
		axis: s => s < 100 ? seconds(s) : s + " s",
		series: [
			{ label: "max", color: "--pink",
			    values: h => positive(h, "wait_max_ns") },
			{ label: "p99", color: "--orange",
			    values: h => positive(h, "wait_p99_ns") },
			{ label: "p50", color: "--blue",
			    values: h => positive(h, "wait_p50_ns") },
		],
	}, {
		id: "states", title: "connections",
		format: count, stacked: true, least: 4,
		series: STATES.slice().reverse().map(state => ({ label: state,
		    color: "--" + state, values: h => h.gauge("state_" + state) })),
		limits: [{ label: "at most", value: s => s.limits.connections }],
	},
];

// A logarithm has no zero; and when nothing was taken there is no time to tell.
function positive(history, column)
{
	return history.gauge(column, NS).map(x => x > 0 ? Math.max(x, 1e-7) : null);
}

// Of a metric; history is then its own, with the one column "value".
function figureOf(metric)
{
	const counter = metric.type === "counter";

	return {
		id: "graph/" + metric.name,
		title: metric.name,
		format: counter ? rateIn(metric.unit) : valueIn(metric),
		binary: !counter && metric.unit === "bytes",
		least: metric.unit === "seconds" ? 1e-3 : 1,
		series: [{
			label: counter ? "a second" : "now",
			color: "--blue", fill: true,
			values: h => counter ? h.rate("value") : h.gauge("value"),
		}],
	};
}

/*
 * The plots' last point when the server is asked more often than it samples: a column
 * of the history, and the metric that has its value now.
 */
const METRIC_OF = {
	resident_bytes: "process.resident_memory_bytes",
	cpu_ns: "process.cpu_seconds",
	held_bytes: "endpoint.held_bytes",
	queued_bytes: "endpoint.queue_bytes",
	queued_events: "endpoint.queue_events",
	received_bytes: "endpoint.received_bytes",
	sent_bytes: "endpoint.sent_bytes",
	busy_ns: "endpoint.busy_seconds",
};

function columnsNow(status, metrics)
{
	const columns = { at_ns: status.at_ns };

	for (const [column, name] of Object.entries(METRIC_OF)) {
		const metric = metrics.get(name);
		const factor = column.endsWith("_ns") ? 1e9 : 1;

		if (metric)
			columns[column] = metric.value * factor;
	}
	for (const state of STATES)
		columns["state_" + state] = status.states[state];
	return columns;
}
