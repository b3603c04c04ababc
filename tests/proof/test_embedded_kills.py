"""The embedded PostgreSQL is killed again and again under writers: nothing that was acknowledged is lost."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import asyncpg
import psutil
import pytest

from persistence.embedded.server import Embedded

KILLS, WRITERS = 10, 8
QUIET = 0.5  # seconds of writing between the kills


class Writers:
    """Insert rows as fast as they are acknowledged, and try again whatever happens to a connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ids = count()
        self.acknowledged: dict[int, float] = {}  # id: when
        self.errors = 0

    async def write(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self.url, timeout=2, command_timeout=3)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)
                continue
            try:
                await self.write_through(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self.errors += 1
            finally:
                connection.terminate()

    async def write_through(self, connection: asyncpg.Connection) -> None:
        while True:
            number = next(self.ids)
            await connection.execute("INSERT INTO written (id) VALUES ($1)", number)
            self.acknowledged[number] = time.monotonic()

    async def have_written_since(self, moment: float) -> float:
        """The first acknowledgement after a moment."""
        while True:
            later = [when for when in list(self.acknowledged.values())[-WRITERS:] if when > moment]
            if later:
                return min(later)
            await asyncio.sleep(0.005)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder
    shutil.rmtree(folder)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded = Embedded(folder)
    await embedded.start()
    connection = await asyncpg.connect(embedded.url())
    await connection.execute("CREATE TABLE written (id bigint PRIMARY KEY)")
    await connection.close()
    writers = Writers(embedded.url())
    tasks = [asyncio.create_task(writers.write()) for _ in range(WRITERS)]

    outages, kills = [], []
    for _ in range(KILLS):
        await writers.have_written_since(time.monotonic() + QUIET)
        pid = embedded.status().pid
        assert pid is not None
        kills.append(pid)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(psutil.wait_procs, [psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=1)
        outages.append(await writers.have_written_since(time.monotonic()) - killed)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    connection = await asyncpg.connect(embedded.url("postgres"))
    kept = {record["id"] for record in await connection.fetch("SELECT id FROM written")}
    await connection.close()
    await embedded.stop()

    lost = writers.acknowledged.keys() - kept
    gap = max(after - before for before, after in pairwise(sorted(writers.acknowledged.values())))
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\nkilled {len(set(kills))} servers under {WRITERS} writers: acknowledged {len(writers.acknowledged)},"
            f" lost {len(lost)}, kept without acknowledgement {len(kept - writers.acknowledged.keys())},"
            f" longest gap {gap:.2f} s, outages {', '.join(f'{outage:.2f}' for outage in outages)} s"
        )
    assert len(set(kills)) == KILLS
    assert lost == set()
    assert max(outages) < 5
    assert gap < 5
