"""When to come back after a lost connection."""

from __future__ import annotations

import json
import random

STABLE_S = 10.0
"""A connection of this age ends the back-off."""
RETRY_FIRST_S = 0.25
RETRY_MAX_S = 10.0
HINT_MAX_S = 60.0
"""The longest wait that a server may ask for."""
HINT_JITTER_S = 0.25
WELCOME_MAX_S = 10.0
"""For the first message of the server."""

FINAL_CODES = frozenset({1002, 1003, 1007, 1008, 1009})


def is_final(code: int) -> bool:
    """Whether a close code means that coming back unchanged is no use."""
    return code in FINAL_CODES or 4500 <= code < 5000


def hint_s(code: int, reason: str) -> float | None:
    """How long the server asks its clients to stay away."""
    if code not in (1001, 1012):
        return None
    try:
        hint = json.loads(reason)["retry_ms"]
    except (ValueError, KeyError, TypeError):
        return None
    return min(hint / 1000, HINT_MAX_S) if isinstance(hint, (int, float)) and hint >= 0 else None


def wait_s(attempt: int, asked_s: float | None) -> float:
    """Full jitter, so that a crowd comes back one by one."""
    if asked_s is not None:
        return min(asked_s, HINT_MAX_S) + random.uniform(0, HINT_JITTER_S)
    return random.uniform(0, min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(attempt, 16)))
