// SPDX-License-Identifier: BSD-2-Clause
/*
 * overlay.js - what is drawn beside a plot's lines, on the same canvas: limits, and
 * events. The events of each kind have a lane of their own below the axis, coloured as
 * long as they went on, and so kinds are told apart by place as well; a faint line
 * through the plot marks where they began, unless another is near.
 *
 * A canvas counts in the screen's pixels, everything else in those of CSS.
 */

const LANE = 4;			// of each kind of events, CSS pixels
const APART = 24;		// between two lines where events begin

/* ---- colours: of the stylesheet, as a canvas wants them ---------------------- */

const colors = {
	known: new Map(),

	// A custom property is resolved only where it is used: in an element.
	get(name, alpha = 1)
	{
		const key = name + alpha;

		if (!this.known.has(key)) {
			const probe = document.body.appendChild(element("i"));

			probe.style.color = `var(${name})`;
			const rgb = getComputedStyle(probe).color.match(/[\d.]+/g);
			probe.remove();
			this.known.set(key, `rgba(${rgb.slice(0, 3)},${alpha})`);
		}
		return this.known.get(key);
	},

	forget()
	{
		this.known.clear();
	},
};

/* ---- limits ------------------------------------------------------------------ */

/*
 * limit: { label, value, format, right: of the scale at the right, alone: there is no
 * such scale }. What is out of sight is named at the upper edge.
 */
function drawLimit(chart, limit)
{
	const { ctx, bbox } = chart, ratio = devicePixelRatio;
	const scale = limit.right ? "right" : "y";
	const inSight = limit.value <= chart.scales[scale].max;
	const y = inSight ? Math.round(chart.valToPos(limit.value, scale, true)) :
	    bbox.top;
	const above = inSight && y - bbox.top > 16 * ratio;
	const atRight = limit.right || limit.alone;
	const at = [(inSight ? "" : "↑ ") + limit.label + " " +
	    brief(limit.format(limit.value)),
	    atRight ? bbox.left + bbox.width - 4 * ratio : bbox.left + 4 * ratio,
	    above ? y - 2 * ratio : y + 3 * ratio];

	ctx.strokeStyle = ctx.fillStyle = colors.get("--limit");
	if (inSight) {
		ctx.lineWidth = ratio;
		ctx.setLineDash([6 * ratio, 4 * ratio]);
		ctx.beginPath();
		ctx.moveTo(bbox.left, y);
		ctx.lineTo(bbox.left + bbox.width, y);
		ctx.stroke();
	}
	ctx.font = `${11 * ratio}px system-ui, sans-serif`;
	ctx.textAlign = atRight ? "right" : "left";
	ctx.textBaseline = above ? "bottom" : "top";
	ctx.setLineDash([]);
	ctx.lineWidth = 3 * ratio;
	ctx.strokeStyle = colors.get("--panel", 0.8);	// lines end before the letters
	ctx.strokeText(...at);
	ctx.fillText(...at);
}

/* ---- events ------------------------------------------------------------------ */

// marks: of each kind, spans of time
function drawEvents(chart, { window: [from, to], marks })
{
	const { ctx, bbox } = chart, ratio = devicePixelRatio;
	const x = t =>
	    bbox.left + Math.max(0, t - from) / (to - from) * bbox.width;

	marks.forEach((spans, lane) => {
		const y = bbox.top + bbox.height + (4 + lane * LANE) * ratio;
		let last = -Infinity;

		for (const [begun, ended] of spans.filter(span => span[1] > from)) {
			ctx.fillStyle = colors.get(EVENTS[lane].color);
			const width = Math.max(2 * ratio, x(ended) - x(begun));
			ctx.fillRect(x(begun), y, width, (LANE - 1) * ratio);
			if (begun <= from || x(begun) - last < APART * ratio)
				continue;
			last = x(begun);
			ctx.fillStyle = colors.get(EVENTS[lane].color, 0.45);
			ctx.fillRect(last, bbox.top, ratio, bbox.height);
		}
	});
}
