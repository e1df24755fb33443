"""What a subscription hands out, and how messages are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

Row = dict[str, Any]
Op = Literal["insert", "update", "delete", "truncate"]
Kind = Literal["changes", "snapshot", "reset"]


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change of a row."""

    op: Op
    key: Row | None
    """The primary key; None for a table without one, and for `truncate`."""
    row: Row | None
    """The row as it is now; of `insert` and `update`."""
    old: Row | None
    """The row as it was; of `delete`, where the server logs it."""
    seq: int | None
    """Names this change for ever, on every node. It, `xid` and `at` are None for changes of a window or of counts."""
    xid: str | None
    """The transaction."""
    at: str | None
    """When the transaction began, UTC, ISO 8601."""
    cause: str | None = None
    """`update` for a row that enters or leaves the filter; `window` for one that enters or leaves the window."""
    index: int | None = None
    """Where the row is in the window, behind this change."""
    traceparent: str | None = None
    """The trace that the writer belongs to (W3C Trace Context), where it named one."""

    @classmethod
    def of(cls, change: dict[str, Any]) -> Change:
        return cls(
            op=change["op"],
            key=change.get("key"),
            row=change.get("row"),
            old=change.get("old"),
            seq=change.get("seq"),
            xid=change.get("xid"),
            at=change.get("at"),
            cause=change.get("cause"),
            index=change.get("index"),
            traceparent=change.get("traceparent"),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be applied in one step; a transaction is always whole in one batch."""

    kind: Kind
    """`changes`; `snapshot`: `rows` replace what was there; `reset`: what was there is void, and a snapshot follows if the
    subscription has one."""
    cursor: str | None
    """The position behind this batch: `since` of a later run. None for a reset."""
    changes: list[Change] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    reason: str | None = None
    """Why the cursor could not be served: `expired`, `epoch`, `schema`."""


class Written(list[Row]):
    """The rows of a write, as they are stored, and its place in the log."""

    def __init__(self, rows: list[Row], cursor: str | None, xid: str | None) -> None:
        super().__init__(rows)
        self.cursor = cursor
        """A subscription that has reached it shows the write; see `Subscription.passed`. None if nothing was written."""
        self.xid = xid
        """The transaction, as in `Change.xid`."""


def reader(numbers: Literal["decimal", "float"]) -> Callable[[str | bytes], Any]:
    """Reads JSON. Integers keep all digits either way; other numbers do with `decimal`."""
    parse_float: Any = Decimal if numbers == "decimal" else float
    return lambda text: json.loads(text, parse_float=parse_float)


def writable(value: Any) -> Any:
    """For `json.dumps`: a Decimal keeps its digits as a string, which PostgreSQL reads as a number."""
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} can't be sent as JSON")
