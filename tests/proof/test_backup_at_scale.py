"""A backup of a gigabyte under people who write, and whether its restore brings all of it."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from persistence.embedded.server import Embedded
from persistence.engine.pool import Pool
from server.__main__ import main
from server.database import backup
from tests.factories import Factory

GIGABYTE, ANSWER = 10**9, 8192
WRITERS = 4
# Answers that are kept for a key: nothing else is as large and has no index. pg_dump writes them as text.
FILL = """
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, headers, body, created_at)
SELECT $1, n::text, '', 201, '{}', to_json(repeat(
    (SELECT string_agg(md5(n::text || part::text), '') FROM generate_series(1, 32) AS part), 8)), now()
FROM generate_series(1, $2) AS n
"""
SUM = "SELECT count(*), sum(hashtext(key || body::text)) FROM idempotency_keys"
PAIRED = """
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM tasks WHERE tasks.user_id = users.id)) FROM users
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_gigabyte_is_backed_up_beside_writers_and_restored(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writer makes a user and a task together: the one without the other would be half a moment."""
    pool = Pool(url, size=WRITERS, patience=60)
    make = Factory(pool)
    first = await make.user()
    await make.task(first.id, first)
    connection = await asyncpg.connect(url)
    await connection.execute("SET statement_timeout = 0")
    await connection.execute(FILL, first.id, GIGABYTE // ANSWER)
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            async with pool.transaction() as transaction:
                user = await Factory(transaction).user()
                await Factory(transaction).task(user.id, user)
            written += 1

    writers = [asyncio.create_task(write()) for _ in range(WRITERS)]
    began = time.monotonic()
    await backup.write(url, folder / "file")
    took, beside = time.monotonic() - began, written
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)
    await pool.close()

    monkeypatch.setenv("DATA_DIR", str(folder / "restored"))
    began = time.monotonic()
    assert await asyncio.to_thread(main, ["database", "restore", str(folder / "file")]) == 0
    print(  # noqa: T201 - the measurement
        f"\nbacked up in {took:.0f} s as {os.path.getsize(folder / 'file') / 1e6:.0f} MB, beside {beside} writes;"  # noqa: PTH202, ASYNC240
        f" restored in {time.monotonic() - began:.0f} s"
    )

    embedded = Embedded(folder / "restored")
    await embedded.start()
    restored = await asyncpg.connect(embedded.url())
    assert await restored.fetchrow(SUM) == await connection.fetchrow(SUM)
    users, alone = await restored.fetchrow(PAIRED) or (0, 0)
    assert alone == 0
    assert 0 < users <= written + 1
    assert beside > 0
    await restored.close()
    await connection.close()
    await embedded.stop()
