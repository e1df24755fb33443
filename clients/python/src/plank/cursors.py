"""Where the cursor of a subscription is kept between two runs of a program.

A cursor is saved when the program asks for the next batch: then the one before it has been applied. A program that ends in
between gets that batch again, so apply it in a way that may be repeated, or keep the cursor in the same transaction.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol


class CursorStore(Protocol):
    """What `subscribe(store=...)` takes."""

    async def load(self) -> str | None:
        """The cursor of the last run; None in the first one."""

    async def save(self, cursor: str) -> None:
        """Keeps it."""


class FileCursor:
    """Keeps a cursor in a file, which is replaced in one step."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    async def load(self) -> str | None:
        try:
            return self.path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    async def save(self, cursor: str) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(cursor)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise


class CallbackCursor:
    """Keeps a cursor by two functions, which may be coroutines."""

    def __init__(
        self,
        load: Callable[[], str | None | Awaitable[str | None]],
        save: Callable[[str], None | Awaitable[None]],
    ) -> None:
        self._load = load
        self._save = save

    async def load(self) -> str | None:
        cursor = self._load()
        return await cursor if inspect.isawaitable(cursor) else cursor

    async def save(self, cursor: str) -> None:
        saved = self._save(cursor)
        if inspect.isawaitable(saved):
            await saved
