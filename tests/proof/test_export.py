"""An account with 100,000 tasks: its export takes no memory."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from persistence.embedded.server import Embedded
from tests.outages import serve

TASKS = 100_000
MORE = 16 * 1024 * 1024  # bytes that the server may take meanwhile; the export has several times as many
ACCOUNT = {"email": "ada@example.com", "password": "a pelican reads the timetable"}
FILL = """
INSERT INTO tasks (organization_id, id, user_id, title, description, status, priority, created_at, updated_at)
SELECT $1, gen_random_uuid(), $2, 'Feed pelican ' || i, repeat('It is hungry. ', 20), 'pending', 'low', now(), now()
FROM generate_series(1, $3::int) i
"""
TEAM = """
WITH team AS (
    INSERT INTO organizations (id, kind, name, slug, created_at, updated_at)
    VALUES (gen_random_uuid(), 'team', 'Team', 'team', now(), now()) RETURNING id
), members AS (
    INSERT INTO organization_members (organization_id, user_id, role, created_at, updated_at)
    SELECT team.id, users.id, 'owner', now(), now() FROM team, users
)
SELECT id FROM team
"""


@asynccontextmanager
async def signed_in(url: str, **account: str) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client that is signed in as a new user, and the id of the user."""
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=60) as client:
        user_id = (await client.post("/auth/register", json=account)).raise_for_status().json()["id"]
        token = (await client.post("/auth/login", json=account)).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client, user_id


async def fill(folder: Path, organization_id: str | None, user_id: str) -> str:
    """Tasks of the user, in the organization or in a team of all users. What comes back is the id of where they are."""
    connection = await asyncpg.connect(Embedded(folder).url(), server_settings={"statement_timeout": "0"})
    place = organization_id or str(await connection.fetchval(TEAM))
    await connection.execute(FILL, place, user_id, TASKS)
    await connection.execute("ANALYZE tasks")
    await connection.close()
    return place


async def test_an_export_of_100_000_tasks_takes_no_memory(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="docket-") as name:
        folder = Path(name, "data")
        folder.parent.chmod(0o755)  # for the account that runs PostgreSQL for root
        async with serve(folder) as server, signed_in(server.url, **ACCOUNT) as (client, user_id):
            (await client.get("/users/me/export")).raise_for_status()
            await fill(folder, user_id, user_id)
            process = psutil.Process(server.process.pid)
            before = most = process.memory_info().rss
            size = found = 0
            began = time.monotonic()
            async with client.stream("GET", "/users/me/export") as answer:
                async for chunk in answer.aiter_bytes():
                    size += len(chunk)
                    found += chunk.count(b"Feed pelican")
                    most = max(most, process.memory_info().rss)
            seconds = time.monotonic() - began

    with capsys.disabled():
        print(  # noqa: T201 - the figures are what the proof is run for
            f"\n{size / 1e6:.1f} MB in {seconds:.1f} s; RSS {before / 1e6:.1f} MB before, at most {most / 1e6:.1f} MB"
        )
    assert found >= 2 * (TASKS - size // 65536)  # in tasks and in changes; a title may lie across two chunks
    assert most - before < MORE
