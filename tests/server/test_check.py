"""`python -m server check` and `settings`: what operators ask before they serve."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from persistence.embedded.server import Embedded
from server.commands import check
from server.database.revision import list_migrations
from server.settings.settings import Settings
from tests.binding.conftest import NOWHERE
from tests.conftest import Server
from tests.issuer import publishing, sending
from tests.server.test_command_line import CANARY, type_command

DEPLOYMENT = Path(__file__).parents[2] / "docs" / "deployment.md"
KEY = "3f9c1b7a5e2d8046aa17c0de9b5f4e213f9c1b7a5e2d8046"


def run_check(folder: Path, url: str, **more: str) -> tuple[int, dict[str, list[str]]]:
    """The exit status of a check, and the mark and the words for each thing that it looked at."""
    given = {"DATABASE_URL": url, "ENVIRONMENT": "staging", "SECRET_KEY": KEY} | more
    ended = type_command(folder, "check", **given)
    assert ended.stderr == ""
    lines = [line.split(maxsplit=2) for line in ended.stdout.splitlines()]
    return ended.returncode, {what: [mark, said] for mark, what, said in lines}


def test_a_server_that_has_all_it_needs_is_well(tmp_path: Path, fresh_url: str) -> None:
    status, found = run_check(tmp_path, fresh_url)

    assert status == 0
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found.keys() == {
        "settings",
        "SECRET_KEY",
        "files",
        "database",
        "clock",
        "letters",
        "connections",
        "migrations",
        "event",
        "secrets",
    }


def test_the_oldest_postgresql_is_the_one_that_operators_are_told() -> None:
    assert f"PostgreSQL, {check.OLDEST_POSTGRESQL} or newer" in DEPLOYMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("limit", "status", "mark", "said"),
    [(5, 1, "wrong", "lower POOL_SIZE"), (6, 0, "warning", "no second one"), (12, 0, "ok", "2 at once")],
)
async def test_connections_are_compared_with_what_the_server_has(
    tmp_path: Path, fresh_url: str, server: Server, *, limit: int, status: int, mark: str, said: str
) -> None:
    name = make_url(fresh_url).database
    admin = await asyncpg.connect(server.admin)
    await admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {limit}")
    await admin.close()

    ended, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, WORKERS="2", POOL_SIZE="3"))

    assert (ended, found["connections"][0]) == (status, mark)
    assert (
        f"an instance takes 6 (WORKERS x POOL_SIZE), the server has {limit} for us: {said}" in found["connections"][1]
    )


def test_open_files_are_compared_with_connections(tmp_path: Path, fresh_url: str) -> None:
    status, found = run_check(tmp_path, fresh_url, MAX_CONNECTIONS="100000000")

    assert (status, found["files"][0]) == (1, "wrong")
    assert "needs 100000084 for MAX_CONNECTIONS: raise `ulimit -n` or LimitNOFILE" in found["files"][1]


async def test_the_issuers_keys_are_looked_at(tmp_path: Path, fresh_url: str) -> None:
    async with publishing() as issuer:
        given = {"ENVIRONMENT": "development", "AUTH_MODE": "external", "EXTERNAL_JWT_JWKS_URL": issuer.url}
        status, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, **given))
        assert (status, found["JWKS"]) == (0, ["ok", "1 keys"])

        for nothing in (b"<html>", b'{"keys":5}', b'{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}'):
            issuer.reply = sending(nothing)
            status, found = await asyncio.to_thread(lambda: run_check(tmp_path, fresh_url, **given))
            assert (status, found["JWKS"][0]) == (1, "wrong")


def test_the_embedded_database_is_started_for_the_check_and_wants_its_migrations(folder: Path) -> None:
    status, found = run_check(folder, "", DATA_DIR=str(folder / "data"))

    assert (status, found["database"][0], found["migrations"][0]) == (1, "ok", "wrong")
    assert not Embedded(folder / "data").status().running


@pytest.mark.parametrize(
    ("found", "status", "mark", "said"),
    [
        (list_migrations()[-2], 1, "wrong", "run `python -m server migrate apply`"),
        ("f00", 0, "warning", "is of a later release"),
    ],
)
async def test_a_schema_that_is_behind_is_wrong_and_one_that_is_ahead_unwise(
    tmp_path: Path, fresh_url: str, *, found: str, status: int, mark: str, said: str
) -> None:
    connection = await asyncpg.connect(fresh_url)
    await connection.execute("UPDATE alembic_version SET version_num = $1", found)
    await connection.close()

    ended, findings = run_check(tmp_path, fresh_url)

    assert (ended, findings["migrations"][0]) == (status, mark)
    assert said in findings["migrations"][1]


def test_what_is_away_is_named_and_no_secret_told(tmp_path: Path) -> None:
    places = {"REDIS_URL": f"redis://:{CANARY}@127.0.0.1:1", "SECRET_KEY": "ab" * 20}
    status, found = run_check(tmp_path, NOWHERE.replace("stranger", f"stranger:{CANARY}"), **places)

    assert status == 1
    assert (found["database"][0], found["Redis"][0], found["SECRET_KEY"][0]) == ("wrong", "warning", "warning")
    assert CANARY not in str(found)


@pytest.mark.proves("", "Settings are shown without a secret")
def test_settings_are_shown_with_their_source_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8123\n")
    (tmp_path / "key").write_text(KEY)
    given = {"SECRET_KEY_FILE": "key", "DATABASE_URL": f"postgresql://ada:{CANARY}@db/docket", "WORKERS": "3"}

    ended = type_command(tmp_path, "settings", **given)

    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines()}
    assert list(rows) == [name.upper() for name in Settings.model_fields]
    assert rows["SECRET_KEY"] == ["file", "********"]
    assert rows["DATABASE_URL"] == ["environment", "********"]
    assert rows["WORKERS"] == ["environment", "3"]
    assert rows["PORT"] == [".env", "8123"]
    assert rows["BCRYPT_COST"] == ["default", "12"]
    assert CANARY not in ended.stdout + ended.stderr
    assert KEY not in ended.stdout + ended.stderr


def test_a_setting_in_small_letters_is_shown_with_its_source(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"port=8123\nENVIRONMENT=production\nSECRET_KEY={KEY}\n")

    rows = {
        line.split()[0]: line.split()[1:]
        for line in type_command(tmp_path, "settings", workers="3").stdout.splitlines()
    }

    assert (rows["PORT"], rows["WORKERS"]) == ([".env", "8123"], ["environment", "3"])
    assert rows["SECRET_KEY"] == [".env", "********"]


def test_what_the_env_file_has_that_is_no_setting_is_named_without_its_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PORT=8123\nACESS_TOKEN_MINUTES={CANARY}\n")

    ended = type_command(tmp_path, "settings")

    *_, last = ended.stdout.splitlines()
    assert last.split(maxsplit=2) == ["ACESS_TOKEN_MINUTES", ".env", "(not read: no such setting)"]
    assert CANARY not in ended.stdout + ended.stderr
