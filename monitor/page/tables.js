// SPDX-License-Identifier: BSD-2-Clause
/*
 * tables.js - a table that is sorted by a click on a heading, and the three there are:
 * connections, those that have closed, and metrics. A row stays the same element while
 * what it shows lives, and only what has changed is set: so ten times a second is
 * cheap, and what is selected or focused stays so.
 *
 * A column: { key, title, help, value: row => what it is sorted by, text: row => ...,
 * left: true for words, server: by what the server is to choose rows, fill: own cell }
 */

class Table {
	constructor(mount, columns, { key, sort, label, onSort = () => {} })
	{
		this.columns = columns;
		this.key = key;
		this.sort = sort;	// { key, up }
		this.onSort = onSort;
		this.rows = [];
		this.lines = new Map();	// by key
		this.table = element("table");
		this.table.setAttribute("aria-label", label);
		this.headings = this.head(this.table.appendChild(element("thead")));
		this.body = this.table.appendChild(element("tbody"));
		this.none = element("p", "none");
		mount.append(this.table, this.none);
		this.showSort();
	}

	head(mount)
	{
		const line = mount.appendChild(element("tr"));

		return this.columns.map(column => {
			const side = column.left ? "left" : "";
			const th = line.appendChild(element("th", side));

			th.scope = "col";
			if (!column.value) {
				th.append(column.title);
				return th;
			}
			const button = element("button", "", column.title);
			th.append(button);
			button.type = "button";
			if (column.help)
				button.title = column.help;
			button.addEventListener("click", () => this.sortBy(column));
			return th;
		});
	}

	// Numbers begin with the largest, words with the first; again: the other way.
	sortBy(column)
	{
		this.sort = { key: column.key, up: this.sort.key === column.key ?
		    !this.sort.up : Boolean(column.left) };
		this.showSort();
		this.order();
		this.onSort(column);
	}

	showSort()
	{
		this.columns.forEach((column, i) => {
			if (column.key !== this.sort.key)
				this.headings[i].removeAttribute("aria-sort");
			else
				this.headings[i].setAttribute("aria-sort",
				    this.sort.up ? "ascending" : "descending");
		});
	}

	// whyNone: what to say when there are none.
	show(rows, whyNone)
	{
		this.rows = rows;
		const gone = new Map(this.lines);
		for (const row of rows) {
			gone.delete(row[this.key]);
			this.line(row);
		}
		for (const [key, line] of gone) {
			line.remove();
			this.lines.delete(key);
		}
		this.order();
		this.none.hidden = rows.length > 0;
		say(this.none, rows.length ? "" : whyNone);
	}

	line(row)
	{
		let line = this.lines.get(row[this.key]);

		if (!line) {
			line = element("tr");
			for (const column of this.columns)
				line.append(element("td", column.left ? "left" : ""));
			this.lines.set(row[this.key], line);
		}
		this.columns.forEach((column, i) => {
			if (column.fill)
				column.fill(line.cells[i], row);
			else
				say(line.cells[i], column.text(row));
		});
	}

	// Lines are moved only where the order has changed.
	order()
	{
		const { value } = this.columns.find(c => c.key === this.sort.key);
		const up = this.sort.up ? 1 : -1;
		const sorted = this.rows.slice()
		    .sort((a, b) => up * compare(value(a), value(b)));

		sorted.forEach((row, i) => {
			const line = this.lines.get(row[this.key]);
			const there = this.body.children[i];

			if (line !== there)
				this.body.insertBefore(line, there || null);
		});
	}
}

function compare(a, b)
{
	if (typeof a === "string" || typeof b === "string")
		return String(a).localeCompare(String(b), "en", { numeric: true });
	return (known(a) ? a : -1) - (known(b) ? b : -1);
}

// A column of a number: sorted by it, written by format.
function number(key, title, format, more = {})
{
	return { key, title, value: row => row[key], text: row => format(row[key]),
	    server: key, ...more };
}

/* ---- connections ------------------------------------------------------------- */

function fillState(cell, row)
{
	const mark = cell.firstChild || cell.appendChild(element("span"));

	if (mark.className !== "state " + row.state)
		mark.className = "state " + row.state;
	say(mark, row.state);
}

// Peers choose what they are called; the whole name is in the title, as text as well.
function fillPeer(cell, row)
{
	say(cell, row.peer);
	if (cell.title !== row.peer)
		cell.title = row.peer;
	cell.classList.add("peer");
}

const ID = { key: "id", title: "id", value: row => row.id, text: row => String(row.id),
    server: "id" };
const PEER = { key: "peer", title: "peer", left: true, value: row => row.peer,
    fill: fillPeer };
const NS_TO_S = x => seconds(x / 1e9);

const OPEN = [
	ID,
	PEER,
	{ key: "state", title: "state", left: true, fill: fillState,
	    value: row => STATES.indexOf(row.state),
	    help: "the first that holds of " + STATES.join(", ") },
	number("in_rate", "in", bytesPerSecond, { server: "received_bytes" }),
	number("out_rate", "out", bytesPerSecond, { server: "sent_bytes" }),
	number("held_bytes", "held", bytes, { help: "charged to the budget" }),
	number("queued_bytes", "queued", bytes,
	    { help: "not yet taken by the program" }),
	number("out_bytes", "to send", bytes, { help: "not yet taken by the kernel" }),
	number("wait_p99_ns", "wait p99", NS_TO_S,
	    { help: "time in queue, 99 of 100" }),
	number("blocked", "blocked", percent, { server: "gate_ns",
	    help: "of the time, how much its reader waited at the gate" }),
	number("window", "peer window limited", percent, { server: "rwnd_limited_us",
	    help: "of the time, how much the peer's window was shut to what was to " +
		"be sent; the kernel's own count" }),
	number("age_ms", "age", ms => lasting(ms / 1000)),
];

const CLOSED = [
	ID,
	PEER,
	{ key: "reason", title: "reason", left: true, value: row => row.reason,
	    text: row => row.reason + (row.error ? ": " + row.error : "") },
	number("received_bytes", "received", bytes),
	number("sent_bytes", "sent", bytes),
	number("gate_ns", "at the gate", NS_TO_S,
	    { help: "how long its reader waited there" }),
	number("muted_ns", "muted", NS_TO_S),
	number("throttled_ns", "throttled", NS_TO_S),
	number("rwnd_limited_us", "peer window limited", us => seconds(us / 1e6)),
	number("age_ms", "lived", ms => lasting(ms / 1000)),
	number("closed_ago_ms", "ago", ms => lasting(ms / 1000)),
];

/*
 * What has grown, over the time it took, of each row by its key. Over less than a
 * second that would be noise, so until then the last result stays. A row the server
 * chose not to send for a while is remembered as long.
 */
const REMEMBERED_NS = 60e9;

class Growth {
	constructor(columns)
	{
		this.columns = columns;	// { result: [counter, its unit in seconds] }
		this.before = new Map();
	}

	clear()
	{
		this.before.clear();
	}

	add(rows, key, at_ns)
	{
		for (const [id, old] of this.before)
			if (at_ns - old.at_ns > REMEMBERED_NS)
				this.before.delete(id);
		for (const row of rows) {
			const old = this.before.get(row[key]);
			const s = old ? (at_ns - old.at_ns) / 1e9 : 0;
			const rates = old ? old.rates : {};

			if (!old || s >= 0.9) {
				for (const result of Object.keys(this.columns))
					rates[result] = !old ? null :
					    this.growth(result, old.row, row) / s;
				this.before.set(row[key], { at_ns, row, rates });
			}
			Object.assign(row, rates);
		}
	}

	growth(result, before, now)
	{
		const [counter, factor] = this.columns[result];

		return Math.max(0, now[counter] - before[counter]) * factor;
	}
}

/* ---- metrics ----------------------------------------------------------------- */

function metricColumns(graphs, toggle)
{
	return [
		{ key: "name", title: "name", left: true, value: row => row.name,
		    text: row => row.name },
		{ key: "value", title: "value", value: row => row.value,
		    text: row => valueIn(row)(row.value) },
		{ key: "rate", title: "rate", value: row => row.rate,
		    text: row => row.type !== "counter" ? "" :
			rateIn(row.unit)(row.rate) },
		{ key: "graph", title: "",
		    fill: (cell, row) => fillGraph(cell, row.name, graphs, toggle) },
		{ key: "help", title: "", left: true, text: row => row.help || "" },
	];
}

function fillGraph(cell, name, graphs, toggle)
{
	let button = cell.firstChild;

	if (!button) {
		button = cell.appendChild(element("button", "small"));
		button.type = "button";
		button.addEventListener("click", () => toggle(name));
	}
	const there = graphs.has(name);
	say(button, there ? "× remove" : "+ graph");
	button.setAttribute("aria-label",
	    (there ? "remove the graph of " : "add a graph of ") + name);
}
