// SPDX-License-Identifier: BSD-2-Clause
/*
 * plot.js - one plot: a title, a legend with values, lines over time, limits beside
 * them, and under the lines a ribbon of events. uPlot draws lines and axes; the rest is
 * drawn by overlay.js. What a plot shows is told by a spec:
 *
 *	{ id, title, format, axis, stacked, log,
 *	  series: [{ label, color, fill, right, format, values: history => [...] }],
 *	  limits: [{ label, right, value: status => number or null }] }
 *
 * A limit far above the values is not drawn as a line, which would press them to the
 * ground, but named at the upper edge.
 */

const FONT = "11px system-ui, sans-serif";

/* ---- a legend: buttons, each hides what it names ----------------------------- */

class Legend {
	constructor(mount, entries, onToggle)
	{
		this.values = entries.map((entry, i) => {
			const button = element("button", "entry");
			const swatch = button.appendChild(element("i", "swatch"));

			button.type = "button";
			button.title = entry.help || "show or hide " + entry.label;
			button.setAttribute("aria-pressed", "true");
			swatch.style.background = `var(${entry.color})`;
			button.append(entry.label + " ");
			button.addEventListener("click", () => onToggle(i));
			mount.append(button);
			return button.appendChild(element("b", "", UNKNOWN));
		});
	}

	show(i, shown)
	{
		this.values[i].parentNode.setAttribute("aria-pressed", String(shown));
	}

	value(i, text)
	{
		say(this.values[i], text);
	}
}

/* ---- a plot ------------------------------------------------------------------ */

class Plot {
	// shared: { window: [from, to], marks, cursor(plot), choices }, of all plots
	constructor(mount, spec, shared)
	{
		this.spec = spec;
		this.shared = shared;
		this.hidden = spec.series.map(s => shared.hidden.has(this.nameOf(s)));
		this.raw = spec.series.map(() => []);
		this.limits = [];
		this.tops = { y: 1, right: 1 };
		this.figure = mount.appendChild(element("figure",
		    spec.stacked ? "plot stacked" : "plot"));
		this.caption();
		this.area = this.figure.appendChild(element("div", "area"));
		this.area.setAttribute("role", "img");
		this.chart = new uPlot(this.options(), this.empty(), this.area);
		this.sized = new ResizeObserver(() => this.resize());
		this.sized.observe(this.area);
	}

	remove()
	{
		this.sized.disconnect();
		this.chart.destroy();
		this.figure.remove();
	}

	caption()
	{
		const caption = this.figure.appendChild(element("figcaption"));
		const entries = element("div", "legend");

		caption.append(element("h3", "", this.spec.title), entries);
		caption.firstChild.title = this.spec.title;
		this.legend = new Legend(entries, this.spec.series,
		    i => this.toggle(i));
		this.hidden.forEach((hidden, i) => this.legend.show(i, !hidden));
	}

	nameOf(series)
	{
		return this.spec.id + "/" + series.label;
	}

	toggle(i)
	{
		this.hidden[i] = !this.hidden[i];
		this.legend.show(i, !this.hidden[i]);
		this.shared.hide(this.nameOf(this.spec.series[i]), this.hidden[i]);
		this.chart.setSeries(i + 1, { show: !this.hidden[i] });
		if (this.history)
			this.update(this.history, this.status);
	}

	// Both ends of the time in sight: with no points at all uPlot draws no axes.
	empty()
	{
		return [this.shared.window.slice(),
		    ...this.spec.series.map(() => [null, null])];
	}

	/* -- what uPlot is told -- */

	options()
	{
		const { spec } = this;
		const right = spec.series.find(s => s.right);

		return {
			...this.size(),
			padding: [6, right ? 0 : 10, 0, 0],
			legend: { show: false },
			cursor: {
				drag: { x: false, y: false },
				y: false,
				sync: { key: "monitor", scales: ["x", null] },
				points: {
					show: !spec.stacked,
					size: 6,
					width: 0,
					fill: (u, i) =>
					    colors.get(spec.series[i - 1].color),
				},
			},
			scales: {
				x: { time: true, range: () => this.shared.window },
				y: this.scale("y"),
				right: this.scale("right"),
			},
			axes: [this.timeAxis(), this.axis("y", spec),
			    ...right ? [this.axis("right", right)] : []],
			series: [{}, ...spec.series.map((s, i) => this.line(s, i))],
			hooks: {
				draw: [() => this.drawn()],
				setCursor: [() => this.cursor()],
			},
		};
	}

	scale(key)
	{
		return this.spec.log ?
			{ distr: 3, log: 10, range: () => this.decades || [1e-6, 1] } :
			{ range: () => [0, this.tops[key]] };
	}

	timeAxis()
	{
		return {
			stroke: () => colors.get("--dim"),
			font: FONT,
			size: 20 + EVENTS.length * LANE + 4,
			gap: EVENTS.length * LANE + 8,
			space: 64,
			incrs: TIME_STEPS,
			values: (u, splits, axis, space, step) => splits.map(t =>
			    this.atEdge(t) ? "" : timeOfDay(t, step < 60)),
			grid: { stroke: () => colors.get("--grid"), width: 1 },
			ticks: { show: false },
		};
	}

	// where the end of the text would be cut off
	atEdge(t)
	{
		return this.chart &&
		    this.chart.valToPos(t, "x") > this.chart.over.clientWidth - 14;
	}

	axis(scale, { axis, format, binary })
	{
		const write = axis || format;

		return {
			scale,
			side: scale === "right" ? 1 : 3,
			stroke: () => colors.get("--dim"),
			font: FONT,
			size: scale === "right" ? 40 : 60,
			gap: 4,
			space: 30,
			...this.spec.log ? {
				splits: () => this.ticks(),
				filter: (u, splits) => splits,
			} : { incrs: binary ? BINARY_STEPS : DECIMAL_STEPS },
			values: (u, splits) =>
			    splits.map(x => x === null ? "" : brief(write(x))),
			grid: {
				show: scale === "y",
				stroke: () => colors.get("--grid"),
				width: 1,
				filter: (u, splits) => splits,
			},
			ticks: { show: false },
		};
	}

	// of a logarithmic scale: every decade, or every other when there are many
	ticks()
	{
		const [from, to] = (this.decades || [1e-6, 1])
		    .map(x => Math.round(Math.log10(x)));
		const step = to - from > 5 ? 2 : 1, ticks = [];

		for (let e = from; e <= to; e += step)
			ticks.push(10 ** e);
		return ticks;
	}

	line(s, i)
	{
		return {
			label: s.label,
			scale: s.right ? "right" : "y",
			show: !this.hidden[i],
			stroke: () => colors.get(s.color),
			width: this.spec.stacked ? 1 : 1.5,
			fill: this.spec.stacked ? () => colors.get(s.color) :
			    s.fill ? () => colors.get(s.color, 0.13) : undefined,
			paths: this.spec.stacked ? uPlot.paths.stepped({ align: -1 }) :
			    undefined,
			dash: s.dash,
			points: { show: true, size: 4, filter: alone,
			    fill: () => colors.get(s.color) },
		};
	}

	size()
	{
		return { width: Math.max(120, this.area ? this.area.clientWidth : 0),
		    height: Math.max(80, this.area ? this.area.clientHeight : 0) };
	}

	resize()
	{
		const { width, height } = this.size();

		if (width !== this.chart.width || height !== this.chart.height)
			this.chart.setSize({ width, height });
	}

	/* -- data -- */

	update(history, status)
	{
		const times = history.times(this.shared.zero);

		this.history = history;
		this.status = status;
		this.raw = this.spec.series.map(s => s.values(history));
		this.limits = (this.spec.limits || [])
		    .map(limit => ({ ...limit, value: limit.value(status) }))
		    .filter(limit => known(limit.value));
		const lines = this.spec.stacked ? this.stack() : this.raw;
		this.range(times, lines);
		this.chart.setData(times.length ? [times, ...lines] : this.empty());
		this.cursor();
		this.describe(times);
	}

	// Painted from the sum of all down to the last alone, each over the one before.
	stack()
	{
		const lines = [];
		let below = null;

		for (let i = this.raw.length - 1; i >= 0; i--) {
			if (this.hidden[i]) {
				lines[i] = this.raw[i];
				continue;
			}
			const under = below;
			below = this.raw[i].map((x, k) =>
			    x === null ? null : x + (under ? under[k] : 0));
			lines[i] = below;
		}
		return lines;
	}

	range(times, lines)
	{
		const [from, to] = this.shared.window;
		const max = { y: 0, right: 0 };
		let min = Infinity;

		lines.forEach((line, i) => {
			const scale = this.spec.series[i].right ? "right" : "y";
			const seen = this.hidden[i] ? [] : line.filter((x, k) =>
			    x !== null && times[k] >= from && times[k] <= to);

			max[scale] = Math.max(max[scale], ...seen);
			min = Math.min(min, ...seen.filter(x => x > 0));
		});
		if (this.spec.log)
			this.decades = decades(min, max.y);
		for (const scale of ["y", "right"])
			this.tops[scale] = this.top(scale, max[scale]);
	}

	top(scale, max)
	{
		const { binary, least } = scale === "y" ? this.spec :
		    this.spec.series.find(s => s.right) || {};
		const near = this.limits
		    .filter(limit => !limit.right === (scale === "y"))
		    .map(limit => limit.value)
		    .filter(x => x >= 0.5 * max && x <= 4 * max);

		return roundUp(1.06 * Math.max(max, least || 1, ...near), binary);
	}

	/* -- what is drawn over and under the lines -- */

	drawn()
	{
		const { ctx } = this.chart;

		ctx.save();
		drawEvents(this.chart, this.shared);
		for (const limit of this.limits)
			drawLimit(this.chart, { format: this.spec.format, ...limit,
			    alone: !this.spec.series.some(s => s.right) });
		ctx.restore();
	}

	/* -- values: at the cursor, or now -- */

	cursor()
	{
		const chart = this.chart;

		if (!chart)
			return;		// uPlot has begun to draw, and not yet returned
		const at = chart.cursor.left >= 0 ? chart.cursor.idx : null;
		this.raw.forEach((values, i) => {
			const x = known(at) ? values[at] : values.at(-1);

			this.legend.value(i, this.formatOf(i)(x));
		});
		this.shared.cursor(known(at) && this.history ?
		    chart.data[0][at] : null);
	}

	formatOf(i)
	{
		return this.spec.series[i].format || this.spec.format;
	}

	// For who cannot see the lines.
	describe(times)
	{
		const now = this.raw.map((values, i) =>
		    this.spec.series[i].label + " " + this.formatOf(i)(values.at(-1)));

		this.area.setAttribute("aria-label", this.spec.title + ": " +
		    `${times.length} samples; now ${now.join(", ")}`);
	}
}
