# SPDX-License-Identifier: BSD-2-Clause
"""The monitor's page as who looks at it sees it: what a test asks of it."""

import re

from webdriver import wait_until

PLOTS = ["memory", "throughput", "queue", "work", "time in queue", "connections"]
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
         "B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}
DRAW_S = 5

# How many pixels of a plot, above its axis, have a colour of its legend.
COLORED = """
    const plot = [...document.querySelectorAll("figure")]
        .find(f => f.querySelector("h3").textContent === arguments[0]);
    if (!plot)
        return 0;
    const canvas = plot.querySelector("canvas");
    const height = canvas.height - 44 * devicePixelRatio;
    const copy = new OffscreenCanvas(canvas.width, height).getContext("2d",
        { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, height);
    const colors = [...plot.querySelectorAll(
        ".entry[aria-pressed=true] .swatch")].map(swatch =>
        getComputedStyle(swatch).backgroundColor.match(/[0-9.]+/g).map(Number));
    let n = 0;
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && colors.some(c => Math.abs(c[0] - data[i]) < 20 &&
            Math.abs(c[1] - data[i + 1]) < 20 && Math.abs(c[2] - data[i + 2]) < 20))
            n++;
    return n;"""

# How long, in CSS pixels, the longest mark of an event is under a plot.
MARKED = """
    const plot = [...document.querySelectorAll("figure")]
        .find(f => f.querySelector("h3").textContent === arguments[0]);
    const canvas = plot.querySelector("canvas");
    const height = 44 * devicePixelRatio, { width } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d",
        { willReadFrequently: true });
    copy.drawImage(canvas, 0, height - canvas.height);
    const { data } = copy.getImageData(0, 0, width, height);
    const color = getComputedStyle([...document.querySelectorAll("#events .entry")]
        .find(e => e.textContent.startsWith(arguments[1] + " "))
        .querySelector(".swatch")).backgroundColor.match(/[0-9.]+/g).map(Number);
    let longest = 0;
    for (let y = 0, run = 0; y < height; y++, run = 0)
        for (let x = 0; x < width; x++) {
            const at = 4 * (y * width + x);
            run = data[at + 3] > 200 && [0, 1, 2].every(k =>
                Math.abs(color[k] - data[at + k]) < 20) ? run + 1 : 0;
            longest = Math.max(longest, run);
        }
    return longest / devicePixelRatio;"""

VALUE = """
    const plot = [...document.querySelectorAll("figure")]
        .find(f => f.querySelector("h3").textContent === arguments[0]);
    return [...plot.querySelectorAll(".entry")]
        .find(e => e.textContent.startsWith(arguments[1] + " "))
        .querySelector("b").textContent;"""

LABEL = """
    const area = [...document.querySelectorAll("figure")]
        .find(f => f.querySelector("h3").textContent === arguments[0])
        .querySelector(".area");
    return area.getAttribute("aria-label") || "";"""


def number(text):
    """Of "12.3 MiB" or "1 024", in bytes where it has such a unit."""
    found = re.match(r"([\d.\u202f]+)(?: (\S+))?$", text)
    if not found:
        return None
    return float(found[1].replace("\u202f", "")) * UNITS.get(found[2], 1)


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        browser.open(url)
        browser.run("performance.setResourceTimingBufferSize(100000)")
        self.wait_live()

    def wait_live(self):
        wait_until(lambda: self.link() == "live", DRAW_S, "the page is live")
        wait_until(lambda: self.samples() is not None, DRAW_S, "it has drawn")

    def link(self):
        return self.browser.text("#link")

    def lost(self):
        return not self.browser.run("return document.getElementById('lost').hidden")

    def uptime(self):
        return self.browser.text("#uptime")

    def samples(self, plot="memory"):
        found = re.match(r"[^:]+: (\d+) samples", self.browser.run(LABEL, plot))
        return int(found[1]) if found else None

    def colored(self, plot):
        return self.browser.run(COLORED, plot)

    def marked(self, plot, event):
        return self.browser.run(MARKED, plot, event)

    def value(self, plot, label):
        """What the legend says: now, or where the cursor is."""
        return self.browser.run(VALUE, plot, label)

    def resident(self):
        return number(self.value("memory", "resident"))

    def column(self, table, title):
        """Texts of the column, of the rows shown."""
        titles = self.browser.texts(f"table[aria-label='{table}'] th")
        at = titles.index(title) + 1
        return self.browser.texts(f"table[aria-label='{table}'] td:nth-child({at})")

    def heading(self, table, title):
        """A selector for the button that sorts by it."""
        at = self.browser.texts(f"table[aria-label='{table}'] th").index(title) + 1
        return f"table[aria-label='{table}'] th:nth-child({at}) button"

    def age_s(self):
        return self.browser.run("return performance.now() / 1000")

    def asked(self):
        """How many requests it has made."""
        return self.browser.run(
            "return performance.getEntriesByType('resource').length")

    def graphs(self):
        return self.browser.texts("#graphs h3")
