"""One subscription: it takes messages, and hands out whole batches."""

from __future__ import annotations

import asyncio
from asyncio import TimeoutError  # before Python 3.11 another one than the built-in
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from .cursors import CursorStore
from .errors import PlankError, SubscriptionError
from .messages import Batch, Change, Row

if TYPE_CHECKING:
    from .client import Client

CaughtUp = Callable[[int], None]

BATCHES_MAX = 64
"""Batches that wait for the program. Beyond it nothing more is read from the socket; the server bounds the rest."""
RECEIPT_MAX_S = 30.0
"""For a subscription to pass a write."""


class Mark:
    """Stands behind all that was missed."""

    def __init__(self, changes: int) -> None:
        self.changes = changes


class Subscription:
    """The batches of a table, as an asynchronous iterator. `cursor` is the position behind the last one that was received."""

    def __init__(
        self, client: Client, id: str, table: str, request: dict[str, Any], store: CursorStore | None,
        on_caught_up: CaughtUp | None,
    ) -> None:
        self.id = id
        self.table = table
        self.key: list[str] = []
        self.cursor: str | None = None
        self.is_live = False
        self.is_catching_up = False
        """Whether the program has not taken all that the subscription had missed when it (or its snapshot) was asked for."""
        self._client = client
        self._request = request
        self._store = store
        self._topic: str | None = None
        self._unfinished: list[Change] = []
        self._pieces: list[Row] | None = None
        self._batches: asyncio.Queue[Batch | Mark | PlankError | None] = asyncio.Queue(BATCHES_MAX)
        self._applied: Batch | None = None
        self._is_over = False
        self._is_asked = False
        self._receipts: list[tuple[str, asyncio.Future[bool]]] = []
        self._on_caught_up = on_caught_up
        self._awaits_pong = False
        self._missed = 0

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self

    async def __anext__(self) -> Batch:
        await self._start()
        await self._save()
        if self._is_over and self._batches.empty():
            raise StopAsyncIteration
        item = await self._batches.get()
        while isinstance(item, Mark):
            self._caught_up(item)
            item = await self._batches.get()
        if isinstance(item, Batch):
            self._applied = item
            return item
        self._is_over = True
        self._answer_none()
        if item is None:
            raise StopAsyncIteration
        raise item

    async def close(self) -> None:
        """Ends it. The batch before has been applied, so its cursor is saved."""
        await self._save()
        if not self._is_over:
            self._is_over = True
            await self._client._unsubscribe(self)
            self._abandon()

    async def passed(self, cursor: str | None, timeout_s: float = RECEIPT_MAX_S) -> bool:
        """Waits until everything up to `cursor`, say that of a write, has been received, behind a reconnect too.

        False if that is not known within `timeout_s`, and when the subscription ends. Another task has to take the batches.
        """
        if self._is_over:
            return False
        if cursor is None:
            return True
        receipt: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._receipts.append((cursor, receipt))
        if len(self._receipts) == 1:
            await self._ask()
        try:
            # Not cancelled when time is up: its `pong` must not be taken for that of the next one.
            return await asyncio.wait_for(asyncio.shield(receipt), timeout_s)
        except TimeoutError:
            return False

    def _is_to_catch_up(self) -> None:
        self._missed = 0
        self._awaits_pong = self.is_catching_up = self.cursor is not None or "snapshot" in self._request

    async def _catch_up(self) -> None:
        """Asks right behind `subscribe`: answered behind all that was missed."""
        self._is_to_catch_up()
        if self._awaits_pong:
            await self._client._send({"type": "ping", "id": self.id})

    def _caught_up(self, mark: Mark) -> None:
        """The program has taken what is before the mark. One of an earlier connection says nothing of this one."""
        if not self._awaits_pong:
            self.is_catching_up = False
            if self._on_caught_up:
                self._on_caught_up(mark.changes)

    async def _ask(self) -> None:
        """For one at a time: a `pong` does not say which."""
        if self._receipts and self.is_live and not self._awaits_pong:
            await self._client._ask_whether_passed(self, self._receipts[0][0])

    async def _receives(self, message: dict[str, Any]) -> bool:
        """Whether the message answers a question of this subscription."""
        if not self.is_live:
            return False
        if message["type"] == "pong" and self._awaits_pong:
            self._awaits_pong = False
            await self._batches.put(Mark(self._missed))
            await self._ask()
            return True
        is_refused = message["type"] == "error" and message["code"] == "bad_cursor"
        if not self._receipts or self._awaits_pong or not (message["type"] == "pong" or is_refused):
            return False
        self._receipts.pop(0)[1].set_result(not is_refused)
        await self._ask()
        return True

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start(self) -> None:
        if self._is_asked:
            return
        self._is_asked = True
        self.cursor = self._request.pop("since", None)
        if self.cursor is None and self._store:
            self.cursor = await self._store.load()
        await self._client._subscribe(self)

    async def _save(self) -> None:
        applied, self._applied = self._applied, None
        if self._store and applied and applied.cursor:
            await self._store.save(applied.cursor)

    def _message(self) -> dict[str, Any]:
        message = {"type": "subscribe", "id": self.id, "table": self.table, **self._request}
        return message if self.cursor is None else {**message, "since": self.cursor}

    def _forget(self) -> None:
        """What is unfinished comes again, on this connection or the next one."""
        self.is_live = False
        self._topic = None
        self._unfinished = []
        self._pieces = None

    def _abandon(self) -> None:
        """Nothing more is handed out, also to another task that waits for it."""
        while not self._batches.empty():
            self._batches.get_nowait()
        self._batches.put_nowait(None)
        self._answer_none()

    def _answer_none(self) -> None:
        """It has ended, so no receipt will be given."""
        receipts, self._receipts = self._receipts, []
        for _, receipt in receipts:
            receipt.set_result(False)

    async def _hear(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "changes":
            await self._changes(message)
        elif kind == "heartbeat":
            if self.is_live:
                self.cursor = message["cursor"]
        elif kind == "snapshot":
            self._pieces = [*(self._pieces or []), *message["rows"]]
        elif kind == "subscribed":
            await self._subscribed(message)
        elif kind == "reset":
            self._forget()
            self.cursor = None
            await self._catch_up()
            await self._batches.put(Batch("reset", None, reason=message["reason"]))
        elif kind == "unsubscribed":
            self._forget()
            await self._batches.put(None)
        elif kind == "error":
            self._forget()
            error = SubscriptionError(self.table, message["code"], message["message"])
            await self._batches.put(error)

    async def _changes(self, message: dict[str, Any]) -> None:
        if message["topic"] != self._topic:
            return
        self._unfinished += map(Change.of, message["changes"])
        if not message["last"]:
            return
        changes, self._unfinished = self._unfinished, []
        self.cursor = message["cursor"]
        if self._awaits_pong:
            self._missed += len(changes)
        if changes:
            await self._batches.put(Batch("changes", self.cursor, changes))

    async def _subscribed(self, message: dict[str, Any]) -> None:
        self.is_live = True
        self.key = message["key"]
        self.cursor = message["cursor"]
        self._topic = message["topic"]
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            await self._batches.put(Batch("snapshot", self.cursor, rows=pieces))
        # Those of the last connection were not answered.
        await self._ask()
