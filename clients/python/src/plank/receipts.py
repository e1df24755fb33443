"""Whether a stream has passed a write. A stream can't be asked. The log can: what it has behind the cursor is still to come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import httpx

from .errors import RequestError
from .http import Http

if TYPE_CHECKING:
    from .subscription import Subscription

LOOK_AGAIN_S = 0.25
LOOK_MAX_S = 30.0
"""Later it is not known."""


async def look(http: Http, subscription: Subscription) -> dict[str, Any]:
    """Waits until the subscription has passed what the log has now; what a WebSocket would have answered."""
    id, last = subscription.id, None
    end = time.monotonic() + LOOK_MAX_S
    while time.monotonic() < end:
        with contextlib.suppress(RequestError, httpx.HTTPError, ValueError, KeyError, TypeError):
            transactions = await _behind(http, subscription)
            last = last or (transactions[-1] if transactions else None)
            if last not in transactions:
                return {"type": "pong", "id": id}
        await asyncio.sleep(LOOK_AGAIN_S)
    return {"type": "error", "id": id, "code": "bad_cursor", "message": "the log does not say whether it has passed"}


async def _behind(http: Http, subscription: Subscription) -> list[str]:
    """The transactions that are still to come to a subscription."""
    request = {"table": subscription.table, **subscription._request}
    # A window does not say of which transaction it is, and is there in a moment.
    since = None if "order" in request or "count" in request.get("columns", []) else subscription.cursor
    transactions: list[str] = []
    while since:
        changes, since = await http.changes(request, since)
        transactions += [change["xid"] for change in changes]
    return transactions
