"""Docket and what stands before it and beside it, as processes of a trial."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.outages import ROOT, Served, serve
from tests.ports import free_port

POOL_SIZE = 4  # of each worker: small, so that a leaked slot is felt
SETTINGS = {"POOL_SIZE": str(POOL_SIZE), "DRAIN_SECONDS": "0"}


@asynccontextmanager
async def docket(url: str, **settings: str) -> AsyncIterator[Served]:
    """A server of this database, as an operator starts it; `url` is DATABASE_URL."""
    folder = make_folder()
    try:
        async with serve(folder, **SETTINGS | {"DATABASE_URL": url} | settings) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def serve_embedded(folder: Path, **settings: str) -> AsyncIterator[Served]:
    """A server with the PostgreSQL that it brings along, whose data is in `folder/data`."""
    async with serve(folder / "data", **SETTINGS | settings) as server:
        yield server


class Instances:
    """Servers of one database. Their settings are the same but for the port."""

    def __init__(self, url: str, number: int, settings: dict[str, str]) -> None:
        self.url, self.settings = url, settings | {"SECRET_KEY": "a" * 32, "TRUSTED_PROXIES": "127.0.0.1"}
        self.ports = [free_port() for _ in range(number)]
        self.stacks = [AsyncExitStack() for _ in range(number)]
        self.servers: list[Served] = []

    async def start(self, number: int) -> Served:
        settings = self.settings | {"PORT": str(self.ports[number])}
        return await self.stacks[number].enter_async_context(docket(self.url, **settings))

    async def restart(self) -> None:
        """Each in its turn, the next one when the last answers, as a deployment does."""
        for number, stack in enumerate(self.stacks):
            await stack.aclose()
            self.servers[number] = await self.start(number)


@asynccontextmanager
async def instances(url: str, number: int = 3, **settings: str) -> AsyncIterator[Instances]:
    """So many instances, which start at once."""
    these = Instances(url, number, settings)
    try:
        these.servers += await asyncio.gather(*(these.start(each) for each in range(number)))
        yield these
    finally:
        for stack in these.stacks:
            await stack.aclose()


async def command(url: str, *arguments: str) -> None:
    """Run a command of operators with this database. It does what it is told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", *arguments),
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()


def make_folder() -> Path:
    """A temporary folder that the account may enter that runs PostgreSQL for root."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    return folder
