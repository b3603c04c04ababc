"""The application as a process of its own, people who write without pause, and what they were told when it was hurt."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from persistence.embedded.server import Embedded

ROOT = Path(__file__).parents[1]
WRITERS = 8
READY = "Docket answers at "
PATIENCE = 60  # seconds for a start, and for whatever is waited for


@dataclass(frozen=True, slots=True)
class Served:
    """A running server, and where it logs as long as it is served."""

    process: psutil.Popen
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it logged in JSON, but for the line that it is writing."""
        lines = self.log.read_bytes().rpartition(b"\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]


@dataclass
class Seen:
    """What writers were answered: `acknowledged` are the tasks, and when; `refusals` what the others were told."""

    acknowledged: dict[str, float] = field(default_factory=dict)
    refusals: list[tuple[int, str | None]] = field(default_factory=list)

    async def one_after(self, moment: float) -> float:
        """The first acknowledgement after a moment."""
        async with asyncio.timeout(PATIENCE):
            while True:
                later = [when for when in list(self.acknowledged.values())[-WRITERS:] if when > moment]
                if later:
                    return min(later)
                await asyncio.sleep(0.005)

    def longest_gap(self, since: float, until: float) -> float:
        """How long nobody was acknowledged between two moments. Some are for a while after the server died."""
        moments = [since, *(when for when in sorted(self.acknowledged.values()) if since < when < until), until]
        return max(after - before for before, after in pairwise(moments))


@asynccontextmanager
async def served(folder: Path, **settings: str) -> AsyncIterator[Served]:
    """A server of this folder, as an operator starts it, stopped afterwards unless it was killed."""
    log = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.log")
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PORT")}
    environment |= {"DATA_DIR": str(folder), "PORT": "0", "RATE_LIMITS_ENABLED": "false", "PYTHONPATH": str(ROOT)}
    environment |= {"LOG_FORMAT": "json"}
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "server", "serve"],
            cwd="/",  # so that nobody's .env counts
            env=environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Served(process, await address_in(log, process), log)
        if process.is_running():
            process.terminate()
            await asyncio.to_thread(process.wait, PATIENCE)
    finally:
        end(process)
        log.unlink()


async def address_in(log: Path, process: psutil.Popen) -> str:
    """Where a server says that it answers."""
    deadline = time.monotonic() + PATIENCE
    while READY not in (said := log.read_text()):  # noqa: ASYNC240 - a line or two
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The server does not answer:\n{said}")
        await asyncio.sleep(0.02)
    return said.partition(READY)[2].partition(";")[0]


def end(process: psutil.Popen) -> None:
    """End a server that did not end by itself, and its workers."""
    with suppress(psutil.NoSuchProcess):
        for worker in process.children():
            worker.kill()
        process.kill()
    process.wait()


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Seen]:
    """People who write there for as long as the context lasts."""
    seen = Seen()
    limits = httpx.Limits(max_connections=WRITERS, max_keepalive_connections=WRITERS)
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", limits=limits, timeout=20) as client:
        account = {"email": f"ada-{time.monotonic_ns()}@example.com", "password": "a pelican reads the timetable"}
        (await client.post("/auth/register", json=account)).raise_for_status()
        token = (await client.post("/auth/login", json=account)).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(write(client, seen)) for _ in range(WRITERS)]
            yield seen
            for writer in writers:
                writer.cancel()


async def write(client: httpx.AsyncClient, seen: Seen) -> None:
    while True:
        answer = await client.post("/tasks", json={"title": "Feed the pelican"})
        if answer.status_code == httpx.codes.CREATED:
            seen.acknowledged[answer.json()["id"]] = time.monotonic()
        else:
            seen.refusals.append((answer.status_code, answer.headers.get("retry-after")))
            await asyncio.sleep(0.1)  # sooner than told, to see when it serves again


async def kept_in(folder: Path) -> set[str]:
    """The tasks that a database has."""
    connection = await asyncpg.connect(Embedded(folder).url())
    try:
        return {str(record["id"]) for record in await connection.fetch("SELECT id FROM tasks")}
    finally:
        await connection.close()


def postmaster_of(folder: Path) -> psutil.Process:
    pid = Embedded(folder).status().pid
    assert pid is not None
    return psutil.Process(pid)


def backend_of(folder: Path) -> psutil.Process:
    """A process of PostgreSQL that serves the application."""
    for child in postmaster_of(folder).children():
        with suppress(psutil.NoSuchProcess):  # others come and go
            if "docket docket" in " ".join(child.cmdline()):
                return child
    raise RuntimeError("no process serves the application")
