"""For scripts without asyncio."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Any

from .client import connect
from .cursors import CursorStore
from .messages import Batch

BATCHES_MAX = 64
"""Batches that wait for the script."""


def follow(url: str, table: str, *, store: CursorStore | None = None, **options: Any) -> Iterator[Batch]:
    """The batches of a table, one after the other, for ever: `for batch in plank.follow(url, "orders"): ...`.

    Takes what `connect` and `Client.subscribe` take. The connection lives in a thread of its own, so a script may take its time
    for a batch. With `store` a cursor is saved when the script asks for the next batch.
    """
    connecting = {name: options.pop(name) for name in ("token", "numbers", "transport", "on_state") if name in options}
    batches: queue.Queue[Batch | BaseException] = queue.Queue(BATCHES_MAX)
    stopped = threading.Event()

    async def put(item: Batch | BaseException) -> None:
        while not stopped.is_set():
            try:
                return batches.put_nowait(item)
            except queue.Full:
                await asyncio.sleep(0.05)

    async def read() -> None:
        since = options.pop("since", None)
        if since is None and store:
            since = await store.load()
        async with connect(url, **connecting) as client, client.subscribe(table, since=since, **options) as subscription:
            stop = asyncio.create_task(asyncio.to_thread(stopped.wait))
            try:
                while not stopped.is_set():
                    item = asyncio.ensure_future(anext(subscription))
                    done, _ = await asyncio.wait({item, stop}, return_when=asyncio.FIRST_COMPLETED)
                    if item not in done:
                        item.cancel()
                        return
                    await put(item.result())
            finally:
                stopped.set()

    def run() -> None:
        try:
            asyncio.run(read())
            end: BaseException = StopIteration()
        except BaseException as error:  # noqa: BLE001: raised again in the script's thread
            end = error
        while True:
            try:
                return batches.put(end, timeout=0.1)
            except queue.Full:
                if stopped.is_set():
                    batches.get_nowait()

    threading.Thread(target=run, name="plank follow", daemon=True).start()
    try:
        while True:
            batch = batches.get()
            if isinstance(batch, (StopIteration, StopAsyncIteration)):
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch
            if store and batch.cursor:
                asyncio.run(store.save(batch.cursor))
    finally:
        stopped.set()
