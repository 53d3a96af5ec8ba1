// SPDX-License-Identifier: BSD-2-Clause
/*
 * page.js - the page: what it asks when, and where the answers go.
 *
 *	every interval		status, connections	header, tables
 *	every second or ten	history			plots
 *
 * A server that was started anew says so by another "boot": then all begins anew here,
 * too. While the page is paused, or in a tab nobody sees, nothing is asked; afterwards
 * the server's history fills in what was missed.
 */

const ROWS = 200;		// asked for, of connections
const LOST_MS = 2000;		// or two intervals, if that is more

const server = new Server();

/* ---- tables ------------------------------------------------------------------ */

const connGrowth = new Growth({
	in_rate: ["received_bytes", 1],
	out_rate: ["sent_bytes", 1],
	blocked: ["gate_ns", 1e-9],
	window: ["rwnd_limited_us", 1e-6],
});
const metricGrowth = new Growth({ rate: ["value", 1] });
let openTable, closedTable, metricTable;

function showConnections(answer)
{
	const chosen = $("state").value;
	const { rows, total } = answer;

	if (!state.closed)
		connGrowth.add(rows, "id", answer.at_ns);
	(state.closed ? closedTable : openTable).show(rows,
	    state.closed ? "none has closed yet" :
	    chosen ? "none is " + chosen : "nobody is connected");
	say($("shown"), total > rows.length ?
	    `showing ${grouped(rows.length)} of ${grouped(total)}` : "");
}

function showMetrics()
{
	const words = $("filter").value.toLowerCase().split(/\s+/);
	const all = [...state.metrics.values()];
	const rows = all.filter(metric => words.every(word =>
	    (metric.name + " " + (metric.help || "")).toLowerCase().includes(word)));

	metricTable.show(rows, all.length ? "no name has that in it" : "");
	say($("metrics-shown"), rows.length < all.length ?
	    `showing ${rows.length} of ${all.length}` : "");
}

function showTab(closed)
{
	state.closed = closed;
	for (const [tab, selected] of [["tab-open", !closed], ["tab-closed", closed]]) {
		$(tab).setAttribute("aria-selected", String(selected));
		$(tab).tabIndex = selected ? 0 : -1;
	}
	$("panel").setAttribute("aria-labelledby", closed ? "tab-closed" : "tab-open");
	openTable.table.hidden = closed;
	closedTable.table.hidden = !closed;
	openTable.none.hidden = closedTable.none.hidden = true;
	$("state-label").hidden = closed;
	$("why-closed").hidden = !closed;
	say($("shown"), "");
	server.abandon("connections");
	askConnections();
}

/* ---- header ------------------------------------------------------------------ */

function showLink()
{
	const word = state.paused ? "paused" : state.lost ? "lost" :
	    state.status ? "live" : "connecting";

	$("link").className = "link " + word;
	say($("link"), word);
	$("lost").hidden = !state.lost;
	document.title = (state.lost ? "lost: " : "") +
	    (state.status ? state.status.name + " – " : "") + "live monitor";
}

function showHeader(status)
{
	const held = state.metrics.get("endpoint.held_bytes");
	const budget = status.limits.budget_bytes;
	const part = held && budget ? held.value / budget : 0;
	const open = Object.values(status.states).reduce((sum, n) => sum + n, 0);
	const closed = Object.entries(status.closed).sort((a, b) => b[1] - a[1]);

	say($("name"), status.name);
	say($("qdisc"), status.qdisc);
	say($("uptime"), clock(status.uptime_s));
	say($("version"), status.version);
	$("trouble").hidden = status.ready;
	say($("trouble"), status.ready ? "" : status.ready_says);
	$("budget").firstElementChild.style.width = 100 * Math.min(1, part) + "%";
	$("budget").hidden = !budget;
	$("budget").className = part > 0.9 ? "meter high" : "meter";
	$("budget").setAttribute("aria-valuenow", part.toFixed(3));
	say($("budget-number"), budget ?
	    `${Math.round(100 * part)} % of ${brief(bytes(budget))}` : "unlimited");
	say($("n-open"), grouped(open));
	say($("n-closed"), grouped(closed.reduce((sum, [, n]) => sum + n, 0)));
	say($("why-closed"),
	    closed.map(([why, n]) => `${why} ${grouped(n)}`).join(", "));
}

// Nothing for two intervals: what is seen is the past.
function watch()
{
	const silent = performance.now() - state.heard_ms;
	const lost = !state.paused && !document.hidden &&
	    silent > Math.max(LOST_MS, 2 * choices.interval);

	if (lost)
		say($("lost"), "lost connection to server: nothing heard for " +
		    lasting(silent / 1000));
	if (lost !== state.lost) {
		state.lost = lost;
		showLink();
	}
}

/* ---- asking ------------------------------------------------------------------ */

function begin(status)
{
	state.boot = status.boot;
	for (const history of [...Object.values(rings), ...logs.values()])
		history.clear();
	connGrowth.clear();
	metricGrowth.clear();
}

// Its clock may be set, and the one the samples are told by stands still in a suspend.
function keepTime(status)
{
	const zero = status.time_ms / 1000 - status.at_ns / 1e9;

	if (!(Math.abs(zero - state.zero) < 1))
		state.zero = zero;
}

async function askStatus()
{
	const status = await server.ask("status", "api/v1/status");

	if (!status || state.paused)
		return;
	state.heard_ms = performance.now();
	if (status.boot !== state.boot)
		begin(status);
	keepTime(status);
	state.status = status;
	metricGrowth.add(status.metrics, "name", status.at_ns);
	state.metrics = new Map(status.metrics.map(metric => [metric.name, metric]));
	logMetrics(status.at_ns);
	for (const name of choices.graphs)
		addGraph(name);
	watch();
	showLink();
	showHeader(status);
	showMetrics();
	if (choices.interval < 1000 || ring().step > 1)
		ring().provisional(columnsNow(status, state.metrics));
	await askHistory();
	draw();
}

// Once there can be a new sample; the status just heard says what time it is there.
async function askHistory()
{
	const history = ring(), since = history.since;

	if (since && state.status.at_ns - since < 0.95e9 * history.step)
		return;
	const answer = await server.ask("history",
	    `api/v1/history?step=${history.step}&since=${since}`);
	if (answer && answer.boot === state.boot)
		history.take(answer.columns);
}

async function askConnections()
{
	const closed = state.closed, chosen = $("state").value;
	const which = closed ? "&state=closed" :
	    `&sort=${state.sort}` + (chosen ? `&state=${chosen}` : "");
	const answer = await server.ask("connections",
	    `api/v1/connections?limit=${ROWS}${which}`);

	if (answer && !state.paused && closed === state.closed &&
	    chosen === $("state").value)
		showConnections(answer);
}

function tick()
{
	clearTimeout(state.timer);
	state.timer = setTimeout(tick, choices.interval);
	if (state.paused || document.hidden)
		return;
	askStatus();
	askConnections();
}

function pause()
{
	state.paused = !state.paused;
	$("pause").setAttribute("aria-pressed", String(state.paused));
	say($("pause"), state.paused ? "resume" : "pause");
	server.abandon("status", "history", "connections");
	state.heard_ms = performance.now();
	watch();
	showLink();
	tick();
}

/* ---- choosing ---------------------------------------------------------------- */

function setTheme(theme)
{
	choices.theme = theme;
	document.documentElement.dataset.theme = theme;
	say($("theme"), theme);
	recolor();
}

function recolor()
{
	colors.forget();
	for (const plot of [...plots, ...[...graphs.values()].map(graph => graph.plot)])
		plot.chart.redraw(false, true);
}

function choose(id, name)
{
	if (![...$(id).options].some(option => option.value === String(choices[name])))
		choices[name] = Number($(id).value);
	$(id).value = choices[name];
	$(id).addEventListener("change", () => {
		choices[name] = Number($(id).value);
		keep();
		tick();
		if (state.paused && state.status)
			askHistory().then(draw);
	});
}

function wire()
{
	choose("interval", "interval");
	choose("range", "range");
	$("pause").addEventListener("click", pause);
	$("theme").addEventListener("click", () => {
		const themes = ["auto", "light", "dark"];

		setTheme(themes[(themes.indexOf(choices.theme) + 1) % themes.length]);
		keep();
	});
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
	document.addEventListener("visibilitychange", () => {
		state.heard_ms = performance.now();
		if (!document.hidden)
			tick();
	});
	$("filter").addEventListener("input", showMetrics);
	$("state").addEventListener("change", () => {
		server.abandon("connections");
		askConnections();
	});
	for (const name of STATES)
		$("state").append(new Option(name, name));
	for (const tab of [$("tab-open"), $("tab-closed")]) {
		tab.addEventListener("click", () => showTab(tab.id === "tab-closed"));
		tab.addEventListener("keydown", pressed => {
			if (pressed.key !== "ArrowLeft" && pressed.key !== "ArrowRight")
				return;
			showTab(!state.closed);
			$(state.closed ? "tab-closed" : "tab-open").focus();
		});
	}
}

function build()
{
	events = new Legend($("events"), EVENTS, i => {
		const name = "event/" + EVENTS[i].label;

		shared.hide(name, !hidden.has(name));
		events.show(i, !hidden.has(name));
		draw();
	});
	EVENTS.forEach((event, i) =>
	    events.show(i, !hidden.has("event/" + event.label)));
	plots = FIGURES.map(spec => new Plot($("plots"), spec, shared));
	openTable = new Table($("panel"), OPEN, { key: "id", label: "open connections",
	    sort: { key: "held_bytes", up: false },
	    onSort(column) {
		if (column.server)
			state.sort = column.server;
	    } });
	closedTable = new Table($("panel"), CLOSED, { key: "id",
	    label: "closed connections",
	    sort: { key: "closed_ago_ms", up: true } });
	metricTable = new Table($("metrics"), metricColumns(graphs, toggleGraph), {
	    key: "name", label: "metrics", sort: { key: "name", up: true } });
}

recall();
choices.hidden.forEach(name => hidden.add(name));
setTheme(["light", "dark"].includes(choices.theme) ? choices.theme : "auto");
setWindow();
build();
wire();
showTab(false);
showLink();
setInterval(watch, 250);
tick();
