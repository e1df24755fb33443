"""Against a real plank: what a subscription holds is the table, whatever is cut."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import plank
from conftest import Server, proxy, run, until


TRANSPORTS = pytest.mark.parametrize("transport", ["ws", "sse"])


class Held:
    """The rows of a subscription, as a program keeps them. An insert of a row that is there is a change that came twice."""

    def __init__(self) -> None:
        self.rows: dict[Any, plank.messages.Row] = {}

    def take(self, batch: plank.Batch) -> None:
        if batch.kind == "snapshot":
            self.rows = {row["id"]: row for row in batch.rows}
        for change in batch.changes:
            key = change.key["id"] if change.key else None
            if change.op == "truncate":
                self.rows.clear()
            elif change.op == "delete":
                del self.rows[key]
            else:
                assert (change.op == "insert") == (key not in self.rows), f"{change} came twice, or one is missing"
                assert change.row
                self.rows[key] = change.row


@TRANSPORTS
def test_snapshot_and_changes_are_the_table(server: Server, table: str, transport: str) -> None:
    server.sql(f"insert into {table} select i, 'n' || i, i / 8.0 from generate_series(1, 3000) i")

    async def follow() -> None:
        held = Held()
        async with plank.connect(server.url, transport=transport) as db:
            async for batch in db.subscribe(table, snapshot=True):
                held.take(batch)
                if batch.kind == "snapshot":
                    assert len(held.rows) == 3000 and held.rows[1]["total"] == Decimal("0.12500000000000000000")
                    server.sql(f"update {table} set name = 'x' where id = 7; delete from {table} where id > 2")
                elif set(held.rows) == {1, 2}:
                    return

    run(follow())


@TRANSPORTS
def test_every_change_comes_once_whatever_is_cut(server: Server, table: str, transport: str) -> None:
    async def follow() -> None:
        held, cuts = Held(), set(random.Random(1).sample(range(5, 55), 6))
        async with proxy(server.url) as between, plank.connect(between.url, transport=transport) as db:
            subscription = db.subscribe(table, snapshot=True)

            async def write() -> None:
                for i in range(60):
                    await asyncio.to_thread(server.sql, f"insert into {table} select {i} * 10 + j, repeat('x', 500) from generate_series(0, 9) j")
                    if i in cuts:
                        before = between.connections
                        between.cut()
                        await until("it comes back", lambda: asyncio.sleep(0, between.connections > before))

            held.take(await anext(subscription))
            writer = asyncio.create_task(write())
            while len(held.rows) < 600:
                batch = await anext(subscription)
                assert batch.kind != "reset"
                held.take(batch)
            await writer
            # A stream has one for its requests besides.
            assert transport == "sse" or between.connections == 1 + len(cuts)

    run(follow())


def test_cursor_in_a_file_goes_on_in_the_next_run(server: Server, table: str, tmp_path: Path) -> None:
    store = plank.FileCursor(tmp_path / "cursor")

    async def first(names: list[str], last: str) -> None:
        async with plank.connect(server.url) as db:
            async with db.subscribe(table, store=store) as subscription:
                following = asyncio.create_task(anext(subscription))
                await until("it is live", lambda: asyncio.sleep(0, subscription.is_live))
                if not names:
                    server.sql(f"insert into {table} values (1, 'a')")
                batch = await following
                while True:
                    names += [change.row["name"] for change in batch.changes if change.row]
                    if names[-1] == last:
                        return
                    batch = await anext(subscription)

    names: list[str] = []
    run(first(names, "a"))
    server.sql(f"insert into {table} values (2, 'b'); insert into {table} values (3, 'c')")
    run(first(names, "c"))
    assert names == ["a", "b", "c"]


def test_filter_and_columns(server: Server, table: str) -> None:
    server.sql(f"insert into {table} values (1, 'a', 1), (2, 'b', 200)")

    async def follow() -> None:
        async with plank.connect(server.url) as db:
            subscription = db.subscribe(table, filter="total=gt.100", columns=["name"], snapshot=True)
            batch = await anext(subscription)
            assert batch.rows == [{"id": 2, "name": "b"}]
            server.sql(f"update {table} set total = 300 where id = 1")
            change = (await anext(subscription)).changes[0]
            assert (change.op, change.cause, change.key) == ("insert", "update", {"id": 1})

    run(follow())


def test_rows_and_then_their_changes(server: Server, table: str) -> None:
    server.sql(f"insert into {table} values (1, 'a', 9007199254740993), (2, 'b', 0.1)")

    async def follow() -> None:
        async with plank.connect(server.url) as db:
            rows = await db.rows(table, order="id.desc", columns=["name", "total"])
            assert rows.rows == [{"id": 2, "name": "b", "total": Decimal("0.1")}, {"id": 1, "name": "a", "total": 9007199254740993}]
            server.sql(f"delete from {table} where id = 1")
            batch = await anext(db.subscribe(table, since=rows.cursor))
            assert [change.op for change in batch.changes] == ["delete"]
            with pytest.raises(plank.RequestError) as refused:
                await db.rows(table, columns=["nope"])
            assert refused.value.status == 400 and "nope" in str(refused.value)

    run(follow())


def test_several_subscriptions_share_a_connection(server: Server, table: str) -> None:
    async def follow() -> None:
        async with proxy(server.url) as between, plank.connect(between.url) as db:
            subscriptions = [db.subscribe(table, snapshot=True) for _ in range(5)]
            assert [len((await anext(s)).rows) for s in subscriptions] == [0] * 5
            server.sql(f"insert into {table} values (1, 'a')")
            assert [len((await anext(s)).changes) for s in subscriptions] == [1] * 5
            await subscriptions[0].close()
            with pytest.raises(StopAsyncIteration):
                await anext(subscriptions[0])
            assert between.connections == 1

    run(follow())


def test_unknown_tables_and_columns_are_errors(server: Server, table: str) -> None:
    async def follow() -> None:
        async with plank.connect(server.url) as db:
            for request, code in [
                ({"table": "nope"}, "unknown_table"),
                ({"table": table, "columns": ["nope"]}, "unknown_column"),
                ({"table": table, "filter": "nope=eq.1"}, "bad_filter"),
                ({"table": table, "since": "x"}, "bad_cursor"),
            ]:
                with pytest.raises(plank.SubscriptionError) as refused:
                    await anext(db.subscribe(**request))
                assert refused.value.code == code, request
            # The connection stays.
            assert (await anext(db.subscribe(table, snapshot=True))).rows == []

    run(follow())


def test_script_without_asyncio(server: Server, table: str, tmp_path: Path) -> None:
    server.sql(f"insert into {table} values (1, 'a')")
    store = plank.FileCursor(tmp_path / "cursor")
    batches = plank.follow(server.url, table, snapshot=True, store=store)
    assert [row["name"] for row in next(batches).rows] == ["a"]
    server.sql(f"insert into {table} values (2, 'b')")
    assert [change.row["name"] for change in next(batches).changes] == ["b"]
    batches.close()
    server.sql(f"insert into {table} values (3, 'c')")
    again = plank.follow(server.url, table, store=store)
    # The batch with b was not acknowledged: the script ended before it asked for the next one.
    names = [change.row["name"] for change in next(again).changes]
    assert names == ["b", "c"] or (names == ["b"] and [c.row["name"] for c in next(again).changes] == ["c"])
    with pytest.raises(plank.SubscriptionError):
        next(plank.follow(server.url, "nope"))


@TRANSPORTS
def test_writes_come_back_as_changes(server: Server, table: str, transport: str) -> None:
    server.sql(f"select plank.watch('{table}', writable => true)")

    async def write() -> None:
        async with plank.connect(server.url, transport=transport) as db:
            subscription = db.subscribe(table, snapshot=True)
            assert (await anext(subscription)).rows == []

            async def inserted() -> list[plank.messages.Row]:
                # The server hears of `writable` a moment later.
                while True:
                    try:
                        return await db.insert(table, {"id": 1, "name": "a", "total": Decimal("0.1")})
                    except plank.RequestError as error:
                        assert error.status in (403, 405), error
                        await asyncio.sleep(0.02)

            written = await inserted()
            assert written == [{"id": 1, "name": "a", "total": Decimal("0.1")}]
            assert await subscription.passed(written.cursor)
            seen = await anext(subscription)
            assert [change.xid for change in seen.changes] == [written.xid]
            assert [row["name"] for row in await db.update(table, "id=eq.1", {"name": "b"})] == ["b"]
            await db.upsert(table, [{"id": 1, "name": "c", "total": 1}, {"id": 2, "name": "d", "total": 2}])
            assert len(await db.delete(table, "id=eq.2")) == 1
            held = Held()
            held.take(seen)
            while not (set(held.rows) == {1} and held.rows[1]["name"] == "c"):
                held.take(await anext(subscription))
            with pytest.raises(plank.RequestError) as refused:
                await db.insert(table, {"id": 1, "name": "again"})
            assert refused.value.status == 409 and refused.value.problem["code"] == "23505"
            with pytest.raises(plank.RequestError) as refused:
                await db.update(table, "nope=eq.1", {"name": "x"})
            assert refused.value.status == 400 and "nope" in str(refused.value)

    run(write())


@TRANSPORTS
def test_it_is_told_when_it_has_caught_up(server: Server, table: str, transport: str) -> None:
    server.sql(f"insert into {table} values (1, 'a')")

    async def follow() -> None:
        caught_up: list[int] = []
        async with proxy(server.url) as between, plank.connect(between.url, transport=transport) as db:
            subscription = db.subscribe(table, snapshot=True, on_caught_up=caught_up.append)
            held, before = Held(), 0

            async def take() -> None:
                async for batch in subscription:
                    held.take(batch)

            taking = asyncio.create_task(take())
            await until("the snapshot is all", lambda: asyncio.sleep(0, caught_up == [0]))
            assert set(held.rows) == {1} and not subscription.is_catching_up
            between.cut()
            server.sql(f"insert into {table} select i, 'missed' from generate_series(2, 100) i")
            await until("what was missed has come", lambda: asyncio.sleep(0, len(caught_up) == 2))
            assert (caught_up[1], len(held.rows)) == (99, 100)
            taking.cancel()

    run(follow())


def test_one_subscription_more_or_less_makes_a_stream_anew_and_loses_nothing(server: Server, table: str) -> None:
    async def follow() -> None:
        async with plank.connect(server.url, transport="sse") as db:
            first, held = db.subscribe(table, snapshot=True), Held()
            held.take(await anext(first))
            assert db.state.transport == "sse"
            others: list[plank.Subscription] = []
            for i in range(8):
                server.sql(f"insert into {table} values ({i}, 'x')")
                others.append(db.subscribe(table, filter=f"id=gte.{i}", snapshot=True))
                assert [row["id"] for row in (await anext(others[-1])).rows] == [i]
                if i % 3 == 2:
                    await others.pop(0).close()
                while i not in held.rows:
                    held.take(await anext(first))
            # An address of 6,000 characters holds some forty of them.
            many = [db.subscribe(table, filter=f"name=eq.{'y' * 100}{i}", snapshot=True) for i in range(60)]
            assert [len(batch.rows) for batch in await asyncio.gather(*map(anext, many))] == [0] * 60
            server.sql(f"insert into {table} values (1000, '{'y' * 100}59')")
            assert [change.key for change in (await anext(many[59])).changes] == [{"id": 1000}]
            held.take(await anext(first))
            assert 1000 in held.rows

    run(follow())


@TRANSPORTS
def test_text_is_what_it_is(server: Server, table: str, transport: str) -> None:
    """U+2028, U+0085 and the like end a line for Python, and are text for JSON."""
    text = "a\u2028b\u0085c\u000bd\u2029e"

    async def follow() -> None:
        async with plank.connect(server.url, transport=transport) as db:
            subscription = db.subscribe(table, snapshot=True)
            assert (await anext(subscription)).rows == []
            server.sql(f"insert into {table} values (1, '{text}')")
            assert [change.row["name"] for change in (await anext(subscription)).changes if change.row] == [text]
            assert [row["name"] for row in (await db.rows(table)).rows] == [text]

    run(follow())
