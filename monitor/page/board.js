// SPDX-License-Identifier: BSD-2-Clause
/*
 * board.js - the plots together: one window of time for all, the events in it, and the
 * graphs of single metrics that were added.
 */

const WINDOWS = [60, 120, 300, 600, 1200, 3000, 6000];	// seconds plots can show

const $ = id => document.getElementById(id);

const rings = { 1: new History(1), 10: new History(10) };

const state = {
	boot: null,
	status: null,		// the last answer
	metrics: new Map(),	// by name, of the last answer
	zero: 0,		// the time of day at which the endpoint began
	paused: false,
	heard_ms: performance.now(),
	lost: false,
	closed: false,		// the tab of connections that is open
	sort: "held_bytes",	// by which the server chooses rows
	timer: 0,
};

/* ---- plots ------------------------------------------------------------------- */

const hidden = new Set();

const shared = {
	window: [0, 1],
	zero: 0,
	marks: EVENTS.map(() => []),	// of each kind, spans of time
	hidden,
	hide(name, yes)
	{
		yes ? hidden.add(name) : hidden.delete(name);
		choices.hidden = [...hidden];
		keep();
	},
	cursor(t)
	{
		if (t !== this.at) {
			this.at = t;
			showEvents();
		}
	},
	at: null,
};

let plots = [], events;
const graphs = new Map();	// by metric: { plot, history }
const logs = new Map();		// by metric: a history of its own, from when we came

function ring()
{
	return rings[choices.range > 600 ? 10 : 1];
}

// The smallest window that shows all there is, up to what was chosen: a young server's
// seconds fill the plot, and the window moves rarely.
function setWindow()
{
	const history = ring(), times = history.times(state.zero);
	const from = times[0], to = times[times.length - 1];
	const width = WINDOWS.find(w => w >= choices.range || w >= to - from) ||
	    choices.range;

	shared.zero = state.zero;
	shared.window = times.length ? [to - width, to] :
	    [Date.now() / 1000 - 60, Date.now() / 1000];
}

// Spans in which a counter grew, of how often or of how long: neighbours are one.
function setMarks()
{
	const history = ring(), times = history.times(state.zero);

	shared.marks = EVENTS.map(event => {
		const spans = [];

		if (hidden.has("event/" + event.label))
			return spans;
		history.growth(event.lasts || event.column).forEach((x, i) => {
			const last = spans[spans.length - 1];

			if (!x)
				return;
			if (last && last[1] === times[i - 1])
				last[1] = times[i];
			else
				spans.push([times[i - 1], times[i]]);
		});
		return spans;
	});
}

function showEvents()
{
	const history = ring(), times = history.times(state.zero);
	const at = shared.at === null ? -1 : times.findIndex(t => t >= shared.at);

	EVENTS.forEach((event, i) => {
		const growth = history.growth(event.column);
		const sum = growth.reduce((all, x, k) =>
		    all + (times[k] > shared.window[0] ? x || 0 : 0), 0);

		events.value(i, event.format(at < 0 ? sum : growth[at] || 0));
	});
	say($("when"), at < 0 ? "" : "at " + timeOfDay(shared.at, true));
}

function draw()
{
	if (!state.status)
		return;
	setWindow();
	setMarks();
	for (const plot of plots)
		plot.update(ring(), state.status);
	for (const { plot, history } of graphs.values())
		plot.update(history, state.status);
	showEvents();
}

/* ---- graphs of metrics ------------------------------------------------------- */

function addGraph(name)
{
	const metric = state.metrics.get(name);

	if (!metric || graphs.has(name))
		return;
	const history = logs.get(name);
	const plot = new Plot($("graphs"), figureOf(metric), shared);
	const close = element("button", "small close", "×");
	close.type = "button";
	close.setAttribute("aria-label", "remove the graph of " + name);
	close.addEventListener("click", () => toggleGraph(name));
	plot.figure.firstChild.append(close);
	graphs.set(name, { plot, history });
	plot.update(history, state.status);
}

function toggleGraph(name)
{
	const there = graphs.get(name);

	if (there) {
		there.plot.remove();
		graphs.delete(name);
	} else {
		addGraph(name);
	}
	choices.graphs = [...graphs.keys()];
	keep();
	showMetrics();
}

// A sample a second of every metric, so that a graph begins with some past.
function logMetrics(at_ns)
{
	for (const [name, metric] of state.metrics) {
		if (!logs.has(name))
			logs.set(name, new History(1));
		const log = logs.get(name);
		log.step = Math.max(1, choices.interval / 1000);
		if (!log.since || at_ns - log.since > 0.9e9)
			log.take({ at_ns: [at_ns], value: [metric.value] });
	}
}
