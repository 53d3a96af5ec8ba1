# SPDX-License-Identifier: BSD-2-Clause
"""The programs that are watched, and the peers of theirs that a test plays itself."""

import json
import os
import re
import select
import socket
import subprocess
import time
import urllib.request

START_S = 10
STOP_S = 5

abuse = os.path.abspath(os.environ.get("ABUSE", "demos/abuse"))


class NoMonitor(Exception):
    """The programs were built without it."""


class Program:
    """One that is ended with the block it is used in."""

    def __init__(self, *arguments, cwd=None):
        self.process = subprocess.Popen(
            [abuse, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd)
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end()

    def wait_for(self, pattern):
        """Returns the match in what it has said."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            found = re.search(pattern, self.said)
            if found:
                return found
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                more = os.read(self.process.stdout.fileno(), 65536)
                if not more:
                    break
                self.said += more.decode(errors="replace")
        raise AssertionError(f"no {pattern!r} in what it said: {self.said}")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_S)
        self.process.stdout.close()


class Server(Program):
    """abuse server, with a monitor."""

    urls = []  # of all there were

    def __init__(self, *arguments, address="127.0.0.1:0", monitor="127.0.0.1:0",
                 cwd=None):
        super().__init__("server", "--json", "--monitor", monitor, address, *arguments,
                         cwd=cwd)
        try:
            self.address = self.wait_for(r'"addr":"([^"]+)"')[1]
            if "without the monitor" in self.said:
                raise NoMonitor
            self.url = self.wait_for(r'"url":"([^"]+)"')[1]
            self.urls.append(self.url)
        except BaseException:
            self.end()
            raise

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def history(self):
        """How many samples it has kept."""
        return len(self.get("api/v1/history?step=1&since=0")["columns"]["at_ns"])


class Client(Program):
    """abuse client, that sends until it is ended, as fast as it may."""

    def __init__(self, server, *arguments):
        super().__init__("client", "--json", "--duration", "0", *arguments,
                         server.address.rsplit(":", 1)[1])


def peer(server, name=None):
    """A connection of the test's own, with half of a message sent."""
    if server.address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(name)
        s.settimeout(START_S)
        s.connect(server.address[5:])
    else:
        host, port = server.address.rsplit(":", 1)
        s = socket.create_connection((host, int(port)), timeout=START_S)
    s.sendall((1000).to_bytes(4, "big") + bytes(500))
    return s
