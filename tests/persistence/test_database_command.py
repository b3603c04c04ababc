"""`python -m server database`, as an operator types it: the embedded server, psql, backups and what becomes of them."""

import asyncio
import hashlib
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url

from persistence.embedded import locks
from persistence.embedded.server import Embedded, binary
from persistence.engine.pool import Pool
from persistence.tables import DeletedIdentity, ExternalIdentity, IdempotencyKey, LoginThrottle, RecoveryCode, Row
from server.complaints import CommandError
from server.database import backup
from server.database.migrations import ROOT, upgrade
from tests.conftest import Server
from tests.factories import NOW, Factory
from tests.migrations.conftest import FILES, PACKAGES, Checkout
from tests.waiting import until

QUICK = {"fsync": "off"}
TABLES = [table.name for table in Row.metadata.sorted_tables if table.name not in backup.LEFT_OUT]
AWKWARD = ["\\.", "a\n\\.\nb", 'she said "no", twice', " spaces ", "日本語 naïve — ünï", "\\N", "NULL", "a\tb\\nc\r\nd"]
PSQL = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'psql'"
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE NOT granted AND datname = current_database()
"""
COLOURED = '''"""give tasks a colour"""

from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN colour text NOT NULL DEFAULT 'blue'")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN colour")
'''


class Operator:
    """Somebody who types `python -m server database`, with settings of his own."""

    def __init__(self, code: Path = ROOT, **settings: str) -> None:
        self.environment = {**os.environ, "DATABASE_URL": "", "PYTHONPATH": str(code), **settings}

    async def types(self, *arguments: str | Path, text: str = "", largest: int = -1) -> "Answer":
        """The answer to a command that reads `text`, and may write files of `largest` bytes."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "server", "database", *map(str, arguments)),
            cwd="/",  # so that no .env counts
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
        )
        try:
            async with asyncio.timeout(60):
                output, errors = await process.communicate(text.encode())
        except TimeoutError:
            process.kill()
            raise
        assert process.returncode is not None
        return Answer(process.returncode, output.decode(), errors.decode())


class Answer:
    """What a command printed and how it ended."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status, self.output, self.errors = status, output, errors

    @property
    def output_of_success(self) -> str:
        """What a command printed that succeeded."""
        assert (self.status, self.errors) == (0, "")
        return self.output

    @property
    def refusal(self) -> str:
        """The one line of a command that failed."""
        assert (self.status, self.output) == (1, "")
        [line] = self.errors.splitlines()
        assert line.startswith("docket: ")
        return line.removeprefix("docket: ")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder for DATA_DIR and for files."""
    folder = Path(tempfile.mkdtemp(prefix="docket ü"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def operator(folder: Path) -> AsyncIterator[Operator]:
    """An operator of an embedded server, which is stopped afterwards."""
    operator = Operator(DATA_DIR=str(folder))
    yield operator
    if (folder / "data").exists():
        assert (await operator.types("stop")).status == 0


@pytest.fixture
async def empty_url(server: Server) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    async with server.copy("template0") as url:
        yield url


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A release with one migration more than this one."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    Checkout(tmp_path).migration("SELECT")
    written = tmp_path / "migrations" / "versions" / "next.py"
    head = written.read_text().partition('down_revision = "')[2].partition('"')[0]
    written.unlink()
    (tmp_path / "migrations" / "versions" / "9999_next.py").write_text(COLOURED.format(head=head))
    return tmp_path


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    async with connect(url) as connection:
        return {
            table: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY {table}::text")]  # noqa: S608
            for table in TABLES
        }


async def fill(url: str) -> None:
    """Make rows in every table, with what is awkward to write down."""
    pool = Pool(url, size=1)
    make = Factory(pool)
    ada, bob = await make.user(full_name=""), await make.user(full_name=None, hashed_password=None)
    team = await make.team(owner=ada, member=bob)
    await make.session(bob.id, user_agent='curl "7"')
    await pool.fetch("UPDATE sessions SET ip_address = '2001:db8::1' WHERE user_agent IS NOT NULL", [])
    for text in AWKWARD:
        await make.task(team, ada, title=text, description=text[::-1])
    await make.task(team, bob, status="completed", priority="urgent", description="")
    await make.audit_log(
        actor_id=ada.id, user_agent='curl "7"', ip_address="2001:db8::1", changes=["full_name", "email"]
    )
    await make.row(LoginThrottle, {"key": bytes(range(256)), "attempts": 5, "locked_until": NOW, "updated_at": NOW})
    identity = {"issuer": "https://issuer.example", "subject": "a\\b\t", "user_id": bob.id, "created_at": NOW}
    await make.row(ExternalIdentity, identity)
    await make.row(DeletedIdentity, {"key": bytes(range(256)), "deleted_at": NOW})
    kept = {"status": 201, "headers": b'{"ETag": "1"}', "body": rb'"\\N\t"', "named_user_id": bob.id}
    await make.row(IdempotencyKey, {"user_id": ada.id, "key": "~", "fingerprint": b"", "created_at": NOW, **kept})
    await make.one_time_token(ada.id)
    await make.second_factor(ada.id, "a-secret-of-the-tests-0123456789abcdef")
    await make.row(RecoveryCode, {"user_id": ada.id, "key": bytes(range(32))})
    await make.access_token(bob.id, "tasks:read")
    await make.invitation(team, user_id=bob.id)
    await pool.close()


# The embedded server


async def test_a_server_is_started_looked_at_and_stopped(folder: Path, operator: Operator) -> None:
    before = await operator.types("status")
    assert (before.status, before.output.splitlines()[0]) == (3, "running   no")
    assert names_in(folder) == []

    url = (await operator.types("start")).output_of_success.strip()
    during = await operator.types("status")
    again = (await operator.types("start")).output_of_success.strip()
    asked = (await operator.types("url")).output_of_success.strip()
    async with connect(url) as connection:
        who = await connection.fetchval("SELECT current_user::text")
    with_psql = await asyncio.create_subprocess_exec(
        *(binary("psql"), "-Atc", "SELECT 6 * 7", url), stdout=subprocess.PIPE
    )
    told_by_psql, _ = await with_psql.communicate()
    stopped = (await operator.types("stop")).output_of_success
    after = await operator.types("status")

    assert url == again == asked
    assert (who, told_by_psql) == ("docket", b"42\n")
    told = dict(line.split(maxsplit=1) for line in during.output_of_success.splitlines())
    assert told["running"] == "yes"
    assert int(told["pid"]) > 1
    assert told["version"].startswith("PostgreSQL 18.")
    assert Path(told["folder"]).name == "data"
    assert 20 < int(told["size"].removesuffix(" MB")) < 200
    assert stopped == "Stopped\n"
    assert (after.status, after.output.splitlines()[0]) == (3, "running   no")
    assert (await operator.types("stop")).output_of_success == "It did not run\n"


async def test_a_server_that_somebody_uses_is_not_stopped(folder: Path, operator: Operator) -> None:
    await operator.types("start")
    embedded = Embedded(folder, QUICK)
    embedded.open()

    refused = await operator.types("stop")

    assert refused.refusal == "The server is in use: it will be stopped when the last process leaves it"
    assert (await operator.types("status")).status == 0
    embedded.close()
    assert (await operator.types("status")).status == 3


async def test_the_url_of_a_server_that_does_not_run_is_one_line(operator: Operator) -> None:
    assert "does not run: `python -m server database start` starts it" in (await operator.types("url")).refusal


async def test_psql_starts_a_server_for_as_long_as_it_takes(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.environment |= {"PGHOSTADDR": "192.0.2.1", "PGUSER": "nobody", "PGOPTIONS": "-c role=nobody"}

    answer = await operator.types("psql", text="\\pset format unaligned\n\\pset tuples_only\nSELECT current_user;")

    assert answer.output_of_success.splitlines()[-1] == "docket"
    assert (await operator.types("status")).status == 3


async def test_ctrl_c_ends_the_query_and_not_the_session(operator: Operator) -> None:
    url = (await operator.types("start")).output_of_success.strip()
    command = f"import pty; pty.spawn([{sys.executable!r}, '-m', 'server', 'database', 'psql'])"
    terminal = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", command),
        cwd="/",
        env={**operator.environment, "TERM": "dumb", "PSQLRC": "/dev/null"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert terminal.stdin is not None
    assert terminal.stdout is not None

    try:
        async with connect(url) as connection, asyncio.timeout(60):
            terminal.stdin.write(b"\\pset pager off\nSET statement_timeout = 0;\nSELECT pg_sleep(600);\n")
            await until(lambda: connection.fetchval(f"{PSQL} AND wait_event = 'PgSleep'"), 1)
            terminal.stdin.write(b"\x03")
            await terminal.stdout.readuntil(b"canceling statement due to user request")
            terminal.stdin.write(b"SELECT 'still ' || 'here';\n\\q\n")
            await terminal.stdout.readuntil(b"still here")
            await terminal.wait()
    finally:
        terminal.stdin.close()

    assert (await operator.types("status")).status == 0


# A server of DATABASE_URL


@pytest.mark.parametrize("action", ["start", "stop", "status"])
async def test_nothing_is_embedded_where_a_database_is_given(action: str) -> None:
    refused = await Operator(DATABASE_URL="postgresql://docket:geheim@127.0.0.1:1/docket").types(action)

    assert refused.refusal == "Nothing is embedded here: the database is that of DATABASE_URL"


async def test_the_url_of_a_given_database_is_for_every_program() -> None:
    given = "postgresql+asyncpg://docket:geh%40eim@127.0.0.1:1/docket?sslmode=disable"

    answer = await Operator(DATABASE_URL=given).types("url")

    assert answer.output_of_success == "postgresql://docket:geh%40eim@127.0.0.1:1/docket?sslmode=disable\n"


async def test_psql_looks_into_a_given_database_and_hides_the_password(fresh_url: str) -> None:
    url = make_url(fresh_url)
    given = url.set(password=url.password or "geheim").render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "database", "psql"),
        cwd="/",
        env=Operator(DATABASE_URL=given).environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None

    process.stdin.write(b"SELECT 'in ' || current_database();\n")
    try:
        async with connect(fresh_url) as connection:
            await until(lambda: connection.fetchval(PSQL), 1)
        [psql] = psutil.Process(process.pid).children()
        arguments = " ".join(psql.cmdline())
    finally:
        output, _ = await process.communicate(b"")  # None would leave its input open

    assert f"in {url.database}" in output.decode()
    assert arguments.endswith("psql")
    assert (url.password or "geheim") not in arguments
    assert process.returncode == 0


# Backups


async def test_a_backup_brings_every_row_into_an_empty_database(fresh_url: str, empty_url: str, folder: Path) -> None:
    await fill(fresh_url)
    file = folder / "backup of today"

    written = (await Operator(DATABASE_URL=fresh_url).types("backup", file)).output_of_success
    restored = (await Operator(DATABASE_URL=empty_url).types("restore", file)).output_of_success

    rows = await rows_of(fresh_url)
    assert await rows_of(empty_url) == rows
    assert [table for table, found in rows.items() if not found] == []
    assert written.startswith(f"Backed up into {file}, 0.0 MB")
    counts = {line.split()[0]: int(line.split()[1]) for line in restored.splitlines()[:-1]}
    assert counts == {table: len(found) for table, found in rows.items()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names_in(folder) == [file.name]


async def test_a_backup_moves_rows_from_the_embedded_server_to_another(
    empty_url: str, folder: Path, operator: Operator
) -> None:
    url = (await operator.types("start")).output_of_success.strip()
    await asyncio.to_thread(upgrade, url)
    await fill(url)
    rows = await rows_of(url)

    await operator.types("backup", folder / "file")
    moved = await Operator(DATABASE_URL=empty_url).types("restore", folder / "file")

    assert moved.status == 0
    assert await rows_of(empty_url) == rows


async def test_a_backup_is_restored_by_an_embedded_server_that_does_not_run(
    fresh_url: str, folder: Path, operator: Operator
) -> None:
    await fill(fresh_url)
    await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")

    restored = await operator.types("restore", folder / "file")

    assert restored.status == 0
    url = (await operator.types("start")).output_of_success.strip()
    assert await rows_of(url) == await rows_of(fresh_url)


async def test_rows_are_replaced_only_when_told(fresh_url: str, server: Server, template: str, folder: Path) -> None:
    await fill(fresh_url)
    await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")
    async with server.copy(template) as url:
        other = Operator(DATABASE_URL=url)
        await fill(url)
        before = await rows_of(url)

        refused = await other.types("restore", folder / "file")
        kept = await rows_of(url)
        replaced = await other.types("restore", "--replace", folder / "file")

        assert refused.refusal == "The database has rows in users: `restore --replace` removes them"
        assert kept == before
        assert replaced.status == 0
        assert await rows_of(url) == await rows_of(fresh_url)


async def test_a_backup_is_of_one_moment(fresh_url: str, empty_url: str, folder: Path) -> None:
    await fill(fresh_url)
    async with connect(fresh_url) as connection:
        await connection.execute(
            """
            INSERT INTO tasks (organization_id, id, title, status, priority, created_at, updated_at)
            SELECT (SELECT min(id::text)::uuid FROM organizations), gen_random_uuid(), 'A task', 'pending', 'low',
                now(), now()
            FROM generate_series(1, 4000)
            """
        )
    pool = Pool(fresh_url, size=4)

    async def write() -> None:
        while True:  # a task comes with its organization: one without the other would not be restored
            async with pool.transaction() as transaction:
                make = Factory(transaction)
                user = await make.user()
                await make.task(user.id, user)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    try:
        await until(lambda: count(fresh_url, "users > 10"), True)
        await backup.write(fresh_url, folder / "file")
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await pool.close()

    restored = await Operator(DATABASE_URL=empty_url).types("restore", folder / "file")

    held = {line.split()[0]: int(line.split()[1]) for line in restored.output_of_success.splitlines()[:-1]}
    assert held["tasks"] - 4000 - len(AWKWARD) - 1 == held["users"] - 2 > 8
    assert await count(fresh_url, f"users > {held['users']}")


async def count(url: str, condition: str) -> bool:
    async with connect(url) as connection:
        answer: bool = await connection.fetchval(
            f"SELECT {condition} FROM (SELECT count(*) AS users FROM users) AS counted"  # noqa: S608
        )
        return answer


# Damaged files, and others that are not restored


async def test_any_byte_that_changed_is_noticed(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)
    whole, damaged = folder / "file", folder / "damaged"
    await backup.write(fresh_url, whole)
    content = whole.read_bytes()

    for place in range(0, len(content), 13):
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CommandError, match="cut short or damaged"):
            backup.open_backup(damaged)
        damaged.write_bytes(content[:place])
        with pytest.raises(CommandError, match="cut short or damaged"):
            backup.open_backup(damaged)
    damaged.write_bytes(content + b"\n")
    with pytest.raises(CommandError, match="cut short or damaged"):
        backup.open_backup(damaged)


async def test_a_damaged_file_is_refused_before_anything_is_touched(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)
    operator, file = Operator(DATABASE_URL=fresh_url), folder / "file"
    await operator.types("backup", file)
    before = await rows_of(fresh_url)
    file.write_bytes(file.read_bytes()[:-100])

    refused = await operator.types("restore", "--replace", file)

    assert refused.refusal == f"{file} is no backup, or cut short or damaged: nothing is restored"
    assert await rows_of(fresh_url) == before


async def test_rows_that_cannot_be_read_leave_the_database_as_it_was(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)
    operator, file = Operator(DATABASE_URL=fresh_url), folder / "file"
    await operator.types("backup", file)
    before = await rows_of(fresh_url)
    seal(file, file.read_bytes()[: -backup.SEAL - 300])

    refused = await operator.types("restore", "--replace", file)

    assert "pg_restore: could not read from input file" in refused.refusal
    assert await rows_of(fresh_url) == before


async def test_rows_that_break_a_rule_leave_the_database_as_it_was(
    fresh_url: str, server: Server, template: str, folder: Path
) -> None:
    await fill(fresh_url)
    operator, file = Operator(DATABASE_URL=fresh_url), folder / "file"
    before = await rows_of(fresh_url)
    async with server.copy(template) as url:
        await fill(url)
        async with connect(url) as connection:
            await connection.execute("ALTER TABLE tasks DROP CONSTRAINT ck_tasks_completed_at")
            await connection.execute("UPDATE tasks SET completed_at = now() WHERE status <> 'completed'")
        await backup.write(url, file)

    refused = await operator.types("restore", "--replace", file)

    assert 'violates check constraint "ck_tasks_completed_at"' in refused.refusal
    assert await rows_of(fresh_url) == before


def seal(file: Path, content: bytes) -> None:
    """Write a backup as if nothing had happened to it."""
    file.write_bytes(content + hashlib.sha256(content).hexdigest().encode())


async def test_the_backup_of_the_first_release_is_refused_and_that_release_is_named(
    fresh_url: str, folder: Path
) -> None:
    await fill(fresh_url)
    before = await rows_of(fresh_url)
    with ZipFile(folder / "old.zip", "w") as archive:
        archive.writestr("backup.json", "{}")

    refused = await Operator(DATABASE_URL=fresh_url).types("restore", "--replace", folder / "old.zip")

    assert refused.refusal == (
        f"{folder / 'old.zip'} is a backup of release 0.1.0: restore it with that one, and migrate then"
    )
    assert await rows_of(fresh_url) == before


async def test_a_file_is_not_written_over(fresh_url: str, folder: Path) -> None:
    (folder / "file").write_text("mine")

    refused = await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")

    assert refused.refusal == f"{folder / 'file'} exists: choose another name"
    assert (folder / "file").read_text() == "mine"


@pytest.mark.parametrize("action", ["backup", "restore"])
async def test_a_folder_that_is_not_there_is_one_line(fresh_url: str, folder: Path, action: str) -> None:
    file = folder / "none" / "file"

    refused = await Operator(DATABASE_URL=fresh_url).types(action, file)

    assert refused.refusal == f"Cannot use {file}: No such file or directory"


async def test_a_backup_that_does_not_fit_leaves_no_file(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)

    operator = Operator(DATABASE_URL=fresh_url, COVERAGE_PROCESS_CONFIG="")  # else that has a file to write too
    refused = await operator.types("backup", folder / "file", largest=512)

    assert refused.refusal == f"Cannot use {folder / 'file'}: File too large"
    assert names_in(folder) == []


async def test_a_database_that_was_never_migrated_has_nothing_to_back_up(empty_url: str, folder: Path) -> None:
    refused = await Operator(DATABASE_URL=empty_url).types("backup", folder / "file")

    assert refused.refusal == "The database was never migrated: there is nothing to back up"
    assert names_in(folder) == []


async def test_tables_that_somebody_holds_are_left_alone(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)
    operator = Operator(DATABASE_URL=fresh_url)
    await operator.types("backup", folder / "file")
    async with connect(fresh_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SELECT FROM tasks")

        refused = await operator.types("restore", "--replace", folder / "file")

    assert refused.refusal == "Others use the tables: stop them, and restore again"


async def test_a_backup_waits_for_a_migration_and_has_what_it_made(
    fresh_url: str, empty_url: str, folder: Path
) -> None:
    """Rows that are written anew are not in older snapshots: the table would look empty there."""
    await fill(fresh_url)
    rows = await rows_of(fresh_url)
    operator = Operator(DATABASE_URL=fresh_url)
    async with connect(fresh_url) as connection:
        async with connection.transaction():
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await connection.execute("ALTER TABLE users ALTER COLUMN version TYPE numeric")
            await connection.execute("CREATE TABLE added (id int)")
            writing = asyncio.create_task(operator.types("backup", folder / "file"))
            await until(lambda: connection.fetchval(WAITING), 1)
        await connection.execute("INSERT INTO added VALUES (1)")
    written = await writing

    assert written.status == 0
    restored = await Operator(DATABASE_URL=empty_url).types("restore", folder / "file")
    assert "added                    left out, for no migration makes it" in restored.output_of_success
    assert await rows_of(empty_url) == rows


async def test_nothing_is_kept_of_a_backup_that_is_stopped(fresh_url: str, folder: Path) -> None:
    await fill(fresh_url)
    async with connect(fresh_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE tasks")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", "database", "backup", folder / "file"),
            cwd="/",
            env=Operator(DATABASE_URL=fresh_url).environment,
        )
        await until(lambda: connection.fetchval(WAITING), 1)
        process.terminate()

        assert await process.wait() == 130

    assert names_in(folder) == []


# Releases


async def test_a_newer_release_restores_the_backup_of_an_older_one(
    fresh_url: str, empty_url: str, newer: Path, folder: Path
) -> None:
    await fill(fresh_url)
    await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")

    restored = await Operator(newer, DATABASE_URL=empty_url).types("restore", folder / "file")

    assert restored.status == 0
    await assert_coloured(empty_url, await rows_of(fresh_url))


async def test_a_newer_release_replaces_its_rows_by_those_of_an_older_one(
    fresh_url: str, empty_url: str, newer: Path, folder: Path
) -> None:
    await fill(fresh_url)
    await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")
    await Operator(newer, DATABASE_URL=empty_url).types("restore", folder / "file")

    replaced = await Operator(newer, DATABASE_URL=empty_url).types("restore", "--replace", folder / "file")

    assert replaced.status == 0
    await assert_coloured(empty_url, await rows_of(fresh_url))


async def assert_coloured(url: str, older: dict[str, list[tuple[object, ...]]]) -> None:
    rows = await rows_of(url)
    assert rows["users"] == older["users"]
    assert rows["tasks"] == [(*row, "blue") for row in older["tasks"]]


async def test_the_backup_of_a_newer_release_is_refused(
    fresh_url: str, empty_url: str, newer: Path, folder: Path
) -> None:
    await fill(fresh_url)
    await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")
    await Operator(newer, DATABASE_URL=empty_url).types("restore", folder / "file")
    await Operator(newer, DATABASE_URL=empty_url).types("backup", folder / "newer")
    before = await rows_of(fresh_url)

    refused = await Operator(DATABASE_URL=fresh_url).types("restore", "--replace", folder / "newer")

    assert refused.refusal == (
        "The backup was made by a newer release, of whose revision next this one does not know: use that one"
    )
    assert await rows_of(fresh_url) == before


async def test_a_release_that_was_gone_back_to_backs_up_what_the_newer_one_has_migrated(
    fresh_url: str, server: Server, newer: Path, folder: Path
) -> None:
    await fill(fresh_url)
    rows = await rows_of(fresh_url)
    async with connect(fresh_url) as connection:
        await connection.execute("ALTER TABLE tasks ADD COLUMN colour text NOT NULL DEFAULT 'blue'")
        await connection.execute("UPDATE alembic_version SET version_num = 'next'")

    written = await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")

    assert written.status == 0
    async with server.copy("template0") as url:
        await Operator(newer, DATABASE_URL=url).types("restore", folder / "file")
        await assert_coloured(url, rows)


# What is done regularly


async def test_a_folder_keeps_the_backups_of_some_days(fresh_url: str, folder: Path) -> None:
    operator = Operator(DATABASE_URL=fresh_url)
    old, young = (folder / f"docket-{moment(days)}.backup" for days in (3.1, 2.9))
    for file in (old, young, folder / "docket-mine.backup"):
        file.write_text("mine")
    (folder / ".docket-20260101T000000Z.backup.xyz").mkdir()

    first = await operator.types("backup", "--keep", "3", folder)
    await until(lambda: has_backup(moment(0), folder), answer=False)
    second = await operator.types("backup", "--keep", "3", folder)

    assert (first.status, second.status) == (0, 0)
    assert not old.exists()
    stay = {"locks", "docket-mine.backup", young.name}
    assert stay < set(names_in(folder))
    new = [folder / name for name in names_in(folder) if name not in stay]
    assert [stat.S_IMODE(path.stat().st_mode) for path in new] == [0o600, 0o600]
    assert all(map(backup.is_whole, new))


async def test_zip_files_of_the_release_before_stay_and_are_told_of(fresh_url: str, folder: Path) -> None:
    operator = Operator(DATABASE_URL=fresh_url)
    for name in ("2026-01-01.zip", "2026-01-02.zip"):
        (folder / name).write_text("old")

    done = await operator.types("backup", "--keep", "3", folder)

    assert done.status == 0
    assert "(from 2026-01-01.zip to 2026-01-02.zip)" in done.errors
    assert {"2026-01-01.zip", "2026-01-02.zip"} < set(names_in(folder))


async def has_backup(name: str, folder: Path) -> bool:
    return (folder / f"docket-{name}.backup").exists()


def moment(days: float) -> str:
    """So many days ago, as backups are named."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}"


async def test_a_backup_that_fails_removes_none(fresh_url: str, folder: Path) -> None:
    old = folder / f"docket-{moment(100)}.backup"
    old.write_text("mine")

    refused = await Operator(DATABASE_URL=fresh_url, COVERAGE_PROCESS_CONFIG="").types(
        "backup", "--keep", "3", folder, largest=512
    )

    assert "File too large" in refused.refusal
    assert sorted(names_in(folder)) == [old.name, "locks"]


async def test_two_backups_into_a_folder_do_not_meet(fresh_url: str, folder: Path) -> None:
    lock = locks.open_lock(folder, "backup.lock")
    assert locks.try_to_take(lock)

    refused = await Operator(DATABASE_URL=fresh_url).types("backup", "--keep", "3", folder)

    os.close(lock)
    assert refused.refusal.startswith(f"Another backup is under way: process {os.getpid()}")


async def test_what_succeeds_is_noted(fresh_url: str, folder: Path) -> None:
    before = datetime.now(UTC)
    operator = Operator(DATABASE_URL=fresh_url)
    async with connect(fresh_url) as connection:
        assert await connection.fetch("SELECT FROM jobs") == []
        await operator.types("backup", folder / "file")
        [first] = await connection.fetch("SELECT name, succeeded_at FROM jobs")
        await operator.types("backup", folder / "file")
        await operator.types("backup", folder / "other")
        [second] = await connection.fetch("SELECT name, succeeded_at FROM jobs")

    assert first["name"] == second["name"] == "backup"
    assert before < first["succeeded_at"] < second["succeeded_at"]


async def test_what_succeeds_and_cannot_be_noted_is_told(fresh_url: str, folder: Path) -> None:
    async with connect(fresh_url) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    done = await Operator(DATABASE_URL=fresh_url).types("backup", folder / "file")

    assert (done.status, names_in(folder)) == (0, ["file"])
    assert done.errors.startswith("docket: The backup is done, but /metrics will not tell: ")
    assert "read-only" in done.errors
