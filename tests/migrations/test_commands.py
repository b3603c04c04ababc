"""What operators type, what they read, and how a command ends that cannot do it."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from server.complaints import CommandError
from tests.migrations.conftest import Checkout, Command
from tests.migrations.test_migrations import SCRIPTS

HEAD = SCRIPTS[-1].revision
APPLIED = [f"applied {script.revision} {script.doc}" for script in SCRIPTS]
PENDING = [line.replace("applied", "pending") for line in APPLIED]


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def test_a_database_is_looked_at_and_migrated(empty_url: str, command: Command) -> None:
    assert await command(empty_url, "current") == ["The database has none"]
    assert await command(empty_url, "list") == PENDING
    with pytest.raises(CommandError, match="behind the code"):
        await command(empty_url, "check")

    assert await command(empty_url, "apply") == APPLIED

    assert await command(empty_url, "apply") == ["The database is at head"]
    assert await command(empty_url, "current") == [APPLIED[-1].removeprefix("applied ")]
    assert await command(empty_url, "list") == APPLIED
    assert await command(empty_url, "check") == [
        "The database is at head, and its schema is what persistence/tables.py declares"
    ]
    assert await command(empty_url, "auto", "give it more") == [
        "The database lacks nothing that persistence/tables.py declares"
    ]


async def test_drift_is_one_line(fresh_url: str, command: Command) -> None:
    await execute(fresh_url, "DROP INDEX ix_tasks_priority")

    with pytest.raises(CommandError, match=r"^The schema is not what .* declares: it lacks index .*$") as refused:
        await command(fresh_url, "check")

    assert "\n" not in str(refused.value)


async def test_a_schema_newer_than_the_code_lacks_nothing(fresh_url: str, command: Command) -> None:
    await execute(fresh_url, "UPDATE alembic_version SET version_num = 'f00'")

    assert await command(fresh_url, "apply") == [
        "The database lacks nothing; its revision f00 is of a later release: only the one just before that goes with it"
    ]


@pytest.mark.parametrize("action", ["current", "list", "check"])
async def test_a_schema_newer_than_the_code_is_refused(fresh_url: str, command: Command, action: str) -> None:
    await execute(fresh_url, "UPDATE alembic_version SET version_num = 'f00'")

    with pytest.raises(CommandError, match=r"^The schema of the database is newer than the code.* f00: start"):
        await command(fresh_url, action)


async def test_a_migration_is_written_from_what_the_database_lacks(fresh_url: str, checkout: Checkout) -> None:
    await execute(fresh_url, "DROP INDEX ix_tasks_priority; ALTER TABLE tasks DROP CONSTRAINT ck_tasks_title")

    written = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "auto", "Find titles again")

    assert (written.returncode, written.stderr) == (0, "")
    change, index, validation = map(checkout.read, written.stdout.splitlines())
    assert f'down_revision = "{HEAD}"' in change
    assert (
        'op.create_check_constraint(op.f("ck_tasks_title"), "tasks", "title <> \'\'", postgresql_not_valid=True)'
        in change
    )
    assert "    with op.get_context().autocommit_block():\n        op.create_index(" in index
    assert index.count("postgresql_concurrently=True") == 2
    assert 'op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_title")' in validation
    assert written.stdout.splitlines()[2].endswith("_find_titles_again_3_of_3.py")
    applied = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")
    assert applied.stdout.endswith("Find titles again (3 of 3)\n")
    checked = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "check")
    assert (checked.returncode, checked.stderr) == (0, "")


async def test_what_is_written_for_a_foreign_key_a_column_and_a_unique_constraint_keeps_nobody_waiting(
    fresh_url: str, checkout: Checkout
) -> None:
    await execute(
        fresh_url,
        "ALTER TABLE tasks DROP CONSTRAINT fk_tasks_user_id, ALTER COLUMN priority DROP NOT NULL;"
        " ALTER TABLE organizations DROP CONSTRAINT uq_organizations_slug",
    )

    written = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "auto", "Bind")
    change, index, validation, finish = map(checkout.read, written.stdout.splitlines())
    applied = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")
    checked = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "check")

    assert change.count("postgresql_not_valid=True") == 2
    assert "op.create_foreign_key(" in change
    assert '"priority IS NOT NULL"' in change
    assert "autocommit_block" in index
    assert "op.create_index(" in index
    assert '"uq_organizations_slug"' in index
    assert validation.count("VALIDATE CONSTRAINT") == 2
    assert finish.index("nullable=False") < finish.index("op.drop_constraint(")
    assert "UNIQUE USING INDEX uq_organizations_slug" in finish
    assert (applied.returncode, applied.stderr) == (0, "")
    assert (checked.returncode, checked.stderr) == (0, "")


async def test_an_empty_migration_needs_no_database(checkout: Checkout) -> None:
    written = await asyncio.to_thread(
        checkout.run, "postgresql://stranger@127.0.0.1:1/none", "server", "migrate", "generate", "fill the colours"
    )

    assert (written.returncode, written.stderr) == (0, "")
    text = checkout.read(written.stdout.strip())
    assert text.startswith('"""fill the colours"""')
    assert f'down_revision = "{HEAD}"' in text


async def test_behind_a_long_reader_a_migration_gives_up_and_can_be_applied_later(
    fresh_url: str, checkout: Checkout
) -> None:
    checkout.migration("ALTER TABLE tasks ADD COLUMN colour text")
    reader = await asyncpg.connect(fresh_url, server_settings={"idle_in_transaction_session_timeout": "0"})
    reading = reader.transaction()
    await reading.start()
    await reader.execute("SELECT FROM tasks")

    refused = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")
    await reading.rollback()
    await reader.close()
    applied = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "docket: The migration is not applied: it waited too long for a table that a long query holds:"
        " apply it again when that is done\n"
    )
    assert (applied.returncode, applied.stdout, applied.stderr) == (0, "applied next go on\n", "")


@pytest.mark.parametrize(
    ("statements", "line"),
    [
        (
            ["SET LOCAL statement_timeout = '10ms'", "SELECT pg_sleep(10)"],
            "The migration is not applied: a statement took too long: divide it, or raise its statement_timeout",
        ),
        (["ALTER TABLE absent ADD COLUMN x int"], 'The migration is not applied: relation "absent" does not exist'),
    ],
)
async def test_a_migration_that_fails_is_one_line(
    fresh_url: str, checkout: Checkout, statements: list[str], line: str
) -> None:
    checkout.migration(*statements)

    for command in (["migrate", "apply"], ["serve"]):
        refused = await asyncio.to_thread(partial(checkout.run, fresh_url, "server", *command, PORT="0"))
        assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", f"docket: {line}\n")


async def test_a_database_with_tables_of_others_is_left_as_it_is(empty_url: str, command: Command) -> None:
    await execute(empty_url, "CREATE TABLE users (theirs int)")

    with pytest.raises(CommandError, match=r'^The migration is not applied: relation "users" already exists$'):
        await command(empty_url, "apply")

    assert await command(empty_url, "list") == PENDING


async def test_a_migration_is_not_written_from_a_database_that_is_behind(empty_url: str, command: Command) -> None:
    with pytest.raises(CommandError, match=r"^Target database is not up to date\.$"):
        await command(empty_url, "auto", "too early")


async def test_a_turn_is_not_waited_for_forever(fresh_url: str, checkout: Checkout) -> None:
    checkout.migration("SELECT 1")
    checkout.edit("migrations/env.py", "TURN = 3600 ", "TURN = 1 ")
    other = await asyncpg.connect(fresh_url)
    await other.execute("SELECT pg_advisory_lock(hashtext('docket.migrations'))")

    refused = await asyncio.to_thread(checkout.run, fresh_url, "server", "migrate", "apply")
    await other.close()

    assert refused.returncode == 1
    assert refused.stderr == "docket: Another process has been migrating for 1 s: see what it waits for\n"


async def test_alembic_itself_works_from_the_root(empty_url: str, checkout: Checkout) -> None:
    async def alembic(*arguments: str) -> str:
        done = await asyncio.to_thread(checkout.run, empty_url, "alembic", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    await alembic("upgrade", "head")
    assert await alembic("current") == f"{HEAD} (head)\n"
    assert f"{HEAD} (head), {SCRIPTS[-1].doc}" in await alembic("history")
    assert "No new upgrade operations detected." in await alembic("check")
    await alembic("downgrade", "-1")
    assert HEAD not in await alembic("current")
    await alembic("upgrade", "head")
    assert "_more.py" in await alembic("revision", "--autogenerate", "-m", "more")


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="docket-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder
    shutil.rmtree(folder)


async def test_without_a_database_url_the_embedded_database_is_migrated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("DATA_DIR", str(folder))

    assert await command(None, "apply") == APPLIED
    assert await command(None, "current") == [APPLIED[-1].removeprefix("applied ")]
