#!/usr/bin/env python3
"""restarts.py BASE_URL CAFILE DIRECT_ADDRESS COMMAND...: clients that come back, while what serves them is stopped, killed
and frozen. COMMAND... runs what is behind it on the machine under test.

WebSockets and streams keep their cursor and come back with it, as static/plank.js does. One writer posts items all the time
and tries again until it has a 201. After each event every client has to have every item that is in the table, each of
them once.
"""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from client import Closed, WebSocket, trusting

BASE, CAFILE, DIRECT, *ON_MACHINE = sys.argv[1:]
CONTEXT = trusting(CAFILE)
URL = urllib.parse.urlsplit(BASE)
SOCKETS, STREAMS = 12, 4
# For one event, until all clients have all items again.
EVENT_MAX = 60
stopped = threading.Event()


def run(*command):
    done = subprocess.run([*ON_MACHINE, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def wait_for(what, holds):
    deadline = time.monotonic() + EVENT_MAX
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {EVENT_MAX} s"
        time.sleep(0.1)


class Client(threading.Thread):
    """One that applies whole batches, and comes back with the cursor of the last one."""

    def __init__(self, name):
        super().__init__(name=name, daemon=True)
        self.seen = {}
        self.cursor = None
        self.batch = []
        self.returns = 0
        self.live = False
        self.trouble = None

    def run(self):
        # The first snapshot is empty: the table was when this began.
        while not stopped.is_set():
            try:
                self.follow()
            except (OSError, Closed, http.client.HTTPException):
                self.live = False
                self.returns += 1
                time.sleep(random.uniform(0.05, 0.5))
            except Exception as error:  # noqa: BLE001: shown by the main thread
                self.trouble = error
                return

    def take(self, message):
        kind = message["type"]
        assert kind != "reset", f"{self.name} was reset: {message}"
        if kind in ("subscribed", "heartbeat"):
            assert not self.batch, "a cursor in the middle of a batch"
            self.cursor = message["cursor"]
            self.live = True
        if kind == "changes":
            self.batch += message["changes"]
            if message["last"]:
                for change in self.batch:
                    item = change["key"]["id"]
                    self.seen[item] = self.seen.get(item, 0) + 1
                self.batch, self.cursor = [], message["cursor"]

    def query(self):
        return "table=items" + (f"&since={self.cursor}" if self.cursor else "")


class Socket(Client):
    def follow(self):
        self.batch = []
        ws = WebSocket(BASE, f"/ws?{self.query()}", time.monotonic() + 600, CONTEXT)
        try:
            while not stopped.is_set():
                self.take(ws.message())
        finally:
            ws.socket.close()


class Stream(Client):
    def follow(self):
        self.batch = []
        connection = http.client.HTTPSConnection(URL.hostname, URL.port, timeout=40, context=CONTEXT)
        try:
            connection.request("GET", f"/api/stream?{self.query()}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise Closed(answer.status)
            while line := answer.readline():
                if line.startswith(b"data: "):
                    self.take(json.loads(line[6:]))
            raise Closed("the end of the stream")
        finally:
            connection.close()


class Writer(threading.Thread):
    """A post whose answer was lost may have been done, and is done again under the same name: so the table is the truth."""

    def __init__(self):
        super().__init__(daemon=True)
        self.written = 0
        self.paused = threading.Event()
        self.idle = threading.Event()

    def run(self):
        connection = None
        while not stopped.is_set():
            if self.paused.is_set():
                self.idle.set()
                time.sleep(0.02)
                continue
            self.idle.clear()
            try:
                connection = connection or http.client.HTTPSConnection(URL.hostname, URL.port, timeout=15, context=CONTEXT)
                body = json.dumps({"name": f"item {self.written}"})
                connection.request("POST", "/api/items", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 201:
                    self.written += 1
                else:
                    time.sleep(0.05)
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                time.sleep(0.05)


class Prober(threading.Thread):
    """Connects past the proxy all the time: with plank.socket nobody is ever refused."""

    def __init__(self):
        super().__init__(daemon=True)
        self.connects = self.refused = 0

    def run(self):
        host, port = DIRECT.rsplit(":", 1)
        while not stopped.is_set():
            try:
                socket.create_connection((host, int(port)), timeout=10).close()
                self.connects += 1
            except ConnectionRefusedError:
                self.refused += 1
            except OSError:
                pass
            time.sleep(0.005)


def in_table():
    text = run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "plank", "-c", "select id from items order by id")
    return [int(line) for line in text.splitlines()]


def settle(writer, clients, what):
    """Everybody has everything, and nothing twice."""
    writer.paused.set()
    assert writer.idle.wait(EVENT_MAX), "the writer does not come to an end"
    ids = in_table()
    for client in clients:
        def has_all(client=client):
            if client.trouble:
                raise client.trouble
            return len(client.seen) >= len(ids)
        wait_for(f"{what}: {client.name} has all {len(ids)} items", has_all)
        assert sorted(client.seen) == ids, f"{what}: {client.name} has other items than the table"
        twice = [item for item, count in client.seen.items() if count > 1]
        assert not twice, f"{what}: {client.name} has {len(twice)} items twice"
    writer.paused.clear()
    return len(ids)


def main_pid():
    return run("systemctl", "show", "--property=MainPID", "--value", "plank.service")


def kill():
    run("kill", "-KILL", main_pid())


def freeze():
    before = main_pid()
    run("kill", "-STOP", before)
    wait_for("the watchdog restarts a frozen plank", lambda: main_pid() not in ("0", before))


# What happens, how, and whether it ends every connection.
EVENTS = [
    ("kill -9 of plank", kill, True),
    ("systemctl restart plank", lambda: run("systemctl", "restart", "plank.service"), True),
    ("systemctl reload plank", lambda: run("systemctl", "reload", "plank.service"), True),
    ("systemctl restart postgresql", lambda: run("systemctl", "restart", "postgresql.service"), False),
    ("nginx -s reload", lambda: run("nginx", "-s", "reload"), True),
    ("kill -STOP of plank, and its watchdog", freeze, True),
]
NODES = ["plank.service", "plank-2.service", "plank-3.service"]


def roll():
    for node in NODES:
        run("systemctl", "restart", node)


# With three nodes behind the proxy. A client comes back to whichever it is given, with the cursor that another one gave.
EVENTS_OF_NODES = [
    ("a rolling restart of three nodes", roll, True),
    ("kill -9 of one of three nodes", lambda: run("systemctl", "kill", "--signal=KILL", NODES[1]), False),
    ("the end of one of three nodes", lambda: run("systemctl", "stop", NODES[2]), False),
]
if os.environ.get("NODES"):
    EVENTS = EVENTS_OF_NODES
elif os.environ.get("PACKAGE"):
    EVENTS.append(("an upgrade of the package", lambda: run("dpkg", "--force-confold", "--install", os.environ["PACKAGE"]), True))


def main():
    clients = [Socket(f"socket {i}") for i in range(SOCKETS)] + [Stream(f"stream {i}") for i in range(STREAMS)]
    for client in clients:
        client.start()
    wait_for("all clients are subscribed", lambda: all(c.cursor or c.trouble for c in clients))
    writer, prober = Writer(), Prober()
    writer.start()
    prober.start()
    settle(writer, clients, "the start")
    for what, event, ends_all in EVENTS:
        # A client that is on its way back waits for the next plank in the socket's backlog, and nothing cuts it off.
        wait_for(f"before {what}: every client is connected", lambda: all(c.live or c.trouble for c in clients))
        before, returns, refused = writer.written, {c: c.returns for c in clients}, prober.refused
        # Under load, before and after.
        wait_for("writes before", lambda: writer.written >= before + 20)
        started = time.monotonic()
        event()
        at = writer.written
        wait_for("writes after", lambda: writer.written >= at + 20)
        took = time.monotonic() - started
        if ends_all:
            wait_for(f"{what}: every client was cut off", lambda: all(c.returns > n for c, n in returns.items()))
        items = settle(writer, clients, what)
        back = sum(c.returns - n for c, n in returns.items())
        assert prober.refused == refused, f"{what}: {prober.refused - refused} connections were refused"
        print(f"ok: {what}: {items} items, nothing lost and nothing twice; {back} times a client came back; "
              f"writes again after {took:.1f} s; no connection refused", flush=True)
    stopped.set()


main()
