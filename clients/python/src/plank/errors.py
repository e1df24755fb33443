"""What can go wrong and does not pass by itself. What passes (a lost connection, a restart) is never an error here."""

from __future__ import annotations

from typing import Any


class PlankError(Exception):
    """The base of all errors of this package."""


class ConnectionRefused(PlankError):
    """The server answers the handshake with a status that trying again does not change, such as 401 or 404."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the server refuses the WebSocket with status {status}: {detail}")
        self.status = status
        self.detail = detail


class SessionClosed(PlankError):
    """The server closed the WebSocket with a code that means "not unchanged"; docs/PROTOCOL.md lists them."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server closed the session with {code}: {reason or 'no reason was given'}")
        self.code = code
        self.reason = reason


class SubscriptionError(PlankError):
    """The server refuses a subscription, or ends it. `code` is one of the error codes of docs/PROTOCOL.md."""

    def __init__(self, table: str, code: str, message: str) -> None:
        super().__init__(f"{table}: {message} ({code})")
        self.table = table
        self.code = code
        self.message = message


class RequestError(PlankError):
    """An HTTP request was answered with an error. `problem` is the body, as RFC 9457 has it, or empty."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float | None = None) -> None:
        said = problem.get("detail") or problem.get("message") or problem.get("title") or "no detail was given"
        super().__init__(f"status {status}: {said}")
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s
