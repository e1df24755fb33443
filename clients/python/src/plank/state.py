"""What a program is shown of the connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["connecting", "open", "waiting", "closed"]
Transport = Literal["ws", "sse"]


@dataclass(frozen=True, slots=True)
class State:
    """What the connection does now."""

    phase: Phase
    attempt: int = 0
    """How many connections in a row have failed."""
    retry_in_s: float | None = None
    """When it is tried again, in the phase `waiting`."""
    why: str | None = None
    """Why it is not open."""
    transport: Transport = "ws"
    """A WebSocket, or a stream of Server-Sent Events."""
