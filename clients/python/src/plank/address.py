"""The address of a plank."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from .errors import PlankError


def addresses(url: str) -> tuple[str, str]:
    """The address of the WebSocket and of HTTP. `/ws` at the end of a path is plank's own and may be there."""
    parts = urlsplit(url)
    secure = {"http": False, "ws": False, "https": True, "wss": True}.get(parts.scheme)
    if secure is None or not parts.netloc:
        raise PlankError(f"{url!r} is no address of a plank: write http://HOST:PORT")
    path = parts.path.removesuffix("/").removesuffix("/ws")
    ws = urlunsplit(("wss" if secure else "ws", parts.netloc, f"{path}/ws", parts.query, ""))
    http = urlunsplit(("https" if secure else "http", parts.netloc, path, "", ""))
    return ws, http
