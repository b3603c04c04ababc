"""A million rows get an index, a check, a foreign key and a NOT NULL while they are read, written and backed up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from persistence.engine.pool import SESSION, Pool
from tests.factories import Factory
from tests.migrations.conftest import copy_project
from tests.migrations.test_live_tables import BUILDS, PATIENT, TASKS, start
from tests.waiting import until

MANY = 1_000_000
READERS = WRITERS = 4
LOCK = 1.2  # seconds that a migration waits for a lock, those who come later behind it
MISSING = """
ALTER TABLE tasks DROP CONSTRAINT fk_tasks_user_id, DROP CONSTRAINT ck_tasks_title, ALTER COLUMN priority DROP NOT NULL;
DROP INDEX ix_tasks_priority
"""


async def test_a_busy_table_is_migrated_beside_a_backup(
    fresh_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = Pool(fresh_url, size=1)
    owner = (await Factory(pool).user()).id
    await pool.close()
    patient = PATIENT | {"statement_timeout": "0"}
    backup, looker = [await asyncpg.connect(fresh_url, server_settings=patient) for _ in range(2)]
    await looker.execute(TASKS, owner, MANY)
    await looker.execute(MISSING)
    await looker.execute("VACUUM ANALYZE tasks")
    checkout = copy_project(tmp_path)
    written = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "auto", "Find and bind")
    assert len(written.stdout.splitlines()) == 4, written

    took: list[tuple[float, float]] = []
    tasks = [asyncio.create_task(work(fresh_url, owner, took, read)) for _ in range(READERS)]
    tasks += [asyncio.create_task(work(fresh_url, owner, took, write)) for _ in range(WRITERS)]
    began = time.monotonic()
    reading = backup.transaction(isolation="repeatable_read")
    await reading.start()
    await backup.execute("SELECT FROM organizations")
    process = start(checkout, fresh_url)
    await until(lambda: looker.fetchval(BUILDS), 1, seconds=300)
    await backup.execute("SELECT FROM tasks LIMIT 1")
    await asyncio.sleep(5)
    await reading.rollback()
    said, complaint = await asyncio.to_thread(process.communicate)
    seconds = time.monotonic() - began
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    checked = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "check")
    await backup.close()
    await looker.close()

    longest = max(after - before for before, after in took)
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\n{MANY} rows migrated in {seconds:.1f} s beside a backup: {len(took)} statements meanwhile,"
            f" the longest {longest * 1000:.0f} ms"
        )
    assert (process.returncode, complaint, said.count("applied")) == (0, "", 4)
    assert {type(each) for each in ended} == {asyncio.CancelledError}  # no statement failed
    assert longest < LOCK + 0.3  # the lock_timeout of requests
    assert (checked.returncode, checked.stderr) == (0, "")


async def work(
    url: str, owner: UUID, took: list[tuple[float, float]], do: Callable[[asyncpg.Connection, UUID], Awaitable[object]]
) -> None:
    """Do something again and again, with the timeouts of requests, and note when it began and ended."""
    connection = await asyncpg.connect(url, server_settings=SESSION)
    try:
        while True:
            began = time.monotonic()
            await do(connection, owner)
            took.append((began, time.monotonic()))
            await asyncio.sleep(0.005)
    finally:
        connection.terminate()


async def read(connection: asyncpg.Connection, owner: UUID) -> object:
    return await connection.fetch("SELECT * FROM tasks WHERE organization_id = $1 ORDER BY id DESC LIMIT 20", owner)


async def write(connection: asyncpg.Connection, owner: UUID) -> object:
    return await connection.execute(TASKS, owner, 1)
