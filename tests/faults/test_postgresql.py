"""PostgreSQL is restarted, killed and frozen under people who work."""

import asyncio
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from persistence.embedded.server import Embedded
from tests.faults.conftest import Database
from tests.faults.servers import POOL_SIZE, docket, make_folder, serve_embedded
from tests.faults.trial import Trial
from tests.outages import backend_of, postmaster_of
from tests.system.postgres import pgbouncer
from tests.waiting import until

SOON = 10  # seconds after the end of the harm in which somebody is served


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
    """Only a write whose connection ends beneath it is refused: whether it was done, no message says."""
    restarts = 0
    async with docket(database.url) as server, trial("PostgreSQL fast restart", server, database.url) as people:
        async for _ in people.rounds():
            restarts += 1
            await asyncio.to_thread(database.postgres.stop)
            await asyncio.to_thread(database.postgres.start)
    assert people.failures.keys() <= {"503"}
    assert people.failures.total() <= restarts


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


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_the_server_is_away_for_long(trial: Trial, database: Database, how: str) -> None:
    """A minute in the long form. That is no reason to restart us: `trial` asks `/livez` all the time."""
    postgres = database.postgres
    async with docket(database.url) as server, trial(f"PostgreSQL {how} for a minute", server, database.url) as people:
        async for _ in people.rounds(1):
            await asyncio.to_thread(postgres.stop if how == "stopped" else postgres.freeze)
            await asyncio.sleep(60 if people.is_long else 3)
            await asyncio.to_thread(postgres.start if how == "stopped" else postgres.thaw)
            back = time.monotonic()
            assert await people.first_after(back) - back < SOON


async def test_the_server_is_down_at_the_start(trial: Trial, database: Database) -> None:
    await asyncio.to_thread(database.postgres.stop)
    async with (
        docket(database.url, AUTO_MIGRATE="false") as server,
        httpx.AsyncClient(base_url=server.url, timeout=30) as client,
    ):
        assert [(await client.get(path)).status_code for path in ("/livez", "/readyz")] == [200, 503]
        await asyncio.to_thread(database.postgres.start)

        async def ready() -> int:
            return (await client.get("/readyz")).status_code

        await until(ready, 200)
        async with trial("PostgreSQL down at the start", server, database.url) as people:
            async for _ in people.rounds(1):
                assert await ready() == 200
    assert people.failures == {}


async def test_the_server_is_killed_behind_a_pooler(trial: Trial, database: Database) -> None:
    with pgbouncer(database.url, POOL_SIZE) as pooled:
        async with (
            docket(pooled, DATABASE_POOLER="transaction") as server,
            trial("kill -9 of the postmaster for 1.5 s behind pgbouncer", server, database.url) as people,
        ):
            async for _ in people.rounds():
                await asyncio.to_thread(database.postgres.stop, signal.SIGKILL)
                await asyncio.sleep(1.5)
                await asyncio.to_thread(database.postgres.start)
                back = time.monotonic()
                assert await people.first_after(back) - back < SOON


@pytest.mark.alone
@pytest.mark.parametrize(("victim", "workers"), [(postmaster_of, "1"), (backend_of, "2")])
async def test_the_embedded_server_is_killed(
    trial: Trial, victim: Callable[[Path], psutil.Process], workers: str
) -> None:
    folder, name = make_folder(), victim.__name__.removesuffix("_of")
    async with (
        serve_embedded(folder, WORKERS=workers) as server,
        trial(f"kill -9 of the embedded {name}, WORKERS={workers}", server, Embedded(folder / "data").url()) as people,
    ):
        async for _ in people.rounds():
            process = victim(folder / "data")
            process.kill()
            await asyncio.to_thread(psutil.wait_procs, [process], timeout=2)
    shutil.rmtree(folder)
    assert people.longest_gap < 5
