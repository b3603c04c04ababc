"""The application as a process of its own, and the processes of the PostgreSQL that it brings along."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from persistence.embedded.server import Embedded

ROOT = Path(__file__).parents[1]
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


@asynccontextmanager
async def serve(folder: Path, **settings: str) -> AsyncIterator[Served]:
    """A server of this folder, as an operator starts it, stopped afterwards unless it was killed."""
    log = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.log")
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PORT")}
    environment |= {"DATA_DIR": str(folder), "PORT": "0", "RATE_LIMITS_ENABLED": "false", "PYTHONPATH": str(ROOT)}
    environment |= {"LOG_FORMAT": "json"}
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "server", "serve"],
            cwd="/",  # so that no .env counts
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
