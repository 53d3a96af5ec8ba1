// SPDX-License-Identifier: BSD-2-Clause
/*
 * scales.js - how far an axis goes, and where its marks are. A vertical one moves in
 * steps, so that the eye is not made to follow it: it ends at a round number above what
 * is in sight.
 */

const BINARY_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);
const DECIMAL_STEPS = Array.from({ length: 36 },
    (_, i) => [1, 2, 5][i % 3] * 10 ** (Math.floor(i / 3) - 2));
const TIME_STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600];

// The next round number from x up: for sizes 1, 1.5, 2, 3, 4, 6, ... of a power of
// 1024.
function roundUp(x, binary)
{
	const steps = binary ? BINARY_STEPS.flatMap(step => [step, 1.5 * step]) :
	    [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
	const base = binary ? 1024 : 10;
	const unit = base ** Math.floor(Math.log(x) / Math.log(base) + 1e-9);

	return unit * steps.find(step => step * unit >= x * 0.9999);
}

// Two at least, of ten; null when there is no value.
function decades(min, max)
{
	const to = Math.ceil(Math.log10(max * 1.0001));

	return max ? [10 ** Math.min(to - 2, Math.floor(Math.log10(min))), 10 ** to] :
	    null;
}

// A point that no line reaches is drawn as a dot.
function alone(u, i)
{
	const values = u.data[i], found = [];

	values.forEach((x, k) => {
		if (known(x) && !known(values[k - 1]) && !known(values[k + 1]))
			found.push(k);
	});
	return found;
}
