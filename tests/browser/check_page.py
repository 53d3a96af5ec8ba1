# SPDX-License-Identifier: BSD-2-Clause
"""The monitor's page in a real browser, of a real server with real clients. Prints TAP
and a closing line; "make check-browser" runs it, with the program in ABUSE. By hand,
those whose name has a word in it: check_page.py WORD..."""

import os
import signal
import sys
import tempfile
import time
import traceback

from page import DRAW_S, PLOTS, Page, number
from programs import Client, NoMonitor, Server, abuse, peer
from webdriver import Browser, lacks, wait_until

ALL_S = 150  # of everything; the usual is half of it
SOON_S = 5
LOST_S = 5  # two seconds without an answer, and what it takes to see that
MIB = 1 << 20

tests = []


def test(function):
    tests.append(function)
    return function


# ---- one server, one page


@test
def a_page_opened_late_shows_the_past(world):
    wait_until(lambda: world.server.history() >= 5, 10, "five seconds of history")
    page = world.open()
    seen = page.samples()
    assert seen >= 4, f"{seen} samples"
    assert page.age_s() < 3, "too late to tell"


@test
def six_plots_draw(world):
    assert [t for t in world.browser.texts("#plots h3")] == PLOTS
    for plot in PLOTS:
        wait_until(lambda: world.page.colored(plot) > 40, SOON_S, plot + " has lines")


@test
def numbers_move(world):
    page = world.page
    before = page.uptime(), page.samples(), world.browser.text("#metrics tbody")
    wait_until(lambda: page.uptime() != before[0], SOON_S, "uptime moves")
    wait_until(lambda: page.samples() > before[1], SOON_S, "a sample more")
    wait_until(lambda: world.browser.text("#metrics tbody") != before[2], SOON_S,
               "metrics move")
    wait_until(lambda: (number(page.value("throughput", "in")) or 0) > 1e6, SOON_S,
               "throughput is told")


@test
def pause_pauses_and_resume_fetches_what_was_missed(world):
    page = world.page
    world.browser.click("#pause")
    assert page.link() == "paused"
    there = page.uptime(), page.samples(), page.asked()
    kept = world.server.history()
    wait_until(lambda: world.server.history() >= kept + 3, 10, "three seconds pass")
    assert (page.uptime(), page.samples(), page.asked()) == there, "it went on"
    assert not page.lost()
    world.browser.click("#pause")
    wait_until(lambda: page.samples() >= there[1] + 3, SOON_S,
               "what was missed is there")
    assert page.link() == "live"


@test
def with_a_short_interval_numbers_move_between_samples(world):
    world.browser.choose("#interval", "100")
    seen = set()
    wait_until(lambda: seen.add(world.page.asked()) or len(seen) > 8, SOON_S,
               "requests")
    kept, values = world.page.samples(), set()
    wait_until(lambda: values.add(world.page.value("throughput", "in")) or
               len(values) > 5, SOON_S, "the last point moves")
    assert world.page.samples() <= kept + 3
    world.browser.choose("#interval", "1000")


@test
def the_cursor_tells_values_of_all_plots_at_one_time(world):
    browser = world.browser
    x, y = browser.run("""
        const r = document.querySelector("#plots .u-over").getBoundingClientRect();
        return [r.right - 12, r.top + r.height / 2];""")
    assert browser.text("#when") == ""
    browser.point(x, y)
    wait_until(lambda: browser.text("#when").startswith("at "), SOON_S, "a time")
    shown = browser.run("""
        return [...document.querySelectorAll("#plots .u-cursor-x")]
            .filter(e => !e.classList.contains("u-off")).length;""")
    assert shown == 6, f"{shown} cursors"
    browser.point(1, 1)
    wait_until(lambda: browser.text("#when") == "", SOON_S, "it is gone")


@test
def a_series_hides_and_choices_survive_a_reload(world):
    browser = world.browser
    before = world.page.colored("work")
    browser.click("#plots figure:nth-of-type(4) .entry:nth-of-type(1)")
    browser.click("#plots figure:nth-of-type(4) .entry:nth-of-type(2)")
    wait_until(lambda: world.page.colored("work") < before / 4, SOON_S, "it is hidden")
    browser.choose("#range", "600")
    browser.click("#theme")
    page = world.open()
    pressed = browser.run("""
        return [...document.querySelectorAll("#plots figure:nth-of-type(4) .entry")]
            .map(e => e.getAttribute("aria-pressed"));""")
    assert pressed == ["false", "false"], pressed
    assert browser.run("return document.getElementById('range').value") == "600"
    assert browser.text("#theme") == "light"
    browser.run("localStorage.clear()")
    page = world.open()
    assert browser.text("#theme") == "auto" and page.link() == "live"


@test
def sorting_and_filtering_connections(world):
    page, browser = world.page, world.browser
    table = "open connections"
    with peer(world.server), peer(world.server), peer(world.server):
        wait_until(lambda: len(page.column(table, "id")) >= 4, SOON_S, "four rows")
        browser.click(page.heading(table, "id"))
        for turn in ("descending", "ascending"):
            ids = [int(x) for x in page.column(table, "id")]
            assert ids == sorted(ids, reverse=turn == "descending"), ids
            assert browser.run("return document.querySelector(arguments[0])"
                               ".closest('th').ariaSort",
                               page.heading(table, "id")) == turn
            browser.click(page.heading(table, "id"))
        browser.choose("#state", "reading")
        wait_until(lambda: set(page.column(table, "state")) == {"reading"}, SOON_S,
                   "readers only")
        browser.choose("#state", "muted")
        wait_until(lambda: "none is muted" in browser.text("#panel"), SOON_S, "none")
        browser.choose("#state", "")
        wait_until(lambda: len(page.column(table, "id")) >= 4, SOON_S, "all again")


@test
def closed_connections_are_told_with_their_reason(world):
    page, browser = world.page, world.browser
    with peer(world.server):
        wait_until(lambda: len(page.column("open connections", "id")) >= 2, SOON_S,
                   "it is there")
    world.browser.click("#tab-closed")
    wait_until(lambda: page.column("closed connections", "id"), SOON_S, "it has closed")
    told = {row["reason"] for row in
            world.server.get("api/v1/connections?state=closed")["rows"]}
    shown = {text.split(":")[0] for text in page.column("closed connections", "reason")}
    assert shown == told and shown, (shown, told)
    browser.run("document.getElementById('tab-closed').focus()")
    browser.press("\ue012")  # left
    assert browser.run("return document.activeElement.id") == "tab-open"
    wait_until(lambda: page.column("open connections", "id"), SOON_S,
               "the others again")


@test
def metrics_are_filtered_and_graphs_added(world):
    page, browser = world.page, world.browser
    browser.type("#filter", "received_b")
    wait_until(lambda: page.column("metrics", "name") == ["endpoint.received_bytes"],
               SOON_S, "the one")
    browser.click("#metrics tbody button")
    assert page.graphs() == ["endpoint.received_bytes"]
    wait_until(lambda: page.colored("endpoint.received_bytes") > 20, SOON_S + 2,
               "it draws")
    page = world.open()
    wait_until(lambda: page.graphs() == ["endpoint.received_bytes"], SOON_S,
               "it is kept")
    browser.click("#graphs .close")
    assert page.graphs() == []


# ---- how it looks


@test
def light_and_dark_differ(world):
    browser = world.browser
    ground = "return getComputedStyle(document.body).backgroundColor"
    grounds = {}
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        grounds[scheme] = browser.run(ground)
        wait_until(lambda: world.page.colored("throughput") > 40, SOON_S,
                   "lines in its colours")
    assert grounds["light"] != grounds["dark"], grounds
    browser.click("#theme")
    assert browser.run(ground) == grounds["light"]
    browser.click("#theme")
    browser.click("#theme")
    browser.prefer("light")
    assert browser.run(ground) == grounds["light"]


@test
def it_fits_a_phone_and_a_small_screen(world):
    browser = world.browser
    for width, height in ((390, 844), (320, 568), (800, 600), (1280, 800)):
        browser.viewport(width, height, width < 600)
        wait_until(lambda: browser.run("return innerWidth") == width, SOON_S,
                   f"nothing is wider than {width} pixels")
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels wide on {width}"
        wait_until(lambda: world.page.colored("memory") > 40, SOON_S, "it draws")
    top = browser.run(
        "return document.getElementById('panel').getBoundingClientRect().top")
    assert top < 700, "the table does not begin on a screen of 1280x800"


@test
def everything_is_reached_with_the_keyboard(world):
    browser = world.browser
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = {"interval", "range", "pause", "theme", "tab-open", "state", "panel",
              "filter", "metrics"}
    for _ in range(200):
        browser.press("\ue004")  # tab
        wanted.discard(browser.run("return document.activeElement.id"))
        if not wanted:
            break
    assert not wanted, f"not reached: {wanted}"
    browser.run("scrollTo(0, 0); document.getElementById('pause').focus()")
    browser.press(" ")
    assert world.page.link() == "paused"
    browser.press(" ")
    assert world.page.link() == "live"


@test
def it_works_where_nothing_may_be_kept(world):
    script = world.browser.devtools("Page.addScriptToEvaluateOnNewDocument", source="""
        Object.defineProperty(window, "localStorage",
            { get() { throw new DOMException("denied", "SecurityError"); } });""")
    page = world.open()
    world.browser.choose("#range", "60")
    assert page.samples() and page.link() == "live"
    world.browser.devtools("Page.removeScriptToEvaluateOnNewDocument", **script)


# ---- abused


@test
def a_hostile_peer_name_shows_as_text(world):
    browser = world.browser
    name = "<img src=x onerror=window.pwned=1>"
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        with Server("fair", address="unix:s", cwd=scratch) as server:
            table = "open connections"
            page = Page(browser, server.url)
            with peer(server, name):
                wait_until(lambda: page.column(table, "peer"), SOON_S, "it is there")
                assert page.column(table, "peer") == ["unix:" + name]
            browser.click("#tab-closed")
            wait_until(lambda: page.column("closed connections", "peer") ==
                       ["unix:" + name], SOON_S, "it has closed")
            assert browser.run("return document.images.length") == 0
            assert browser.run("return window.pwned") is None
        os.chdir("/")


@test
def unbounded_climbs(world):
    with Server("unbounded", "--handle-rate", "1M", "--mem-limit", "1G") as server:
        page = Page(world.browser, server.url)
        with Client(server, "--rate", "80M", "--size", "1M"):
            first = wait_until(page.resident, SOON_S, "it is told")
            wait_until(lambda: page.resident() > first + 64 * MIB, 20, "64 MiB more")
            wait_until(lambda: number(page.value("queue", "bytes")) > 32 * MIB, 20,
                       "they are queued")


@test
def one_place_stays_flat(world):
    with Server("one_place", "--handle-rate", "40M") as server, Client(server):
        page = Page(world.browser, server.url)
        wait_until(lambda: (number(page.value("throughput", "in")) or 0) > 10e6, 10,
                   "it receives")
        begun, seen = page.samples(), []
        wait_until(lambda: seen.append(page.resident()) or
                   page.samples() >= begun + 4, 10, "four seconds")
        assert max(seen) - min(seen) < 8 * MIB, (min(seen), max(seen))
        wait_until(lambda: "waiting" in page.column("open connections", "state"), 10,
                   "it waits at the gate")
        wait_until(lambda: number(page.browser.texts("#events b")[1]), SOON_S,
                   "and that is marked")


@test
def what_lasts_is_marked_as_long_as_it_lasts(world):
    # one frame takes 40 s to handle, so one wait at the gate begins, and goes on
    with Server("one_place", "--handle-rate", "400K") as server, Client(server):
        page = Page(world.browser, server.url)
        wait_until(lambda: "waiting" in page.column("open connections", "state"), 10,
                   "it waits at the gate")
        begun = page.samples()
        wait_until(lambda: page.samples() >= begun + 5, 10, "five seconds")
        # the window is a minute, of some 330 pixels: a second has less than six
        assert page.marked("memory", "gate closed") > 20


@test
def a_server_killed_is_seen_and_one_restarted_begins_anew(world):
    browser = world.browser
    with Server("fair") as server:
        wait_until(lambda: server.history() >= 4, 10, "some history")
        page = Page(browser, server.url)
        there = page.samples()
        assert not page.lost()
    wait_until(page.lost, LOST_S, "the bar")
    assert "lost connection to server" in browser.text("#lost")
    assert page.samples() >= there, "what was there stays"
    where = server.url.split("/")[2]
    with Server("one_place", monitor=where) as server:
        wait_until(lambda: not page.lost(), LOST_S + DRAW_S, "the bar is gone")
        wait_until(lambda: browser.text("#qdisc") == "one_place", SOON_S, "the new one")
        wait_until(lambda: page.samples() < there, SOON_S, "the old past is gone")
        assert page.link() == "live"
    world.excuse("net::ERR_")


@test
def a_server_that_hangs_is_seen_and_goes_on(world):
    with Server("fair") as server:
        page = Page(world.browser, server.url)
        server.process.send_signal(signal.SIGSTOP)
        wait_until(page.lost, LOST_S, "the bar")
        there = page.samples()
        server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not page.lost() and page.samples() > there, SOON_S,
                   "it goes on")


@test
def the_longest_range_is_drawn_from_the_other_ring(world):
    page = world.open()
    wait_until(lambda: world.server.history() >= 21, 25, "two samples of ten seconds")
    seconds = page.samples()
    world.browser.choose("#range", "6000")
    wait_until(lambda: 2 <= page.samples() < seconds / 2, SOON_S, "fewer samples")
    wait_until(lambda: page.colored("memory") > 20, SOON_S, "they are drawn")
    world.browser.choose("#range", "300")
    wait_until(lambda: page.samples() >= seconds, SOON_S, "all seconds again")


@test
def the_console_stayed_empty(world):
    assert world.said == [], world.said


@test
def no_other_host_was_asked(world):
    strange = [url for url in world.asked
               if not url.startswith((*Server.urls, "data:"))]
    assert strange == [], strange
    assert len(world.asked) > 5, "the log was not read"


# ---- running them


class World:
    """The browser, and the server most tests look at."""

    def __init__(self, browser, server):
        self.browser = browser
        self.server = server
        self.said, self.asked = [], []  # on the console, by the browser
        self.page = None

    def open(self):
        self.page = Page(self.browser, self.server.url)
        return self.page

    def read_logs(self):
        self.said += [message for _, message in self.browser.console()]
        self.asked += self.browser.requested()

    def excuse(self, word):
        """A test has made the browser say so."""
        self.read_logs()
        self.said = [message for message in self.said if word not in message]


def run(world):
    failed = 0
    for i, function in enumerate(tests, 1):
        begun = time.monotonic()
        try:
            function(world)
            world.read_logs()
            result, why = "ok", ""
        except Exception:
            result, why = "not ok", traceback.format_exc()
            failed += 1
        sentence = function.__name__.replace("_", " ")
        print(f"{result} {i} - {sentence}")
        print("".join(f"# {line}\n" for line in why.splitlines()), end="")
        print(f"# {time.monotonic() - begun:.1f} s", flush=True)
    return failed


def skip(why):
    for i, function in enumerate(tests, 1):
        print(f"ok {i} - {function.__name__.replace('_', ' ')} # SKIP {why}")
    print(f"0 passed, 0 failed, {len(tests)} skipped")
    sys.exit(0)


def out_of_time(*_):
    raise SystemExit(f"not done within {ALL_S} s")


def main(*words):
    tests[:] = [t for t in tests if not words or any(w in t.__name__ for w in words)]
    print(f"1..{len(tests)}")
    if lacks():
        skip("there is no " + lacks())
    if not os.access(abuse, os.X_OK):
        skip("there is no " + abuse)
    signal.signal(signal.SIGALRM, out_of_time)
    signal.signal(signal.SIGTERM, out_of_time)
    signal.alarm(ALL_S)
    try:
        server = Server("fair")
    except NoMonitor:
        skip("the programs were built without the monitor")
    with server, Client(server):
        browser = Browser()
        try:
            browser.viewport(1280, 800)
            world = World(browser, server)
            if words:
                world.open()
            failed = run(world)
        finally:
            browser.quit()
    print(f"{len(tests) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main(*sys.argv[1:])
