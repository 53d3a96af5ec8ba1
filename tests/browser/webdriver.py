# SPDX-License-Identifier: BSD-2-Clause
"""A headless Chromium, by the W3C WebDriver protocol: what the tests of the page need
of it, with nothing but Python's own library. Every wait has an end."""

import base64
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

START_S = 20  # of the driver, and of the browser with a cold cache
CALL_S = 30


def lacks():
    """What is not there, or an empty string."""
    there = (shutil.which(os.environ.get(variable, default)) for variable, default in (
        ("CHROMEDRIVER", "chromedriver"), ("CHROMIUM", "chromium")))
    return " and ".join(name for name, path in zip(("chromedriver", "chromium"), there)
                        if not path)


def wait_until(holds, seconds, what):
    """Returns what holds() gave, once that is true."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Browser:
    def __init__(self):
        driver = os.environ.get("CHROMEDRIVER", "chromedriver")
        # it leaves files behind
        self.scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": self.scratch.name}, start_new_session=True)
        self.session = None
        try:
            self.port = self._port()
            self._begin()
        except BaseException:
            self.quit()
            raise

    def _port(self):
        said, end = b"", time.monotonic() + START_S
        while time.monotonic() < end:
            if select.select([self.driver.stdout], [], [], 0.1)[0]:
                said += os.read(self.driver.stdout.fileno(), 4096) or b""
            found = re.search(rb"successfully on port (\d+)", said)
            if found:
                return int(found[1])
        raise AssertionError(f"chromedriver did not start: {said!r}")

    def _begin(self):
        arguments = ["--headless=new", "--hide-scrollbars", "--disable-dev-shm-usage",
                     "--window-size=1280,800", "--disable-background-networking"]
        if os.getuid() == 0:
            arguments.append("--no-sandbox")
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {
                "binary": shutil.which(os.environ.get("CHROMIUM", "chromium")),
                "args": arguments},
        }}})
        self.session = "/session/" + answer["sessionId"]

    def _call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=json.dumps(body or {}).encode() if method == "POST" else None,
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=CALL_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"].split("\n")[0])

    def quit(self):
        try:
            if self.session:
                self._call("DELETE", self.session)
        except (AssertionError, OSError):
            pass
        os.killpg(self.driver.pid, signal.SIGTERM)
        try:
            self.driver.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.driver.pid, signal.SIGKILL)
            self.driver.wait()
        self.driver.stdout.close()
        self.scratch.cleanup()

    # ---- the page

    def open(self, url):
        self._call("POST", self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        """The script is the body of a function; returns what it returns."""
        return self._call("POST", self.session + "/execute/sync",
                          {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self._call("POST", self.session + "/goog/cdp/execute",
                          {"cmd": command, "params": parameters})

    def _element(self, selector):
        found = self._call("POST", self.session + "/element",
                           {"using": "css selector", "value": selector})
        return self.session + "/element/" + next(iter(found.values()))

    def click(self, selector):
        """As a person would: it fails when something lies over it."""
        self._call("POST", self._element(selector) + "/click")

    def type(self, selector, text):
        element = self._element(selector)
        self._call("POST", element + "/clear")
        self._call("POST", element + "/value", {"text": text})

    def press(self, key):
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._call("POST", self.session + "/actions", {"actions": [
            {"type": "key", "id": "keyboard", "actions": keys}]})

    def point(self, x, y):
        self.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def choose(self, selector, value):
        self.run("""
            const e = document.querySelector(arguments[0]);
            e.value = arguments[1];
            e.dispatchEvent(new Event("change"));""", selector, value)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent",
                        selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])]"
                        ".map(e => e.textContent)", selector)

    def viewport(self, width, height, phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme):
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        shot = self.devtools("Page.captureScreenshot", format="png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    # ---- what it logged since it was last asked

    def console(self):
        """[(level, message)]: also of policies violated and of what did not load."""
        entries = self._call("POST", self.session + "/se/log", {"type": "browser"})
        return [(entry["level"], entry["message"]) for entry in entries]

    def requested(self):
        """The URLs asked for."""
        entries = self._call("POST", self.session + "/se/log", {"type": "performance"})
        messages = (json.loads(entry["message"])["message"] for entry in entries)
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]
