"""What `python -m server serve` does before it serves: the socket, the database, what it tells its operator."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from persistence.embedded.server import Embedded
from server.__main__ import INTERRUPTED
from server.commands.serve import ignore_signal, prepare
from server.complaints import CommandError
from server.database import revision
from server.database.connect import open_pool
from server.database.revision import head
from server.settings.loading import load
from server.settings.settings import Settings
from tests.binding.conftest import NOWHERE
from tests.conftest import ROOT, Server
from tests.waiting import until

SECRET = "a-secret-of-the-tests-0123456789abcdef"
STARTER = """
import sys
from server.commands.serve import prepare
from server.settings.loading import load

settings = load(auto_migrate=True)
print(prepare(settings.url, settings), "alembic" in sys.modules)
"""
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle' AND query LIKE 'ROLLBACK%'
"""
Told = Callable[[], str]


def settings_for(url: str, *, migrate: bool) -> Settings:
    return load(environment="production", secret_key=SECRET, database_url=url, auto_migrate=migrate)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """What the operator reads."""
    return lambda: capsys.readouterr().err


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_database_at_head_is_nothing_to_tell_of(fresh_url: str, told: Told, migrate: bool) -> None:  # noqa: FBT001 - a row
    await asyncio.to_thread(prepare, fresh_url, settings_for(fresh_url, migrate=migrate))

    assert told() == ""


async def test_a_database_that_is_behind_is_migrated(server: Server, told: Told) -> None:
    async with server.copy("template0") as url:
        await asyncio.to_thread(prepare, url, settings_for(url, migrate=True))
        connection = await asyncpg.connect(url)
        version = await connection.fetchval("SELECT version_num FROM alembic_version")
        await connection.close()

    assert version == head()
    assert told() == ""


async def test_a_start_that_migrates_does_not_keep_what_that_loads(server: Server) -> None:
    async with server.copy("template0") as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTER, cwd=ROOT, env=os.environ | {"DATABASE_URL": url}, stdout=PIPE
        )
        output, _ = await process.communicate()

    assert output == b"True False\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_start_that_migrates_and_the_migration(
    server: Server, folder: Path, number: signal.Signals
) -> None:
    async with server.copy("template0") as url:
        holder = await asyncpg.connect(url)
        await holder.execute("SELECT pg_advisory_lock(hashtext('docket.migrations'))")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve",
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url, "DATA_DIR": str(folder), "PORT": "0"},
            stderr=PIPE,
        )  # fmt: skip
        await until(lambda: holder.fetchval(WAITING), 1)

        process.send_signal(number)

        assert (await process.communicate())[1] == b""
        assert process.returncode == INTERRUPTED
        await until(lambda: holder.fetchval(WAITING), 0)
        await holder.close()


async def test_a_database_that_is_behind_and_others_migrate_is_told_of(server: Server, told: Told) -> None:
    async with server.copy("template0") as url:
        await asyncio.to_thread(prepare, url, settings_for(url, migrate=False))

    assert re.fullmatch(
        r"The schema is \d+ behind: run `python -m server migrate apply`; /readyz fails until then\n", told()
    )


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_release_starts_again_on_what_the_next_one_migrated(
    fresh_url: str,
    told: Told,
    migrate: bool,  # noqa: FBT001 - a row
) -> None:
    connection = await asyncpg.connect(fresh_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'later'")
    await connection.close()

    assert await asyncio.to_thread(prepare, fresh_url, settings_for(fresh_url, migrate=migrate))

    assert told() == (
        "Mind: the database's revision later is of a later release: only the one just before that goes with it\n"
    )


async def test_a_first_superuser_that_has_to_wait_is_told_of(folder: Path) -> None:
    named = {"FIRST_SUPERUSER_EMAIL": "ada@example.com", "FIRST_SUPERUSER_PASSWORD": "nine lives of a lighthouse"}
    given = {
        "ENVIRONMENT": "staging",
        "SECRET_KEY": SECRET,
        "DATABASE_URL": NOWHERE,
        "DATA_DIR": str(folder),
        "PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "serve", cwd=ROOT, env=os.environ | given | named, stderr=PIPE, stdout=PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        said = [(await process.stderr.readline()).decode() for _ in range(3)]
    process.terminate()
    await process.communicate()

    assert "/readyz fails until it does" in said[0]
    assert said[1] == "FIRST_SUPERUSER_EMAIL: that superuser is made by the next start that finds the database ready\n"
    assert said[2].startswith("Docket answers at ")
    assert process.returncode == 0


async def test_a_database_that_is_away_is_waited_for(told: Told) -> None:
    await asyncio.to_thread(prepare, NOWHERE, settings_for(NOWHERE, migrate=False))

    assert told() == (
        "No PostgreSQL answers at 127.0.0.1:1 (Connection refused): start it, or correct DATABASE_URL;"
        " /readyz fails until it does\n"
    )


async def test_a_database_that_is_away_and_shall_be_migrated_is_refused() -> None:
    with pytest.raises(CommandError, match=r"^No PostgreSQL answers at 127\.0\.0\.1:1 "):
        await asyncio.to_thread(prepare, NOWHERE, settings_for(NOWHERE, migrate=True))


def test_a_migration_without_a_revision_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "2026_11_25_0000_lacking.py").write_text("revision = None\n")
    monkeypatch.setattr(revision, "VERSIONS", tmp_path)

    with pytest.raises(CommandError, match=r'lacking\.py is half-written: it has no line revision = "\.\.\."$'):
        head()


async def test_without_a_url_the_embedded_database_is_opened_and_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings = load(environment="staging", secret_key=SECRET, data_dir=folder)
    async with open_pool(settings)() as database:
        assert [record["one"] for record in await database.fetch("SELECT 1 AS one", [])] == [1]
        assert Embedded(folder).status().running

    assert not Embedded(folder).status().running


def test_a_signal_that_was_acted_upon_ends_nothing_more() -> None:
    ignore_signal(15, None)
