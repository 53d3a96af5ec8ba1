# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of the monitor's page, for the README: screenshots.py DIRECTORY. The program
is in ABUSE. "make screenshots" runs it, and what it wrote is looked at by a person."""

import contextlib
import signal
import sys

from page import Page
from programs import Client, Server
from webdriver import Browser, lacks, wait_until

ALL_S = 300
MIB = 1 << 20

# What is shown: the discipline, how long it went on, and the clients, each as
# (from which second, until which, arguments).
SCENES = {
    "unbounded": (["unbounded", "--handle-rate", "20M", "--mem-limit", "2G"], 26,
                  [(4, 99, ["--conns", "4", "--rate", "64M", "--size", "256K"])]),
    "one_place": (["one_place", "--handle-rate", "20M"], 26,
                  [(4, 99, ["--conns", "4", "--rate", "64M", "--size", "256K"])]),
    "fair": (["fair:budget=64M", "--handle-rate", "60M"], 51,
             [(3, 19, ["--conns", "12", "--size", "64K"]),
              (11, 27, ["--conns", "6", "--size", "1M"]),
              (23, 99, ["--conns", "5", "--rate", "20M", "--size", "16K"]),
              (40, 99, ["--conns", "3", "--size", "256K"])]),
}


def shots(browser, page, scene, directory):
    """Writes the pictures of a scene."""
    def shot(name, scheme, width=1280, height=800, phone=False):
        browser.prefer(scheme)
        browser.viewport(width, height, phone)
        seen = page.samples()
        wait_until(lambda: page.samples() > seen + 1, 5, "it is drawn anew, with rates")
        browser.screenshot(f"{directory}/monitor-{name}.png")

    if scene == "fair":
        shot("light", "light")
        shot("dark", "dark")
        shot("phone", "light", 390, 844, True)
        browser.viewport(1280, 800)
    else:
        shot(scene, "light")


def play(browser, scene, directory):
    arguments, seconds, clients = SCENES[scene]
    with Server(*arguments) as server, contextlib.ExitStack() as running:
        started = {}
        for now in range(seconds):
            wait_until(lambda: server.history() > now, 5, "a second more")
            for begin, end, client in clients:
                if now == begin:
                    started[begin] = running.enter_context(Client(server, *client))
                if now == end:
                    started[begin].end()
        shots(browser, Page(browser, server.url), scene, directory)


def out_of_time(*_):
    raise SystemExit(f"not done within {ALL_S} s")


def main(directory):
    if lacks():
        raise SystemExit("there is no " + lacks())
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(ALL_S)
    browser = Browser()
    try:
        for scene in SCENES:
            play(browser, scene, directory)
    finally:
        browser.quit()


main(*sys.argv[1:])
