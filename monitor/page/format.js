// SPDX-License-Identifier: BSD-2-Clause
/*
 * format.js - numbers as people read them: three digits that count, a unit, a dash for
 * what is not known. Sizes are in powers of 1024, rates in powers of 1000, as the
 * programs print them.
 */

const NARROW = "\u202f";	// a space that does not break a number in two
const UNKNOWN = "–";

function known(x)
{
	return x !== null && x !== undefined && !Number.isNaN(x);
}

function digits(x)
{
	const a = Math.abs(x);

	return x.toFixed(a < 9.995 ? 2 : a < 99.95 ? 1 : 0);
}

function grouped(x)
{
	return String(Math.round(x)).replace(/\B(?=(\d{3})+$)/g, NARROW);
}

function withPrefix(x, base, units)
{
	let i = 0;

	while (Math.abs(x) >= base * 0.9995 && i + 1 < units.length) {
		x /= base;
		i++;
	}
	return (i || !Number.isInteger(x) ? digits(x) : x) + " " + units[i];
}

const bytes = x => !known(x) ? UNKNOWN :
	withPrefix(x, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);

const bytesPerSecond = x => !known(x) ? UNKNOWN :
	withPrefix(x, 1000, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]);

const count = x => !known(x) ? UNKNOWN :
	Math.abs(x) < 1e9 ? Number.isInteger(x) ? grouped(x) : digits(x) :
	withPrefix(x / 1e9, 1000, ["G", "T", "P"]);

const perSecond = x => !known(x) ? UNKNOWN :
	(x && Math.abs(x) < 1000 ? digits(x) : grouped(x)) + "/s";

const plain = x => !known(x) ? UNKNOWN : x ? digits(x) : "0";

const percent = x => !known(x) ? UNKNOWN : Math.round(100 * x) + " %";

function seconds(x)
{
	if (!known(x))
		return UNKNOWN;
	if (x >= 100)
		return lasting(x);
	if (x >= 0.9995 || x === 0)
		return (x && digits(x)) + " s";
	return withPrefix(x * 1e9, 1000, ["ns", "µs", "ms"]);
}

// 00:03:12, with days before it.
function clock(s)
{
	const two = x => String(Math.floor(x)).padStart(2, "0");
	const days = Math.floor(s / 86400);

	return (days ? days + "d " : "") +
	    two(s % 86400 / 3600) + ":" + two(s % 3600 / 60) + ":" + two(s % 60);
}

// 12 s, 3 m 12 s, 5 h 03 m: two units say enough.
function lasting(s)
{
	const two = x => String(Math.floor(x)).padStart(2, "0");

	if (!known(s))
		return UNKNOWN;
	if (s < 9.95)
		return s.toFixed(1) + " s";
	if (s < 60)
		return Math.floor(s) + " s";
	if (s < 3600)
		return Math.floor(s / 60) + " m " + two(s % 60) + " s";
	if (s < 86400)
		return Math.floor(s / 3600) + " h " + two(s % 3600 / 60) + " m";
	return Math.floor(s / 86400) + " d " + two(s % 86400 / 3600) + " h";
}

function timeOfDay(t, withSeconds)
{
	const date = new Date(1000 * t);
	const two = x => String(x).padStart(2, "0");

	return two(date.getHours()) + ":" + two(date.getMinutes()) +
	    (withSeconds ? ":" + two(date.getSeconds()) : "");
}

// A gauge of so many seconds is a time of day.
function moment(s)
{
	return s < 1e9 ? seconds(s) : new Date(1000 * s).toLocaleString();
}

// How a metric's value reads, and how its rate does if it is a counter.
function valueIn({ unit, type })
{
	const write = unit === "bytes" ? bytes :
	    unit !== "seconds" ? count : type === "counter" ? seconds : moment;

	return x => x === null ? "unlimited" : write(x);
}

function rateIn(unit)
{
	// seconds a second are how many do it at a time
	return unit === "bytes" ? bytesPerSecond :
	    unit === "seconds" ? plain : perSecond;
}

// As a round number is written where it does not change: 1.50 kB/s is 1.5 kB/s.
function brief(text)
{
	return text.replace(/\.(\d*?)0+(?!\d)/, (all, kept) => kept && "." + kept);
}

// An element with a class and text; text only, for much of it comes from peers.
function element(tag, className, text)
{
	const e = document.createElement(tag);

	if (className)
		e.className = className;
	if (text !== undefined)
		e.textContent = text;
	return e;
}

// What has not changed is not set: a reader's selection stays, and nothing is laid out.
function say(e, text)
{
	if (e.textContent !== text)
		e.textContent = text;
}
