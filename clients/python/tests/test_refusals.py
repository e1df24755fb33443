"""Against servers that misbehave: a typed error or a wait that is shown, never a silent stop and never a busy loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from websockets.asyncio.server import ServerConnection, serve

import plank
from conftest import run, until
from plank.endings import retry_after_s

WELCOME = json.dumps({"type": "welcome", "protocol": "plank.v1", "session": "s", "server": "plank/9", "heartbeat_s": 25})
Serve = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def fake(handler: Serve, **options):
    """A WebSocket server that does what a test says."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def answering(head: str, body: str = ""):
    """An HTTP server that answers every request with this."""
    asked = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/ws?why" not in request:
            asked.append(asyncio.get_running_loop().time())
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("401 Unauthorized", '{"detail":"the token is expired"}', 401),
        ("403 Forbidden", "", 403),
        ("404 Not Found", "<html>nginx</html>", 404),
        ("410 Gone", "", 410),
        ("410 Gone\r\nRetry-After: 1", "", 410),
        ("426 Upgrade Required", "", 426),
        ("200 OK", "<html>a page of a proxy</html>", 200),
    ],
)
def test_refusal_that_stays_is_an_error(head: str, body: str, status: int) -> None:
    async def ask() -> None:
        async with answering(head, body) as (url, _), plank.connect(url) as db:
            with pytest.raises(plank.ConnectionRefused) as refused:
                await anext(db.subscribe("t"))
            assert refused.value.status == status
            assert db.state.phase == "closed"

    run(ask())


@pytest.mark.parametrize(
    "head",
    [f"{status}{after}" for status in ("429 Too Many", "503 Unavailable", "502 Bad Gateway") for after in ("\r\nRetry-After: 1", "")],
)
def test_refusal_that_passes_is_waited_for(head: str) -> None:
    async def ask() -> None:
        states = []
        async with answering(head) as (url, asked), plank.connect(url, on_state=states.append) as db:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(db.subscribe("t")), 1.6)
            assert any(state.phase == "waiting" and state.why for state in states)
            if "Retry-After" in head:
                assert len(asked) <= 2, "it is believed when to come back"
            assert len(asked) < 12, "no busy loop"

    run(ask())


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", "1", '{"no":"type"}', '{"type":"changes"}', '{"type":"subscribed","id":"s1"}', '{"type":"snapshot","id":"s1","rows":1}'],
)
def test_message_that_is_none_is_a_lost_connection(text: str) -> None:
    async def ask() -> None:
        connections = 0

        async def handler(socket: ServerConnection) -> None:
            nonlocal connections
            connections += 1
            await socket.send(WELCOME)
            await socket.recv()
            if connections == 1:
                await socket.send(text)
            subscribed = {"type": "subscribed", "id": "s1", "topic": "t", "table": "t", "key": ["id"], "cursor": "c"}
            await socket.send(json.dumps({"type": "unheard_of"}))
            await socket.send(json.dumps(subscribed))
            change = {"op": "insert", "key": {"id": 1}, "row": {"id": 1}, "seq": 1, "xid": "1", "at": "now", "more": "later"}
            await socket.send(json.dumps({"type": "changes", "topic": "t", "cursor": "d", "changes": [change], "last": True}))
            await socket.wait_closed()

        async with fake(handler) as url, plank.connect(url) as db:
            batch = await anext(db.subscribe("t"))
            assert (batch.cursor, connections) == ("d", 2)

    run(ask())


def test_close_codes_that_stay_are_errors() -> None:
    async def ask() -> None:
        async def handler(socket: ServerConnection) -> None:
            await socket.send(WELCOME)
            await socket.close(4503, "a claim does not fit")

        async with fake(handler) as url, plank.connect(url) as db:
            with pytest.raises(plank.SessionClosed) as closed:
                await anext(db.subscribe("t"))
            assert closed.value.code == 4503
            # Later subscriptions say so as well.
            with pytest.raises(plank.SessionClosed):
                await anext(db.subscribe("t"))

    run(ask())


def test_expired_token_is_renewed_once() -> None:
    async def ask() -> None:
        tokens = iter(["old", "new", "newer"])

        async def handler(socket: ServerConnection) -> None:
            token = json.loads(await socket.recv())["token"]
            await socket.close(4502, f"{token} is over")

        async with fake(handler) as url, plank.connect(url, token=lambda: next(tokens)) as db:
            with pytest.raises(plank.SessionClosed) as closed:
                await anext(db.subscribe("t"))
            assert closed.value.reason == "new is over"

    run(ask())


def test_address_that_is_none() -> None:
    for url in ["", "localhost:8080", "ftp://x", "http://"]:
        with pytest.raises(plank.PlankError):
            plank.connect(url)


def test_close_ends_while_messages_arrive() -> None:
    """`close` once waited for ever when its cancellation came together with a message."""

    async def ask() -> None:
        async def handler(socket: ServerConnection) -> None:
            await socket.send(WELCOME)
            while True:
                await socket.send('{"type":"pong"}')
                await asyncio.sleep(0)

        async with fake(handler) as url:
            for _ in range(4):
                db = plank.connect(url)
                reading = asyncio.gather(anext(db.subscribe("t")), return_exceptions=True)
                await until("it is open", lambda: asyncio.sleep(0, db.state.phase == "open"))
                await asyncio.wait_for(db.close(), 10)
                assert isinstance((await reading)[0], StopAsyncIteration)

    run(ask())


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [
        ("7", 7, 7),
        ("86400", 86400, 86400),
        (formatdate(time.time() + 3600, usegmt=True), 3000, 3600),
        (formatdate(time.time() - 3600, usegmt=True), None, None),
        *((text, None, None) for text in ["", "0", "-5", "soon", "1e3", "Infinity", "\u0663", "Thu, 99 Foo 2026 00:00:00 GMT"]),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, least_s: float | None, most_s: float | None) -> None:
    found = retry_after_s({"Retry-After": text})
    assert found is None if least_s is None else found is not None and least_s <= found <= (most_s or 0)


def test_connection_that_is_cut_before_its_token_is_a_lost_one() -> None:
    """It once was an error for good: the token was sent where nothing took its failure."""

    async def ask() -> None:
        connections = 0

        async def handler(socket: ServerConnection) -> None:
            nonlocal connections
            connections += 1
            if connections < 4:
                socket.transport.abort()
                return
            assert json.loads(await socket.recv()) == {"type": "auth", "token": "t" * 1_000_000}
            await socket.send(WELCOME)
            message = json.loads(await socket.recv())
            await socket.send(json.dumps({"type": "unsubscribed", "id": message["id"]}))
            await socket.wait_closed()

        async with fake(handler, max_size=None) as url, plank.connect(url, token="t" * 1_000_000) as db:
            with pytest.raises(StopAsyncIteration):
                await anext(db.subscribe("t"))
            assert connections == 4

    run(ask())


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_clock_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    real = time.time

    async def ask() -> None:
        tokens: list[str] = []

        async def handler(socket: ServerConnection) -> None:
            tokens.append(json.loads(await socket.recv())["token"])
            await socket.send(WELCOME)
            await socket.send(json.dumps({"type": "authenticated", "sub": "ann", "exp": 1, "expires_in": 1}))
            subscribe = json.loads(await socket.recv())
            monkeypatch.setattr(time, "time", lambda: real() + jump_s)
            tokens.append(json.loads(await socket.recv())["token"])
            await socket.send(json.dumps({"type": "unsubscribed", "id": subscribe["id"]}))
            await socket.wait_closed()

        names = iter(["t1", "t2"])
        async with fake(handler) as url, plank.connect(url, token=lambda: next(names)) as db:
            with pytest.raises(StopAsyncIteration):
                await anext(db.subscribe("t"))
        assert tokens == ["t1", "t2"]

    run(ask())


def test_token_that_does_not_come_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plank.client.TOKEN_MAX_S", 0.05)

    async def ask() -> None:
        states: list[plank.State] = []
        async with plank.connect("http://127.0.0.1:9", token=lambda: asyncio.Event().wait(), on_state=states.append) as db:  # type: ignore[arg-type, return-value]
            reading = asyncio.gather(anext(db.subscribe("t")), return_exceptions=True)
            await until("it has tried twice", lambda: asyncio.sleep(0, db.state.attempt == 2))
            assert {state.why for state in states if state.phase == "waiting"} == {"no token: TimeoutError"}
            await db.close()
            assert isinstance((await reading)[0], StopAsyncIteration)

    run(ask())


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("200 OK", "<html>a page of a proxy</html>", 0),
        ("200 OK\r\nPlank-Cursor: c", "<html>a page of a proxy</html>", 0),
        ("302 Found\r\nLocation: /login", "", 302),
        ("401 Unauthorized", '{"detail":"no"}', 401),
        ("410 Gone", "<html>", 410),
        ("429 Too Many\r\nRetry-After: 7", "", 429),
        ("503 Unavailable", "[]", 503),
    ],
)
def test_rows_that_cannot_be_had_are_a_typed_error(head: str, body: str, status: int) -> None:
    async def ask() -> None:
        async with answering(head, body) as (url, _), plank.connect(url) as db:
            with pytest.raises(plank.RequestError) as refused:
                await db.rows("t")
            assert refused.value.status == status
            assert refused.value.retry_after_s == (7 if "Retry-After" in head else None)
        async with plank.connect("http://127.0.0.1:9") as db:
            with pytest.raises(plank.RequestError) as refused:
                await db.rows("t")
            assert refused.value.status == 0

    run(ask())


@pytest.mark.parametrize("body", ["<html>a page of a proxy</html>", "{}", "7"])
def test_write_that_a_proxy_answers_is_sent_again_and_then_a_typed_error(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr("plank.http.WRITE_MAX_S", 1.0)

    async def ask() -> None:
        async with answering("200 OK", body) as (url, asked), plank.connect(url) as db:
            with pytest.raises(plank.RequestError) as refused:
                await db.insert("t", {"id": 1})
            assert (refused.value.status, refused.value.problem["code"]) == (0, "outcome_unknown")
            assert len(asked) > 1

    run(ask())
