#!/usr/bin/env python3
"""soak.py ADDRESS PID SECONDS: a day's worth of coming and going in as little time: sockets that stay, sockets that come and
go with their cursors, and writes all the time. Memory, descriptors and the size of the log are looked at; at the end they
have to be where they were after the first third. Prints a table for docs.
"""

import http.client
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "deploy"))
from client import Closed, WebSocket  # noqa: E402

ADDRESS, PID, SECONDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BASE = f"http://{ADDRESS}"
STAY, COME_AND_GO, WRITERS = 50, 20, 2
# Large enough for the window of recent changes to be full before the second third begins: until then memory has to grow.
ROW_BYTES = 3000
over = threading.Event()
counts = {"connects": 0, "writes": 0, "changes": 0, "resets": 0}
lock = threading.Lock()


def count(what, by=1):
    with lock:
        counts[what] += by


def follow(ws, until, cursor):
    """Reads until it is time; the cursor of the last whole batch."""
    while time.monotonic() < until and not over.is_set():
        try:
            message = ws.message()
        except TimeoutError:
            break
        if message["type"] == "reset":
            count("resets")
        if message["type"] == "changes":
            count("changes", len(message["changes"]))
            if not message["last"]:
                continue
        cursor = message.get("cursor", cursor)
    return cursor


def client(stays):
    cursor = None
    while not over.is_set():
        until = time.monotonic() + (SECONDS if stays else random.uniform(0.1, 3))
        since = f"&since={cursor}" if cursor else ""
        try:
            ws = WebSocket(BASE, f"/ws?table=items{since}", until)
            count("connects")
            cursor = follow(ws, until, cursor)
            # Half of them say good-bye.
            ws.close() if random.random() < 0.5 else ws.socket.close()
        except (OSError, Closed):
            time.sleep(0.2)


def writer():
    connection = http.client.HTTPConnection(ADDRESS, timeout=10)
    ids = []
    while not over.is_set():
        method, path = ("DELETE", f"/api/items/{ids.pop(0)}") if len(ids) > 500 else ("POST", "/api/items")
        body = json.dumps({"name": "soak", "description": "x" * ROW_BYTES}) if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (201, 204), (answer.status, text)
        if method == "POST":
            ids.append(json.loads(text)["id"])
        count("writes")
        time.sleep(0.005)


def look():
    connection = http.client.HTTPConnection(ADDRESS, timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    names = ["process_resident_memory_bytes", "process_open_fds", "plank_log_bytes", "plank_topics", "plank_bell_missed_total"]
    return [float(values[name]) for name in names]


def main():
    threads = [threading.Thread(target=client, args=(i < STAY,), daemon=True) for i in range(STAY + COME_AND_GO)]
    threads += [threading.Thread(target=writer, daemon=True) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    samples, started = [], time.monotonic()
    while (now := time.monotonic() - started) < SECONDS:
        time.sleep(min(2, SECONDS - now))
        samples.append([time.monotonic() - started, *look()])
        assert all(thread.is_alive() for thread in threads), "a client or a writer has ended"
    over.set()
    third = len(samples) // 3
    middle, end = samples[third:2 * third], samples[2 * third:]
    print(f"{SECONDS} s: {counts['writes']} writes, {counts['changes']} changes delivered, {counts['connects']} connects, {counts['resets']} resets\n")
    print("| | second third, most | last third, most |\n|---|---|---|")
    for i, name, unit in [(1, "resident memory, MiB", 2**20), (2, "descriptors", 1), (3, "change log, MiB", 2**20)]:
        before, after = (max(sample[i] for sample in part) / unit for part in (middle, end))
        print(f"| {name} | {before:.1f} | {after:.1f} |", flush=True)
        assert after <= before * 1.15 + 8, f"{name} grows: {before} -> {after}"
    assert samples[-1][5] == 0, "a bell was missed"
    assert counts["resets"] == 0, "nobody was away for long enough to be reset"


main()
