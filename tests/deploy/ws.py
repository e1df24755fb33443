#!/usr/bin/env python3
"""ws.py BASE_URL: a WebSocket client in plain Python, so that this test needs no package.

Opens BASE_URL/ws?table=items as a browser would, waits for `welcome` and `subscribed`, posts an item, and waits for the
`changes` message that carries it. Only what this takes of RFC 6455: no extensions, no client messages but the close.
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import time
import urllib.parse
import urllib.request

DEADLINE = time.monotonic() + 30  # for everything together


class WebSocket:
    def __init__(self, base):
        url = urllib.parse.urlsplit(base)
        self.socket = socket.create_connection((url.hostname, url.port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        # The Origin is the site's own, port included: this shows that the proxy passes the Host on as it came.
        self.socket.sendall(
            f"GET /ws?table=items HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: {base}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        assert head.startswith(b"HTTP/1.1 101 "), head.decode()
        assert accept in head, "the answer does not belong to our key"

    def fill(self):
        self.socket.settimeout(max(0.001, DEADLINE - time.monotonic()))
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, opcode, data):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + masked)

    def message(self, kind):
        """The next message of this type; heartbeats and the like in between are passed over."""
        while True:
            first, second = self.take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self.take(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.take(8))
            data = self.take(length)
            assert first & 0x80, "a fragment: plank sends whole messages"
            opcode = first & 0x0F
            if opcode == 9:
                self.send(10, data)
            elif opcode == 8:
                raise AssertionError(f"closed while waiting for {kind!r}: {data!r}")
            elif opcode == 1:
                message = json.loads(data)
                assert message["type"] != "error", message
                if message["type"] == kind:
                    return message


def main():
    base = sys.argv[1]
    ws = WebSocket(base)
    welcome = ws.message("welcome")
    assert welcome["protocol"] == "plank.v1", welcome
    subscribed = ws.message("subscribed")
    assert subscribed["table"] == "public.items", subscribed

    name = f"through the proxy {os.getpid()}"
    request = urllib.request.Request(
        f"{base}/api/items", json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
    )
    # No proxy from the environment: the address is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        assert answer.status == 201, answer.status

    names = []
    while name not in names:
        names += [change["row"]["name"] for change in ws.message("changes")["changes"] if change["op"] == "insert"]
    ws.send(8, struct.pack("!H", 1000))


main()
