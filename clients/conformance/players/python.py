"""The player of the Python client. It holds rows as a program does: a client of Python hands out batches and keeps none."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from typing import Any

import plank

EXACT_MAX = 2**53 - 1
"""Larger integers are reported as text: what reads them is JavaScript."""


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT_MAX:
        return str(value)
    return value


def report(**message: Any) -> None:
    print(json.dumps(plain(message)), flush=True)


def tokens_of(tokens: list[str]) -> Any:
    """Hands out one token after the other, the last one for ever; `!` is one that can't be had."""
    left = list(tokens)

    def token() -> str:
        token = left.pop(0) if len(left) > 1 else left[0]
        if token == "!":
            raise ValueError("no token can be had")
        return token

    return token


class Held:
    """One subscription, and the rows that its batches make."""

    def __init__(self, name: str, subscription: plank.Subscription) -> None:
        self.name = name
        self.subscription = subscription
        self.rows: dict[str, plank.messages.Row] = {}

    def key(self, row: plank.messages.Row) -> str:
        return json.dumps([plain(row[name]) for name in self.subscription.key])

    def apply(self, batch: plank.Batch) -> None:
        if not self.subscription.key:
            return
        if batch.kind == "snapshot":
            self.rows = {self.key(row): row for row in batch.rows}
        for change in batch.changes:
            if change.op == "truncate":
                self.rows.clear()
            elif change.op == "delete":
                self.rows.pop(self.key(change.key or {}), None)
            elif change.row is not None:
                self.rows[self.key(change.key or {})] = change.row

    async def follow(self) -> None:
        try:
            async for batch in self.subscription:
                self.apply(batch)
                if batch.kind == "changes":
                    changes = [{"op": change.op, "key": change.key, "row": change.row} for change in batch.changes]
                    report(on=self.name, event="changes", cursor=batch.cursor, changes=changes)
                elif batch.kind == "snapshot":
                    report(on=self.name, event="snapshot", cursor=batch.cursor)
                else:
                    report(on=self.name, event="reset", reason=batch.reason)
            report(on=self.name, event="ended")
        except plank.PlankError as error:
            report(on=self.name, event="error", code=getattr(error, "code", None), message=str(error))


class Player:
    client: plank.Client | None = None

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, task: Any) -> None:
        made = asyncio.create_task(task)
        self.tasks.add(made)
        made.add_done_callback(self.tasks.discard)

    async def connect(self, url: str, token: str | None = None, tokens: list[str] | None = None, transport: str = "auto") -> None:
        self.client = plank.connect(
            url,
            token=tokens_of(tokens) if tokens else token,
            transport=transport,
            on_state=lambda state: report(on="phase", phase=state.phase, why=state.why),
        )

    async def subscribe(self, as_: str, spec: dict[str, Any]) -> None:
        assert self.client

        def caught_up(changes: int) -> None:
            report(on="caught_up", of=as_, changes=changes)

        held = self.held[as_] = Held(as_, self.client.subscribe(**spec, on_caught_up=caught_up))
        self.start(held.follow())

    async def unsubscribe(self, as_: str) -> None:
        await self.held[as_].subscription.close()

    async def write(self, as_: str, table: str, op: str, values: dict[str, Any]) -> None:
        self.start(self.written(as_, table, op, values))

    async def written(self, name: str, table: str, op: str, values: dict[str, Any]) -> None:
        assert self.client and op == "insert"
        try:
            rows = await self.client.insert(table, values)
            for held in list(self.held.values()):
                if held.subscription.table == table:
                    await held.subscription.passed(rows.cursor)
            report(on=name, event="written", row=rows[0])
        except plank.RequestError as error:
            report(on=name, event="refused", status=error.status, code=error.problem.get("code"), message=str(error))

    async def hold(self, as_: str) -> None:
        held = self.held[as_]
        report(on="held", of=as_, rows=list(held.rows.values()), cursor=held.subscription.cursor)

    async def end(self) -> None:
        client, self.client = self.client, None
        if client:
            await client.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.held.clear()
        report(on="end")


async def main() -> None:
    player = Player()
    loop = asyncio.get_running_loop()
    report(on="ready")
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        name = command.pop("do")
        if "as" in command:
            command["as_"] = command.pop("as")
        await getattr(player, name)(**command)


asyncio.run(main())
