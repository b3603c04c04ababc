"""The disk is full, tables are locked, a migration and a backup run beside people, who all write one task."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx

from persistence.embedded.server import Embedded
from tests.faults.conftest import Database
from tests.faults.people import PASSWORD, People, signed_in
from tests.faults.servers import command, docket, instances, make_folder, serve_embedded
from tests.faults.trial import Trial
from tests.migrations.conftest import Checkout

AT_ONCE = 10
MERGE = {"Content-Type": "application/merge-patch+json"}
UNCHANGED = {"If-Match": '"1"', **MERGE}
FIRST = {"FIRST_SUPERUSER_EMAIL": "root@example.com", "FIRST_SUPERUSER_PASSWORD": PASSWORD}
PATIENT = {"idle_in_transaction_session_timeout": "0"}
DISK = 192  # megabytes


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A disk of a few megabytes there. It takes the right to mount."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=0755", "docket", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Write until there is no place left."""
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass


async def test_the_disk_is_full(trial: Trial) -> None:
    """Of the embedded PostgreSQL; it is served again when there is place."""
    folder = make_folder()
    with small_disk(folder / "data"):
        async with (
            serve_embedded(folder) as server,
            trial("disk full", server, Embedded(folder / "data").url()) as people,
        ):
            async for _ in people.rounds(3):
                before = people.failures[503]
                await asyncio.to_thread(fill, folder / "data" / "ballast")
                await people.until(partial(is_refused, people, before), 60)
                await asyncio.sleep(2)
                (folder / "data" / "ballast").unlink()
    assert set(people.failures) == {503}


def is_refused(people: People, before: int) -> bool:
    return people.failures[503] > before


async def test_a_table_is_locked(trial: Trial, database: Database) -> None:
    """All wait for it, and no connection is left."""
    async with (
        docket(database.url, POOL_SIZE="2") as server,
        trial("pool exhausted behind a locked table for 4 s", server, database.url) as people,
    ):
        async for _ in people.rounds():
            locker = await asyncpg.connect(database.url, server_settings=PATIENT)
            async with locker.transaction():
                await locker.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
                await asyncio.sleep(4)
            await locker.close()
    assert people.longest_wait < 10


async def test_a_migration_is_applied(trial: Trial, database: Database, checkout: Checkout) -> None:
    """It builds an index, and waits for a reader that is older."""
    checkout.index("ix_new")
    async with docket(database.url) as server, trial("migration beside a long reader", server, database.url) as people:
        async for _ in people.rounds(1):
            reader = await asyncpg.connect(database.url, server_settings=PATIENT)
            async with reader.transaction(isolation="repeatable_read"):
                await reader.execute("SELECT FROM tasks")
                migrating = asyncio.create_task(
                    asyncio.to_thread(checkout.run, database.url, "server", "migrate", "apply")
                )
                await people.have_written(100)
            done = await migrating
            await reader.close()
            assert (done.returncode, done.stdout) == (0, "applied next go on\n"), done
    assert people.failures == {}


async def test_a_backup_is_made(trial: Trial, database: Database) -> None:
    """It has what was acknowledged before it began."""
    folder, name = make_folder(), f"restored_{uuid4().hex[:8]}"
    before, file = set[str](), ""
    async with docket(database.url) as server, trial("backup", server, database.url) as people:
        async for number in people.rounds(3):
            before, file = set(people.acknowledged), str(folder / f"{number}.backup")
            await command(database.url, "database", "backup", file)
    assert people.failures == {}
    database.postgres.ask(f"CREATE DATABASE {name} OWNER {database.postgres.role}")
    await command(database.postgres.url(name), "database", "restore", file)
    restored = await asyncpg.connect(database.postgres.url(name))
    kept = {str(record["id"]) for record in await restored.fetch("SELECT id FROM tasks")}
    await restored.close()
    assert before <= kept <= set(people.acknowledged) | kept


async def test_many_start_at_once(trial: Trial, database: Database) -> None:
    """Two servers of two workers each, on a database without tables: one migrates, one makes the superuser."""
    name = f"empty_{uuid4().hex[:8]}"
    database.postgres.ask(f"CREATE DATABASE {name} OWNER {database.postgres.role}")
    url = database.postgres.url(name)
    async with (
        instances(url, number=2, WORKERS="2", **FIRST) as two,
        trial("two servers of two workers start at once on an empty database", two.servers, url) as people,
    ):
        async for _ in people.rounds(1):
            assert database.postgres.ask("SELECT count(*) FROM users WHERE is_superuser", database=name) == "1"
    assert people.failures == {}


async def test_everybody_writes_the_same_at_once(trial: Trial, database: Database) -> None:
    """One of those who have read one version wins; one key does it once; no request that waits for another is stuck."""
    async with (
        docket(database.url, WORKERS="2") as server,
        trial(f"{AT_ONCE} writers of one task at once, WORKERS=2", server, database.url) as people,
        signed_in(server.url) as client,
    ):
        async for _ in people.rounds():
            await one_wins(client)
            await one_key_does_it_once(client)
            await nobody_is_stuck(client)
    assert people.failures == {}


async def one_wins(client: httpx.AsyncClient) -> None:
    task = await create_one(client)
    writes = [
        client.patch(f"/tasks/{task}", json={"title": f"{task} {number}"}, headers=UNCHANGED)
        for number in range(AT_ONCE)
    ]
    answers = await asyncio.gather(*writes)
    [won] = [answer.json() for answer in answers if answer.is_success]
    assert {answer.status_code for answer in answers if not answer.is_success} == {412}
    assert (await client.get(f"/tasks/{task}")).json() == won


async def one_key_does_it_once(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    writes = [client.post("/tasks", json={"title": f"Feed all of {key}"}, headers=key) for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*writes)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1


async def nobody_is_stuck(client: httpx.AsyncClient) -> None:
    """All move two tasks between two teams, and back, each in its own order."""
    teams = [await create_one(client, "/organizations", name="Pelicans", slug=f"pelicans-{uuid4()}") for _ in range(2)]
    tasks = [await create_one(client), await create_one(client)]

    async def move(number: int) -> list[int]:
        order = tasks if number % 2 else tasks[::-1]
        body = {"organization_id": teams[number // 2 % 2]}
        return [(await client.patch(f"/tasks/{task}", json=body, headers=MERGE)).status_code for task in order]

    answers = await asyncio.gather(*(move(number) for number in range(AT_ONCE)))
    assert {status for statuses in answers for status in statuses} == {200}


async def create_one(client: httpx.AsyncClient, path: str = "/tasks", **body: str) -> str:
    """The id of something new."""
    answer = (await client.post(path, json=body or {"title": f"Feed {uuid4()}"})).raise_for_status()
    return str(answer.json()["id"])
