"""A WebSocket client in plain Python, so that these tests need no package.

Only what they take of RFC 6455: no extensions, no client messages but pong and close.
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import time
import urllib.parse


class Closed(Exception):
    """The other side has ended the connection."""


class WebSocket:
    def __init__(self, base, target="/ws?table=items", deadline=None, context=None):
        """Connects as a browser would; nothing may take longer than until `deadline`, in time.monotonic()."""
        self.deadline = deadline
        url = urllib.parse.urlsplit(base)
        is_tls = url.scheme == "https"
        self.socket = socket.create_connection((url.hostname, url.port or (443 if is_tls else 80)), timeout=self.left())
        try:
            if is_tls:
                self.socket = context.wrap_socket(self.socket, server_hostname=url.hostname)
            self.buffer = b""
            self.shake_hands(base, url, target)
        except BaseException:
            self.socket.close()
            raise

    def shake_hands(self, base, url, target):
        key = base64.b64encode(os.urandom(16)).decode()
        # The Origin is the site's own, port included: this shows that the proxy passes the Host on as it came.
        self.socket.sendall(
            f"GET {url.path}{target} HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: {url.scheme}://{url.netloc}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Closed(head.decode().splitlines()[0])
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        assert accept in head, "the answer does not belong to our key"

    def left(self):
        return None if self.deadline is None else max(0.001, self.deadline - time.monotonic())

    def fill(self):
        self.socket.settimeout(self.left())
        data = self.socket.recv(65536)
        if not data:
            raise Closed("the connection was cut")
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

    def message(self):
        """The next message of any type."""
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
                raise Closed(f"{struct.unpack('!H', data[:2])[0]} {data[2:].decode()}" if data else "closed")
            elif opcode == 1:
                message = json.loads(data)
                assert message["type"] != "error", message
                return message

    def expect(self, kind):
        """The next message of this type; heartbeats and the like in between are passed over."""
        while True:
            message = self.message()
            if message["type"] == kind:
                return message

    def close(self):
        try:
            self.send(8, struct.pack("!H", 1000))
        finally:
            self.socket.close()


def trusting(cafile):
    """A TLS context that trusts one certificate and nothing else."""
    return ssl.create_default_context(cafile=cafile)
