"""Follow PostgreSQL tables through plank.

>>> async with plank.connect("http://127.0.0.1:8080") as db:
...     async for batch in db.subscribe("orders", snapshot=True):
...         print(batch.kind, len(batch.changes))

`connect` opens one WebSocket, which all subscriptions share. It comes back by itself after a lost connection, and each
subscription goes on from its cursor: every committed change is handed out once. `follow` is the same for scripts
without asyncio.
"""

from .client import Client, connect
from .cursors import CallbackCursor, CursorStore, FileCursor
from .errors import ConnectionRefused, PlankError, RequestError, SessionClosed, SubscriptionError
from .messages import Batch, Change, Written
from .state import State
from .subscription import Subscription
from .sync import follow

__all__ = [
    "Batch",
    "CallbackCursor",
    "Change",
    "Client",
    "ConnectionRefused",
    "CursorStore",
    "FileCursor",
    "PlankError",
    "RequestError",
    "SessionClosed",
    "State",
    "Subscription",
    "SubscriptionError",
    "Written",
    "connect",
    "follow",
]
