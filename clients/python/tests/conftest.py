"""A real plank with a private PostgreSQL; PLANK_BIN names the program."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

DEADLINE_S = 60.0


@dataclass
class Server:
    url: str
    database: str
    process: subprocess.Popen[str]

    def sql(self, text: str) -> str:
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database, "-c", text]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout.strip()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="plank-python-"))
    directory.chmod(0o755)
    command = [os.environ["PLANK_BIN"], "serve", "--listen", "127.0.0.1:0", "--data-dir", str(directory / "data")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    log = (directory / "log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("plank is live at "), (directory / "log").read_text()
        socket = next((directory / "data").rglob(".s.PGSQL.*[0-9]"))
        port = socket.name.rsplit(".", 1)[1]
        database = f"postgresql://postgres@/plank?host={socket.parent}&port={port}"
        yield Server(line.removeprefix("plank is live at ").strip(), database, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def table(server: Server, request: pytest.FixtureRequest) -> str:
    """A watched table of the test's own, with the columns id, name, total."""
    name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_")).strip("_")[-50:]
    server.sql(f"create table {name} (id bigint primary key, name text, total numeric); select plank.watch('{name}')")

    async def is_known() -> bool:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{server.url}/api/tables/{name}/rows")).status_code == 200

    run(until("the table is known", is_known))
    return name


def run(awaitable: Awaitable[Any]) -> Any:
    """Runs a test under a deadline."""

    async def bounded() -> Any:
        return await asyncio.wait_for(awaitable, DEADLINE_S)

    return asyncio.run(bounded())


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {DEADLINE_S} s"
        await asyncio.sleep(0.02)


@dataclass
class Proxy:
    """Between the client and plank; `cut` ends all connections in the middle of whatever they carry."""

    url: str
    connections: int
    writers: list[asyncio.StreamWriter]

    def cut(self) -> None:
        for writer in self.writers:
            if writer.transport:
                writer.transport.abort()
        self.writers.clear()


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    host, port = target.removeprefix("http://").split(":")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(4096):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        made.connections += 1
        made.writers += [writer, up_writer]
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    made = Proxy(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", 0, [])
    try:
        yield made
    finally:
        listener.close()
        made.cut()
