// SPDX-License-Identifier: BSD-2-Clause
/*
 * server.js - asking the server. Of each kind there is one request at a time, and each
 * has an end: a server that hangs is found out as one that is gone.
 */

const PATIENCE_MS = 5000;

class Server {
	constructor()
	{
		this.asked = new Map();		// by kind, what ends the request
	}

	asking(kind)
	{
		return this.asked.has(kind);
	}

	// Resolves to the answer, or to null: none, an error, nonsense, too late.
	async ask(kind, path)
	{
		if (this.asking(kind))
			return null;
		const ending = new AbortController();
		const deadline = setTimeout(() => ending.abort(), PATIENCE_MS);
		this.asked.set(kind, ending);
		try {
			const answer = await fetch(path, { cache: "no-store",
			    credentials: "omit", redirect: "error",
			    signal: ending.signal });
			return answer.ok ? await answer.json() : null;
		} catch {
			return null;
		} finally {
			clearTimeout(deadline);
			if (this.asked.get(kind) === ending)
				this.asked.delete(kind);
		}
	}

	// Forget what is under way: its answer is none, and one may ask again.
	abandon(...kinds)
	{
		for (const kind of kinds) {
			this.asked.get(kind)?.abort();
			this.asked.delete(kind);
		}
	}
}

/* ---- choices: kept in the browser, where it lets us -------------------------- */

const KEPT_AS = "libbpthread-monitor";

const choices = {
	interval: 1000,		// ms
	range: 300,		// seconds
	theme: "auto",
	hidden: [],		// "plot/series", "event/label"
	graphs: [],		// names of metrics
};

function recall()
{
	try {
		const kept = JSON.parse(localStorage.getItem(KEPT_AS)) || {};

		for (const name of Object.keys(choices))
			if (typeof kept[name] === typeof choices[name] &&
			    Array.isArray(kept[name]) === Array.isArray(choices[name]))
				choices[name] = kept[name];
	} catch {
		// denied, or not ours: the defaults will do
	}
}

function keep()
{
	try {
		localStorage.setItem(KEPT_AS, JSON.stringify(choices));
	} catch {
		// then they last until the page is closed
	}
}
