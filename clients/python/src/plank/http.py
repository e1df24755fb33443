"""Rows and writes over HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from . import retry
from .endings import retry_after_s
from .errors import RequestError
from .messages import Row, Written, writable
from .stream import lines

REQUEST_S = 30.0
"""For an answer to begin, and between two of its pieces."""
WHY_S = 5.0
"""For the answer to why a WebSocket failed."""
WRITE_MAX_S = 60.0
"""For so long a write is sent again."""
PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses of a server that can't answer now, or of something before it."""
UNDER_WAY = "PGRST409"
"""With 409: the same request is being carried out."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one moment."""

    rows: list[Row]
    cursor: str
    """The position of that moment."""


class Http:
    """One pool of connections."""

    def __init__(
        self, url: str, bearer: Callable[[], Awaitable[str | None]], may_renew: bool, read: Callable[[str | bytes], Any]
    ) -> None:
        self.url = url
        self._bearer = bearer
        self._may_renew = may_renew
        self._read = read
        self.client = httpx.AsyncClient(timeout=REQUEST_S)

    async def close(self) -> None:
        await self.client.aclose()

    async def why(self) -> int:
        """How a handshake would be answered, as a status: 204 or 426 for a WebSocket. 0 without an answer."""
        try:
            return (await self.client.get(f"{self.url}/ws?why", timeout=WHY_S)).status_code
        except httpx.HTTPError:
            return 0

    async def changes(self, request: dict[str, Any], since: str) -> tuple[list[dict[str, Any]], str | None]:
        """The changes of a subscription behind a cursor, and where there are more."""
        query = _query(request.get("filter"), table=request["table"], columns=_list(request.get("columns")), since=since)
        answer = await self.client.get(f"{self.url}/api/changes{query}", headers=await self._authorization())
        if answer.status_code != 200:
            raise _error(answer)
        said = self._read(answer.content)
        return said["changes"], said["cursor"] if said["more"] else None

    async def rows(
        self,
        table: str,
        *,
        filter: str | None,
        columns: Sequence[str] | None,
        order: str | None,
        limit: int | None,
    ) -> Rows:
        query = _query(filter, columns=_list(columns), order=order, limit=limit)
        url = f"{self.url}/api/tables/{quote(table, safe='')}/rows{query}"
        headers = {"Accept": "application/x-ndjson", **await self._authorization()}
        rows: list[Row] = []
        try:
            async with self.client.stream("GET", url, headers=headers) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise _error(answer)
                if "plank-cursor" not in answer.headers:
                    raise _no_answer("it is not that of a plank")
                async for line in lines(answer):
                    rows.append(self._read(line))
        except (httpx.HTTPError, ValueError) as lost:
            raise _no_answer(lost) from lost
        return Rows(rows, answer.headers["plank-cursor"])

    async def write(
        self,
        method: str,
        table: str,
        filter: str | None,
        body: Row | Sequence[Row] | None,
        *,
        on_conflict: str | None = None,
        is_upsert: bool = False,
    ) -> Written:
        prefer = "return=representation" + (",resolution=merge-duplicates" if is_upsert else "")
        headers = {"Prefer": prefer, "Content-Type": "application/json", **await self._authorization()}
        url = f"{self.url}/rest/{quote(table, safe='')}{_query(filter, on_conflict=on_conflict)}"
        content = None if body is None else json.dumps(body, default=writable)
        return await self._write_once(method, url, headers, content)

    async def _write_once(self, method: str, url: str, headers: dict[str, str], content: str | None) -> Written:
        """Sends it until it is known what became of it. By its key the server writes it once, however often it comes."""
        headers["Idempotency-Key"] = secrets.token_hex(16)
        end = time.monotonic() + WRITE_MAX_S
        attempt, is_renewed = 0, False
        while True:
            error, after_s = RequestError(0, {"detail": "the server does not answer"}), None
            try:
                answer = await self.client.request(method, url, headers=headers, content=content)
                if answer.status_code < 300:
                    rows = self._read(answer.content) if answer.content else []
                    if not isinstance(rows, list):
                        raise ValueError("it has no rows")
                    return Written(rows, answer.headers.get("plank-cursor"), answer.headers.get("plank-xid"))
                error = _error(answer)
                after_s = error.retry_after_s
            except (httpx.HTTPError, ValueError) as lost:
                # A page of something in between is no answer either.
                error = _no_answer(lost)
            if error.status == 401 and self._may_renew and not is_renewed:
                # Another token may help, once.
                is_renewed = True
                headers |= await self._authorization()
                continue
            is_under_way = error.status == 409 and error.problem.get("code") == UNDER_WAY
            if not (error.status == 0 or error.status in PASSING or is_under_way):
                raise error
            wait_s = retry.wait_s(attempt, after_s)
            if time.monotonic() + wait_s >= end:
                raise RequestError(error.status, {**error.problem, "code": "outcome_unknown"}) from error
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _authorization(self) -> dict[str, str]:
        token = await self._bearer()
        return {"Authorization": f"Bearer {token}"} if token else {}


def _list(columns: Sequence[str] | None) -> str | None:
    """Column names as a list with commas; a name that could be read otherwise has quotes."""
    if columns is None:
        return None

    def name(column: str) -> str:
        is_plain = column and column == column.strip() and not set(column) & set(',"')
        return column if is_plain else '"' + column.replace('"', '""') + '"'

    return ",".join(map(name, columns))


def _query(filter: str | None, **parameters: Any) -> str:
    """A filter is a query string already."""
    given = [f"{name}={quote(str(value), safe='(),.*')}" for name, value in parameters.items() if value is not None]
    parts = [*([filter] if filter else []), *given]
    return f"?{'&'.join(parts)}" if parts else ""


def _no_answer(why: object) -> RequestError:
    return RequestError(0, {"detail": f"no answer: {str(why) or type(why).__name__}"})


def _error(answer: httpx.Response) -> RequestError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": answer.text[:200]}
    return RequestError(answer.status_code, problem if isinstance(problem, dict) else {}, retry_after_s(answer.headers))
