"""Server-Sent Events in the shape of a WebSocket, for where those are blocked.

One request carries all subscriptions. When there is one more, or one less, the request is made anew, each subscription with its
cursor. A stream that is lost is the link that is lost: it never comes back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from asyncio import TimeoutError  # before Python 3.11 another one than the built-in
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import quote

import httpx

from . import retry
from .endings import LOST, Ended, Ending, closed, refused
from .errors import SessionClosed

Message = dict[str, Any]

QUERY_MAX = 6_000
"""Longer addresses become several requests: many proxies take 8 KiB."""
MESSAGES_MAX = 64
"""Messages that wait for the client. Beyond it nothing more is read from the stream; the server bounds the rest."""
LINE_MAX_S = retry.WELCOME_MAX_S
"""For the first line of a stream."""
BLOCKED_ATTEMPTS = 3
BLOCKED_S = 3.0
"""So many WebSockets without a welcome, for so long, beside a server that would take one: something blocks them."""


async def lines(answer: httpx.Response) -> AsyncIterator[str]:
    """The lines of a body, at line feeds only: a text within JSON may have what Python takes for the end of a line."""
    rest: list[bytes] = []
    async for piece in answer.aiter_bytes():
        first, *more = piece.split(b"\n")
        rest.append(first)
        for line in more:
            yield b"".join(rest).decode("utf-8")
            rest = [line]
    if any(rest):
        yield b"".join(rest).decode("utf-8")


class Path:
    """Whether something on the way blocks WebSockets."""

    def __init__(self) -> None:
        self._failed = 0.0
        self._since = time.monotonic()

    def opened(self) -> None:
        """A WebSocket got through, or a connection was lost: it counts from now."""
        self._failed = 0.0
        self._since = time.monotonic()

    def is_blocked(self, status: int) -> bool:
        """A WebSocket has failed, and the server answers `GET /ws?why` with `status`; 0: with nothing."""
        if status in (204, 426):
            self._failed += 1
            # Once it is known one more is enough.
            if self._failed >= BLOCKED_ATTEMPTS and time.monotonic() - self._since >= BLOCKED_S:
                self._failed = float("inf")
        elif status:
            self._failed = 0.0
        return self._failed == float("inf")


class Stream:
    """Takes what a WebSocket is sent, and hands out messages as they come."""

    def __init__(self, http: httpx.AsyncClient, url: str, read: Callable[[str], Any], renewed: Callable[[], list[Message]]) -> None:
        """`renewed` forgets what is unfinished, and answers with the messages that subscribe anew."""
        self._http = http
        self._url = url
        self._read = read
        self._renewed = renewed
        self._token: str | None = None
        self._specs: dict[str, Message] = {}
        self._said: asyncio.Queue[Message | Ended | None] = asyncio.Queue(MESSAGES_MAX)
        self._requests: list[asyncio.Task[None]] = []
        self._works: set[asyncio.Task[None]] = set()
        self._is_due = False
        self._made = 0
        """How often the request was made. One of before says nothing more."""

    async def __aenter__(self) -> Stream:
        if not await self._is_alive():
            raise Ended(("no connection: the server does not answer", None))
        self._said.put_nowait({"type": "welcome", "heartbeat_s": 4 * retry.WELCOME_MAX_S})
        return self

    async def __aexit__(self, *_: object) -> None:
        self._made += 1
        tasks = [*self._requests, *self._works]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def recv(self) -> Message:
        while True:
            # Here nothing has been taken that the client does not know yet.
            if self._is_due:
                self._open()
            item = await self._said.get()
            if isinstance(item, Ended):
                raise item
            if item:
                return item

    async def send(self, text: str) -> None:
        message = json.loads(text)
        kind, id = message["type"], message.get("id")
        if kind == "auth":
            self._token = message["token"]
        elif kind == "subscribe":
            self._specs[id] = message
            self._change()
        elif kind == "unsubscribe":
            if self._specs.pop(id, None):
                self._change()
        elif id is None:
            self.begin(self._ask())
        # A stream tells by itself when it has caught up.

    async def say(self, message: Message) -> None:
        """As if the server said it."""
        await self._said.put(message)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that ends with the link."""
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    async def _is_alive(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return (await self._http.get(f"{self._url}/livez", timeout=retry.WELCOME_MAX_S / 2)).is_success
        return False

    async def _ask(self) -> None:
        if await self._is_alive():
            await self._said.put({"type": "pong"})

    def _change(self) -> None:
        """Behind all that is subscribed to in one go."""
        self._is_due = True
        if self._said.empty():
            self._said.put_nowait(None)

    def _open(self) -> None:
        self._is_due = False
        self._made += 1
        if self._requests:
            for task in self._requests:
                task.cancel()
            # What has come and was not taken comes again: each subscription goes on from its own cursor.
            while not self._said.empty():
                self._said.get_nowait()
            self._specs = {message["id"]: message for message in self._renewed()}
        self._requests = [asyncio.create_task(self._follow(ids, query, self._made)) for ids, query in self._parts()]

    def _parts(self) -> list[tuple[list[str], str]]:
        parts: list[tuple[list[str], str]] = []
        for id, spec in self._specs.items():
            part = f"subscribe={quote(json.dumps(spec), safe='')}"
            if parts and len(parts[-1][1]) + len(part) < QUERY_MAX:
                ids, query = parts[-1]
                parts[-1] = ([*ids, id], f"{query}&{part}")
            else:
                parts.append(([id], part))
        return parts

    async def _follow(self, ids: list[str], query: str, made: int) -> None:
        try:
            ending = await self._request(ids, query, made)
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            ending = f"the stream was cut off: {str(error) or type(error).__name__}", None
        if made == self._made:
            await self._said.put(Ended(ending))

    async def _request(self, ids: list[str], query: str, made: int) -> Ending:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        timeout = httpx.Timeout(LINE_MAX_S, read=None)
        opening = self._http.stream("GET", f"{self._url}/api/stream?{query}", headers=headers, timeout=timeout)
        async with contextlib.AsyncExitStack() as stack:
            try:
                answer = await asyncio.wait_for(stack.enter_async_context(opening), LINE_MAX_S)
            except TimeoutError:
                return "nothing was heard", None
            if answer.status_code == 401:
                # The token goes with the request, so it is a token that is not taken.
                return SessionClosed(4501, "the server answers with 401"), None
            if answer.status_code != 200:
                return refused(answer.status_code, answer.headers, await answer.aread())
            return await self._events(ids, lines(answer), made)

    async def _events(self, ids: list[str], source: AsyncIterator[str], made: int) -> Ending:
        silence_s, data = LINE_MAX_S, ""
        code, reason = LOST, ""
        while True:
            try:
                line = await asyncio.wait_for(anext(source), silence_s)
            except TimeoutError:
                return "nothing was heard", None
            except StopAsyncIteration:
                return closed(code, reason)
            if made != self._made:
                # Before Python 3.12 `wait_for` swallows a cancellation that comes together with its result.
                raise asyncio.CancelledError
            name, _, text = line.partition(":")
            text = text.removeprefix(" ")
            if name == "data":
                data = text
            elif not name and text[:4].isdigit():
                # A comment is a ping, or says why it ends.
                code, reason = int(text[:4]), text[5:]
            elif name == "retry" and code != LOST and not reason:
                reason = f'{{"retry_ms":{text}}}'
            elif not line and data:
                message = self._read(data)
                data = ""
                if "heartbeat_s" in message:
                    silence_s = 2.5 * float(message["heartbeat_s"])
                await self._say(ids, message)

    async def _say(self, ids: list[str], message: Message) -> None:
        kind = message["type"]
        if "topic" in message:
            # Two requests may be answered by two nodes, whose topics have nothing to do with each other.
            message["topic"] = f"{ids[0]} {message['topic']}"
        if kind in ("error", "unsubscribed"):
            self._specs.pop(message.get("id", ""), None)
        for each in [{**message, "id": id} for id in ids] if kind == "heartbeat" else [message]:
            await self._said.put(each)
