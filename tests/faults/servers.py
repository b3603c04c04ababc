"""Docket and what stands before it and beside it, as processes of a trial."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.outages import Served, served

POOL_SIZE = 4  # of each worker: small, so that a leaked slot is felt


@asynccontextmanager
async def docket(url: str, **settings: str) -> AsyncIterator[Served]:
    """A server of this database, as an operator starts it; `url` is DATABASE_URL."""
    folder = make_folder()
    try:
        async with served(
            folder, **{"DATABASE_URL": url, "POOL_SIZE": str(POOL_SIZE), "DRAIN_SECONDS": "0", **settings}
        ) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def embedded(**settings: str) -> AsyncIterator[tuple[Served, Path]]:
    """A server with the PostgreSQL that it brings along, and the folder of its data."""
    folder = make_folder()
    try:
        async with served(folder / "data", **{"POOL_SIZE": str(POOL_SIZE), "DRAIN_SECONDS": "0", **settings}) as server:
            yield server, folder / "data"
    finally:
        shutil.rmtree(folder)


def make_folder() -> Path:
    """A temporary folder that the account may enter that runs PostgreSQL for root."""
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    return folder
