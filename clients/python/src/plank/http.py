"""Rows and writes over HTTP."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from .errors import RequestError
from .messages import Row, writable

REQUEST_S = 30.0
"""For an answer to begin, and between two of its pieces."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one moment."""

    rows: list[Row]
    cursor: str
    """The position of that moment."""


class Http:
    """One pool of connections."""

    def __init__(self, url: str, bearer: Callable[[], Awaitable[str | None]], read: Callable[[str | bytes], Any]) -> None:
        self._url = url
        self._bearer = bearer
        self._read = read
        self._client = httpx.AsyncClient(timeout=REQUEST_S)

    async def close(self) -> None:
        await self._client.aclose()

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
        url = f"{self._url}/api/tables/{quote(table, safe='')}/rows{query}"
        headers = {"Accept": "application/x-ndjson", **await self._authorization()}
        rows: list[Row] = []
        async with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise _error(answer)
            async for line in answer.aiter_lines():
                rows.append(self._read(line))
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
    ) -> list[Row]:
        prefer = "return=representation" + (",resolution=merge-duplicates" if is_upsert else "")
        headers = {"Prefer": prefer, "Content-Type": "application/json", **await self._authorization()}
        url = f"{self._url}/rest/{quote(table, safe='')}{_query(filter, on_conflict=on_conflict)}"
        content = None if body is None else json.dumps(body, default=writable)
        answer = await self._client.request(method, url, headers=headers, content=content)
        if answer.status_code >= 300:
            raise _error(answer)
        return list(self._read(answer.content)) if answer.content else []

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


def _error(answer: httpx.Response) -> RequestError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": answer.text[:200]}
    after = answer.headers.get("Retry-After", "")
    return RequestError(answer.status_code, problem if isinstance(problem, dict) else {}, float(after) if after.isdigit() else None)
