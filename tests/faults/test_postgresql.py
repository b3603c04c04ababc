"""PostgreSQL is restarted, killed and frozen under people who work."""

import asyncio
import signal

import psutil
import pytest

from persistence.embedded.server import Embedded
from tests.faults.conftest import Database
from tests.faults.servers import docket, embedded
from tests.faults.trial import Trial
from tests.outages import postmaster_of


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_backend_is_killed(trial: Trial, database: Database, workers: str) -> None:
    """The server ends all other sessions, too, and starts anew."""
    async with (
        docket(database.url, WORKERS=workers) as server,
        trial(f"kill -9 of a backend, WORKERS={workers}", server, database.url) as people,
    ):
        async for _ in people.rounds():
            database.postgres.backend().kill()
    assert people.longest_gap < 5


async def test_the_server_is_restarted(trial: Trial, database: Database) -> None:
    async with docket(database.url) as server, trial("PostgreSQL fast restart", server, database.url) as people:
        async for _ in people.rounds():
            await asyncio.to_thread(database.postgres.stop)
            await asyncio.to_thread(database.postgres.start)
    assert people.failures == {}


async def test_the_postmaster_is_killed(trial: Trial, database: Database) -> None:
    async with (
        docket(database.url) as server,
        trial("kill -9 of the postmaster for 1.5 s", server, database.url) as people,
    ):
        async for _ in people.rounds():
            await asyncio.to_thread(database.postgres.stop, signal.SIGKILL)
            await asyncio.sleep(1.5)
            await asyncio.to_thread(database.postgres.start)
    assert people.longest_wait < 6


async def test_the_server_is_frozen(trial: Trial, database: Database) -> None:
    async with docket(database.url) as server, trial("PostgreSQL SIGSTOP for 6 s", server, database.url) as people:
        async for _ in people.rounds():
            database.postgres.freeze()
            await asyncio.sleep(6)
            database.postgres.thaw()
    assert people.longest_wait < 8


async def test_the_embedded_server_is_killed(trial: Trial) -> None:
    async with (
        embedded() as (server, folder),
        trial("kill -9 of the embedded postmaster", server, Embedded(folder).url()) as people,
    ):
        async for _ in people.rounds():
            process: psutil.Process = postmaster_of(folder)
            process.kill()
            await asyncio.to_thread(psutil.wait_procs, [process], timeout=2)
    assert people.longest_gap < 5
