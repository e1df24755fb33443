"""The connection: one WebSocket (or stream) that comes back, and the subscriptions on it."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import TimeoutError  # before Python 3.11 another one than the built-in
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import httpx
from websockets.asyncio.client import ClientConnection, connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from . import receipts, retry
from .address import addresses
from .cursors import CursorStore
from .endings import LOST, Ended, Ending, closed, refused
from .errors import PlankError, SessionClosed
from .http import Http, Rows
from .messages import Row, Written, reader
from .state import State, Transport
from .stream import Path, Stream
from .subscription import CaughtUp, Subscription

Token = str | Callable[[], "str | None | Awaitable[str | None]"] | None
Link = ClientConnection | Stream

PROTOCOL = "plank.v1"
MESSAGE_BYTES_MAX = 1 << 30
"""One change is never cut, so a message is as large as the largest row."""
CLOSE_MAX_S = 1.0
"""For the close frame of the server, behind what it has sent and nothing takes any more."""
TOKEN_MAX_S = 10.0
"""For a coroutine that gets a token. One that takes longer counts as a lost connection."""
RENEW_S = 30.0
"""So long before its end a token is renewed, or after half of a short life."""


def connect(
    url: str,
    *,
    token: Token = None,
    numbers: Literal["decimal", "float"] = "decimal",
    transport: Literal["auto", "ws", "sse"] = "auto",
    on_state: Callable[[State], None] | None = None,
) -> Client:
    """A client of the plank at `url` (`http://HOST:PORT`, also `https`, `ws`, `wss`, and below a path).

    `token` is a bearer token, or a function (or coroutine function) that gets one; it is called before each connection and
    half a minute before the token ends. `numbers` says what numeric values with a fraction become. `transport` is `auto`: a
    WebSocket, and a stream of Server-Sent Events where something on the way blocks those.
    """
    return Client(url, token=token, numbers=numbers, transport=transport, on_state=on_state)


class Client:
    """See `connect`. Use it with `async with`, or call `close`."""

    def __init__(
        self,
        url: str,
        *,
        token: Token,
        numbers: Literal["decimal", "float"],
        transport: Literal["auto", "ws", "sse"],
        on_state: Callable[[State], None] | None,
    ) -> None:
        self._ws_url, http_url = addresses(url)
        self._transport = transport
        self._token = token
        self._read = reader(numbers)
        self._on_state = on_state
        self.state = State("connecting")
        self._subscriptions: dict[str, Subscription] = {}
        self._next_id = 0
        self._link: Link | None = None
        self._is_dialled = False
        self._is_welcomed = False
        self._is_refused = False
        """Whether a token was refused, and none has been taken since."""
        self._task: asyncio.Task[None] | None = None
        self._ended: PlankError | None = None
        self._http = Http(http_url, self._bearer, callable(token), self._read)

    # --- what a program calls

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all subscriptions and the connection."""
        for subscription in list(self._subscriptions.values()):
            await subscription.close()
        task, self._task = self._task, None
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, PlankError):
                await task
        await self._http.close()
        self._set(State("closed"))

    def subscribe(
        self,
        table: str,
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
        since: str | None = None,
        snapshot: bool = False,
        conflate: bool = False,
        order: str | None = None,
        limit: int | None = None,
        store: CursorStore | None = None,
        on_caught_up: CaughtUp | None = None,
    ) -> Subscription:
        """The changes of a table, from now on, since a cursor, or behind a snapshot of its rows.

        `filter` is in PostgREST's words (`status=eq.open&total=gt.100`). `store` keeps the cursor between two runs.
        `on_caught_up` is called with a number of changes when the program has taken all that it had missed: after a snapshot, and
        each time that the subscription comes back with a cursor.
        """
        optional = {
            "filter": filter,
            "columns": list(columns) if columns is not None else None,
            "since": since,
            "snapshot": snapshot or None,
            "conflate": conflate or None,
            "order": order,
            "limit": limit,
        }
        request = {name: value for name, value in optional.items() if value is not None}
        self._next_id += 1
        return Subscription(self, f"s{self._next_id}", table, request, store, on_caught_up)

    async def rows(
        self,
        table: str,
        *,
        filter: str | None = None,
        columns: Sequence[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> Rows:
        """Rows of one moment, and its cursor: `subscribe(since=rows.cursor)` goes on from there without a seam."""
        return await self._http.rows(table, filter=filter, columns=columns, order=order, limit=limit)

    async def insert(self, table: str, row: Row | Sequence[Row]) -> Written:
        """Inserts one row or several in one statement; the rows as they are stored.

        A write is sent again, with the same Idempotency-Key, for up to a minute, while the server or the network is away: it is
        written once. Then it is a `RequestError` whose problem has the code `outcome_unknown`. That holds for all writes.
        """
        return await self._http.write("POST", table, None, row)

    async def upsert(self, table: str, row: Row | Sequence[Row], *, on_conflict: str | None = None) -> Written:
        """Inserts rows, or replaces the values of those whose key is there."""
        return await self._http.write("POST", table, None, row, on_conflict=on_conflict, is_upsert=True)

    async def update(self, table: str, filter: str, values: Row) -> Written:
        """Changes the rows of a filter; the rows as they are stored."""
        return await self._http.write("PATCH", table, filter, values)

    async def delete(self, table: str, filter: str) -> Written:
        """Deletes the rows of a filter; the rows as they were."""
        return await self._http.write("DELETE", table, filter, None)

    # --- subscriptions

    async def _subscribe(self, subscription: Subscription) -> None:
        if self._ended:
            raise self._ended
        self._subscriptions[subscription.id] = subscription
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="plank client")
        await self._ask_for(subscription)

    async def _unsubscribe(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None):
            await self._send({"type": "unsubscribe", "id": subscription.id})

    async def _ask_for(self, subscription: Subscription) -> None:
        await self._send(subscription._message())
        await subscription._catch_up()

    async def _ask_whether_passed(self, subscription: Subscription, cursor: str) -> None:
        link = self._link
        if isinstance(link, Stream):

            async def look() -> None:
                await link.say(await receipts.look(self._http, subscription))

            link.begin(look())
        else:
            await self._send({"type": "ping", "id": subscription.id, "cursor": cursor})

    async def _send(self, message: dict[str, Any]) -> None:
        """Without a connection nothing is lost: subscriptions are sent when there is one."""
        if self._link and self.state.phase == "open":
            with contextlib.suppress(ConnectionClosed):
                await self._link.send(json.dumps(message))

    # --- the connection

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state = state
            if self._on_state:
                self._on_state(state)

    async def _bearer(self) -> str | None:
        token = self._token() if callable(self._token) else self._token
        return await asyncio.wait_for(token, TOKEN_MAX_S) if inspect.isawaitable(token) else token

    async def _run(self) -> None:
        attempt, is_blocked = 0, False
        path = Path()
        while True:
            transport: Transport = "sse" if self._transport == "sse" or is_blocked else "ws"
            self._set(State("connecting", attempt, transport=transport))
            began, self._is_dialled, self._is_welcomed = time.monotonic(), False, False
            try:
                error, asked_s = await self._connection(transport)
            except Exception as unforeseen:  # noqa: BLE001: a fault of this package must not be a silent stop
                error, asked_s = PlankError(f"{type(unforeseen).__name__}: {unforeseen}"), None
            if isinstance(error, SessionClosed) and error.code in (4501, 4502) and callable(self._token) and not self._is_refused:
                # Another token may help, once.
                self._is_refused = True
            elif isinstance(error, PlankError):
                await self._end(error)
                return
            # After a stream a WebSocket has its chance again.
            is_blocked = False
            if transport == "ws" and self._is_welcomed:
                path.opened()
            elif self._is_dialled and transport == "ws" and self._transport == "auto" and asked_s is None:
                is_blocked = path.is_blocked(await self._http.why())
            attempt = 0 if time.monotonic() - began >= retry.STABLE_S else attempt
            wait_s = retry.wait_s(attempt, asked_s)
            attempt += 1
            self._set(State("waiting", attempt, wait_s, str(error), transport))
            await asyncio.sleep(wait_s)

    async def _end(self, error: PlankError) -> None:
        self._ended = error
        self._set(State("closed", why=str(error)))
        for subscription in list(self._subscriptions.values()):
            await subscription._batches.put(error)
        self._subscriptions.clear()

    async def _connection(self, transport: Transport) -> Ending:
        """One connection from its beginning to its end."""
        try:
            token = await self._bearer()
        except Exception as error:  # noqa: BLE001: the program's own function, which may fail in any way
            return f"no token: {str(error) or type(error).__name__}", None
        self._is_dialled = True
        try:
            async with self._stream() if transport == "sse" else self._dial() as link:
                self._link = link
                if token:
                    await link.send(json.dumps({"type": "auth", "token": token}))
                return await self._serve(link)
        except Ended as ended:
            return ended.ending
        except ConnectionClosed as lost:
            frame = lost.rcvd
            return closed(frame.code, frame.reason) if frame else closed(LOST, "")
        except InvalidStatus as error:
            response = error.response
            return refused(response.status_code, response.headers, response.body or b"")
        except InvalidURI as error:
            return PlankError(str(error)), None
        except (OSError, InvalidHandshake, InvalidMessage, TimeoutError, httpx.HTTPError) as error:
            return f"no connection: {str(error) or type(error).__name__}", None
        finally:
            self._link = None
            for subscription in self._subscriptions.values():
                subscription._forget()

    def _dial(self) -> dial:
        return dial(
            self._ws_url,
            open_timeout=retry.WELCOME_MAX_S,
            close_timeout=CLOSE_MAX_S,
            max_size=MESSAGE_BYTES_MAX,
            ping_interval=None,
        )

    def _stream(self) -> Stream:
        def renewed() -> list[dict[str, Any]]:
            for subscription in self._subscriptions.values():
                subscription._forget()
                subscription._is_to_catch_up()
            return [subscription._message() for subscription in self._subscriptions.values()]

        return Stream(self._http.client, self._http.url, self._read, renewed)

    async def _serve(self, link: Link) -> Ending:
        silence_s = retry.WELCOME_MAX_S
        renewal: asyncio.Task[None] | None = None
        try:
            while True:
                if self._task is None:
                    # Before Python 3.12 `wait_for` swallows a cancellation that comes together with its result.
                    raise asyncio.CancelledError
                try:
                    said = await self._next(link, silence_s)
                except TimeoutError:
                    return "nothing was heard", None
                try:
                    message = said if isinstance(said, dict) else self._read(said)
                    kind = message["type"]
                except (ValueError, KeyError, TypeError):
                    return "a message that is no JSON object with a type", None
                if kind in ("authenticated", "subscribed"):
                    self._is_refused = False
                if kind == "welcome":
                    if message.get("protocol", PROTOCOL) != PROTOCOL:
                        return SessionClosed(1002, f"the server speaks {message['protocol']}, and this client {PROTOCOL}"), None
                    silence_s = 2.5 * float(message["heartbeat_s"])
                    await self._welcome()
                elif kind == "authenticated" and callable(self._token) and "expires_in" in message:
                    if renewal:
                        renewal.cancel()
                    renewal = asyncio.create_task(self._renew(float(message["expires_in"])))
                else:
                    await self._dispatch(message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A member is missing, or of another type: what follows can't be trusted.
            return f"a message that can't be read: {error!r}", None
        finally:
            if renewal:
                renewal.cancel()

    async def _welcome(self) -> None:
        """Each stream has its own: the first one counts."""
        if self._is_welcomed:
            return
        self._is_welcomed = True
        self._set(State("open", transport="sse" if isinstance(self._link, Stream) else "ws"))
        for subscription in list(self._subscriptions.values()):
            await self._ask_for(subscription)

    async def _next(self, link: Link, silence_s: float) -> str | bytes | dict[str, Any]:
        """The next message. In half of the silence the server is asked whether it is there."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(link.recv(), silence_s / 2)
        await link.send('{"type":"ping"}')
        return await asyncio.wait_for(link.recv(), silence_s / 2)

    async def _renew(self, expires_in_s: float) -> None:
        await asyncio.sleep(max(expires_in_s / 2, expires_in_s - RENEW_S))
        # Without one the session ends with 4502, and the next connection asks again.
        with contextlib.suppress(Exception):
            token = await self._bearer()
            if token:
                await self._send({"type": "auth", "token": token})

    async def _dispatch(self, message: dict[str, Any]) -> None:
        id = message.get("id")
        if message["type"] in ("changes", "heartbeat") and id is None:
            for subscription in list(self._subscriptions.values()):
                await subscription._hear(message)
        elif id in self._subscriptions:
            subscription = self._subscriptions[id]
            if await subscription._receives(message):
                return
            if message["type"] in ("unsubscribed", "error"):
                del self._subscriptions[id]
            await subscription._hear(message)
