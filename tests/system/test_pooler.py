"""The application behind pgbouncer, which lends connections by the transaction."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import asyncpg
import httpx
import pytest

from persistence.engine.pool import SESSION
from tests.migrations.test_migrations import SCRIPTS
from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.journey import journey
from tests.system.postgres import pgbouncer, postgresql
from tests.system.services import folder_for, process

BACKENDS, PEOPLE = 3, 12


@dataclass(frozen=True, slots=True)
class Pooled:
    """A database, over the pooler and directly."""

    url: str
    direct: str


@pytest.fixture(scope="module")
def pooled() -> Iterator[Pooled]:
    """A database behind pgbouncer, migrated directly, as docs/deployment.md tells."""
    place = ("127.0.0.1", free_port())
    with (
        postgresql(*place, role="docket", password="a-secret", database="docket") as direct,
        pgbouncer(direct, BACKENDS) as url,
    ):
        assert docket("migrate", "apply", DATABASE_URL=direct).returncode == 0
        yield Pooled(url, direct)


@pytest.fixture(scope="module")
def server(pooled: Pooled) -> Iterator[str]:
    port = free_port()
    settings = environment(
        DATABASE_URL=pooled.url, PORT=str(port), RATE_LIMITS_ENABLED="false", RESPONSE_CHECK_RATE="1", WORKERS="2"
    )
    with (
        folder_for("postgres") as folder,
        process(
            [sys.executable, "-m", "server", "serve"],
            folder / "log",
            listens=("127.0.0.1", port),
            environment=settings,
        ),
    ):
        yield f"http://127.0.0.1:{port}"


def environment(**settings: str) -> dict[str, str]:
    ours = {"PYTHONPATH": str(ROOT), "SECRET_KEY": "a" * 32, "DATABASE_POOLER": "transaction", "ENVIRONMENT": "staging"}
    return {"PATH": os.environ["PATH"], **ours, **settings}


def docket(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        env=environment(**settings),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_many_people_at_once_share_few_connections(server: str) -> None:
    def live(_person: int) -> None:
        with httpx.Client(base_url=server, timeout=30) as client:
            journey(client)

    with ThreadPoolExecutor(PEOPLE) as people:
        assert list(people.map(live, range(3 * PEOPLE))) == [None] * 3 * PEOPLE


async def test_a_lent_connection_has_the_settings_of_a_session(pooled: Pooled) -> None:
    connection = await asyncpg.connect(pooled.url, statement_cache_size=0)

    found = {
        name: await connection.fetchval("SELECT setting FROM pg_settings WHERE lower(name) = $1", name)
        for name in map(str.lower, SESSION)
    }

    await connection.close()
    assert {name: value.lower() for name, value in found.items()} == {
        name.lower(): value.lower() for name, value in SESSION.items()
    }


async def test_migrating_over_the_pooler_is_refused_in_a_line(pooled: Pooled) -> None:
    async def pretend(revision: str | None) -> None:
        connection = await asyncpg.connect(pooled.direct)
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
        await connection.close()

    *_, before, head = [script.revision for script in SCRIPTS]
    await pretend(before)

    refused = await asyncio.to_thread(docket, "migrate", "apply", DATABASE_URL=pooled.url)

    await pretend(head)
    assert refused.returncode == 1
    assert refused.stderr == (
        "docket: The migration is not applied: a pooler stands between: for this command, name the database itself in"
        " DATABASE_URL\n"
    )


def test_a_backup_over_the_pooler_is_refused_in_a_line(pooled: Pooled) -> None:
    """What pg_dump asks of a session would be asked of those of others."""
    with folder_for("postgres") as folder:
        refused = docket("database", "backup", str(folder / "rows"), DATABASE_URL=pooled.url)
        done = docket("database", "backup", str(folder / "rows"), DATABASE_URL=pooled.direct)

    assert refused.returncode == 1
    assert refused.stderr == (
        "docket: A pooler stands between: for this command, name the database itself in DATABASE_URL\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [["prune"], ["migrate", "check"]])
def test_other_commands_pass_through_it(pooled: Pooled, command: list[str]) -> None:
    done = docket(*command, DATABASE_URL=pooled.url)

    assert (done.returncode, done.stderr) == (0, "")
