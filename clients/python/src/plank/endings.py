"""Why a connection ended, and how long the server asks its client to stay away."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from . import retry
from .errors import ConnectionRefused, SessionClosed

Ending = tuple[Exception | str, float | None]
"""An error that stays, or a text about what passes; and the seconds that the server asks for."""

LOST = 1006
"""The code of a connection that ends without one."""
PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that a later request may not get."""


class Ended(Exception):
    """Raised by a link that has ended."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending[0]))
        self.ending = ending


def closed(code: int, reason: str) -> Ending:
    """What a close code means."""
    if retry.is_final(code):
        return SessionClosed(code, reason), None
    return f"the connection was lost ({code})", retry.hint_s(code, reason)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After`, a number of seconds or a date, or None if it says nothing of use."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text) or None
    try:
        left_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return left_s if left_s > 0 else None


def refused(status: int, headers: Mapping[str, str], body: bytes) -> Ending:
    """What the status of a handshake, or of a request for a stream, means."""
    if status in PASSING or status >= 500:
        return f"the server refuses with {status}", retry_after_s(headers)
    text = body.decode("utf-8", "replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = text.strip()[:200] or "no detail was given"
    return ConnectionRefused(status, str(detail)), None
