"""A table is emptied by mistake, and PostgreSQL goes back to the moment before: docs/operations.md, "Recovery"."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.conftest import Server
from tests.faults.people import AMID, sign_in, working
from tests.faults.servers import docket
from tests.ports import free_port
from tests.system.postgres import Postgres, server_of
from tests.waiting import until

ARCHIVES = {
    "wal_level": "replica",
    "archive_mode": "on",
    "archive_command": "test ! -f ../wal/%f && cp %p ../wal/.%f && mv ../wal/.%f ../wal/%f",
    "archive_timeout": "60s",
}


@pytest.fixture
def archiving() -> Iterator[Postgres]:
    """A PostgreSQL that archives its WAL into the folder `wal` beside its data."""
    with server_of("127.0.0.1", free_port(), role="docket", password="a-secret", **ARCHIVES) as server:
        server.run("mkdir", "wal")
        yield server


async def test_every_write_before_a_mistake_comes_back(archiving: Postgres) -> None:
    template = await Server(archiving.admin, archiving.url("docket")).migrated()
    archiving.ask(f"CREATE DATABASE docket TEMPLATE {template} OWNER docket")
    url = archiving.url("docket")
    async with docket(url) as server, working(server.url, await sign_in(server.url), 0, is_long=False) as people:
        await people.have_written(AMID)
        await asyncio.to_thread(take_base_backup, archiving)
        await people.have_written(AMID)
        before = dict(people.acknowledged)
        moment = archiving.ask("SELECT clock_timestamp()")
        await people.have_written(AMID)
        archiving.ask("DELETE FROM tasks", database="docket")
        failed = archiving.ask("SELECT failed_count FROM pg_stat_archiver")
    assert failed == "0"
    assert before.keys().isdisjoint(await tasks_in(url))

    await asyncio.to_thread(go_back, archiving, moment)
    await until(lambda: recovers(archiving), "f")

    kept = await tasks_in(url)
    assert before.items() <= kept.items()
    assert len(kept) < len(people.acknowledged)
    async with docket(url) as server, working(server.url, await sign_in(server.url), 0, is_long=False) as people:
        await people.have_written(AMID)


def take_base_backup(server: Postgres) -> None:
    place = ["-h", str(server.folder), "-p", str(server.port), "-U", "postgres"]
    server.run("pg_basebackup", "--pgdata=base", "--checkpoint=fast", *place)


def go_back(server: Postgres, moment: str) -> None:
    """Put the base backup in the place of the data, and let the WAL be replayed up to the moment."""
    server.stop()
    server.run("mv", "data", "damaged")
    server.run("cp", "--archive", "base", "data")
    wanted = f"restore_command = 'cp ../wal/%f %p'\nrecovery_target_time = '{moment}'\n"
    with (server.folder / "data/postgresql.auto.conf").open("a", encoding="utf-8") as settings:
        settings.write(f"{wanted}recovery_target_action = 'promote'\n")
    server.run("touch", "data/recovery.signal")
    server.start()


async def recovers(server: Postgres) -> str:
    return server.ask("SELECT pg_is_in_recovery()")


async def tasks_in(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    found = {str(row["id"]): row["title"] for row in await connection.fetch("SELECT id, title FROM tasks")}
    await connection.close()
    return found
