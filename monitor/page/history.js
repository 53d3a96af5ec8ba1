// SPDX-License-Identifier: BSD-2-Clause
/*
 * history.js - what went before, in columns, as the server keeps it: a sample a second
 * for ten minutes, or one of ten seconds for 100. Counters are kept as they are and
 * become rates when looked at. Time is the server's: seconds since its endpoint began
 * on the monotonic clock, moved to the time of day by the offset of its first answer.
 */

const SAMPLES_MAX = 600;

class History {
	constructor(step)
	{
		this.step = step;	// seconds between two samples
		this.clear();
	}

	clear()
	{
		this.columns = { at_ns: [] };
		this.since = 0;		// at_ns of the last
		this.latest = null;	// what status told after the last sample
	}

	get length()
	{
		return this.columns.at_ns.length;
	}

	// Where samples are missing a row of nulls keeps lines from being drawn across.
	take(columns)
	{
		const names = Object.keys(columns), at = columns.at_ns;

		for (let i = 0; i < at.length; i++) {
			if (at[i] <= this.since)
				continue;
			if (this.since && at[i] - this.since > 2.5e9 * this.step)
				this.append(names, () => null, this.since + 1e6);
			this.append(names, name => columns[name][i], at[i]);
			this.since = at[i];
		}
		this.provisional(this.latest);
	}

	append(names, value, at_ns)
	{
		for (const name of names) {
			const column = this.columns[name] ||= [];

			column.push(name === "at_ns" ? at_ns : value(name));
			if (column.length > SAMPLES_MAX)
				column.shift();
		}
	}

	// The plots' last point, until there is a sample.
	provisional(values)
	{
		const later = values && values.at_ns - this.since > 0.05e9;

		this.latest = later ? values : null;
	}

	gauge(name, factor = 1)
	{
		const scaled = x => known(x) ? x * factor : null;
		const column = (this.columns[name] || []).map(scaled);

		// what nobody tells between samples is as it was at the last
		if (this.latest)
			column.push(name in this.latest ? scaled(this.latest[name])
			    : column.at(-1) ?? null);
		return column;
	}

	// What a counter has grown by since the sample before.
	growth(name)
	{
		const column = this.gauge(name);

		return column.map((x, i) => x === null || !known(column[i - 1]) ? null :
		    Math.max(0, x - column[i - 1]));
	}

	// Of the provisional point it is that since the sample before last: over an
	// instant it would jump.
	rate(name, factor = 1)
	{
		const at = this.gauge("at_ns"), column = this.gauge(name);

		return column.map((x, i) => {
			const newest = this.latest && i === column.length - 1;
			const k = newest && known(column[i - 2]) ? i - 2 : i - 1;

			return x === null || !known(column[k]) ? null :
			    Math.max(0, x - column[k]) / (at[i] - at[k]) * 1e9 * factor;
		});
	}

	// in the time of day, where zero_s is when the endpoint began
	times(zero_s)
	{
		return this.gauge("at_ns", 1e-9).map(s => zero_s + s);
	}
}

/* ---- events: a counter that grew --------------------------------------------- */

const EVENTS = [
	{ label: "throttled", color: "--throttled", column: "throttles", format: count,
	    lasts: "throttled_ns",
	    help: "a peer did not read what it was sent, so sending to it waited" },
	{ label: "gate closed", color: "--waiting", column: "gate_waits", format: count,
	    lasts: "gate_ns",
	    help: "a reader waited at the gate, for room or its turn: backpressure" },
	{ label: "accept paused", color: "--muted", column: "paused_ns",
	    format: ns => seconds(ns / 1e9),
	    help: "a listener accepted nobody, for want of room" },
	{ label: "stalled", color: "--stalled", column: "stalls", format: count,
	    help: "readers waited 5 s for room that only the program could make" },
];
