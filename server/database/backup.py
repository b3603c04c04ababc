"""A file with every row of a database as of one moment: how it is written, made sure of and read back.

It is what `pg_dump --format=custom --data-only` writes, and behind that, as the last 64 bytes, the SHA-256 of it. The
schema is not in it: that is made by our migrations, up to the one whose name is among the rows.
"""

import asyncio
import errno
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

import asyncpg

from persistence.embedded.binaries import complaint, environment, run
from server.complaints import CommandError
from server.database.connect import POOLED, connect
from server.database.programs import PIECE, find_program, lend_socket

SEAL = 64  # bytes at the end of the file: a SHA-256 in hexadecimal digits
ZIP = b"PK\x03\x04"  # how the backups of 0.1.0 begin
VERSIONS = "alembic_version"
DELIVERIES = ("outbox", "registrations", "events")  # what waits does so in the database that has it, and in no copy
LEFT_OUT = ("jobs", "event_log", "events_*", *DELIVERIES)  # what is about the database itself
PATIENCE = "10min"  # for a migration that has a table; a reader that waits for it is in no other's way
UNBOUNDED = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
SCHEMA = "SELECT quote_ident(current_schema())"
TABLES = """
SELECT relname::text FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1
"""
LISTED = re.compile(r"^\d+; \d+ \d+ TABLE DATA \S+ (\S+) ", re.MULTILINE)
COPY = re.compile(r"COPY (?:\S+\.)?(?P<table>\S+) \((?P<columns>.+)\) FROM stdin;\n")
END = b"\\.\n"


class Backup(NamedTuple):
    """A backup that is whole: the newest migration of its database, and its tables."""

    file: Path
    revision: str
    tables: list[str]

    async def fill(self, url: str, *, replace: bool) -> dict[str, int]:
        """Put the rows into the empty tables of a database, or in the place of its rows; all of them, or none.

        The tables must be those of the backup's migration. What comes back are their rows, and those of tables that no
        migration makes, which are left out, as -1. Raises CommandError.
        """
        try:
            async with connect(url) as connection, connection.transaction():
                await connection.execute(
                    f"{UNBOUNDED}; SET LOCAL lock_timeout = '10s'; SET LOCAL docket.restore = 'on'"
                )
                there = await tables_of(connection)
                kept = [name for name in (*self.tables, *DELIVERIES) if name in there]
                await make_room(connection, kept, replace=replace)
                return await copy(connection, self.file, there)
        except CommandError as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise CommandError("Others use the tables: stop them, and restore again") from error
            raise


async def write(url: str, file: Path, make_room: Callable[[], bool] = lambda: False) -> None:
    """Write a new file, for its owner alone. Raises CommandError; then there is no file.

    `make_room` is asked when the disk is full, as long as it says that it has removed something.
    """
    with draft_of(file) as draft:
        async with connect(url, lock_timeout=PATIENCE) as connection:
            if await connection.fetchval("SHOW lock_timeout") != PATIENCE:
                raise CommandError(POOLED)
            schema = await connection.fetchval(SCHEMA)
            async with moment(connection) as snapshot, lend_socket(connection) as variables:
                command: list[Path | str] = [
                    find_program("pg_dump"),
                    "--format=custom",
                    "--data-only",
                    "--encoding=UTF8",
                ]
                command += [
                    f"--schema={schema}",
                    *[f"--exclude-table={schema}.{name}" for name in LEFT_OUT],
                    f"--snapshot={snapshot}",
                    "--lock-wait-timeout=60s",
                    "--no-password",
                ]
                with explain_errors(file), draft.open("wb", buffering=0) as stream:
                    await asyncio.to_thread(dump, command, variables, stream, make_room)


@asynccontextmanager
async def moment(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """A snapshot for others to read from. Until it ends no table changes its form, and others write on.

    The tables are locked before the moment comes: whatever rewrites or empties one later than that would leave it empty
    in the snapshot. A migration that adds one meanwhile makes us begin anew.
    """
    tables: list[str] = []
    while True:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(UNBOUNDED)
            await lock(connection, tables, "ACCESS SHARE")
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            found = await tables_of(connection)
            if tables == found:
                yield snapshot
                return
            tables = found


def dump(
    command: list[Path | str], variables: dict[str, str], stream: IO[bytes], make_room: Callable[[], bool]
) -> None:
    """Write what a program prints into a file, and its seal. Raises CommandError when the program fails."""
    digest = hashlib.sha256()
    with output_of(command, variables | {"LC_ALL": "C"}) as output:
        while piece := output.read(PIECE):
            digest.update(piece)
            put(stream, piece, make_room)
    put(stream, digest.hexdigest().encode(), make_room)
    os.fsync(stream.fileno())


@contextmanager
def output_of(command: list[Path | str], variables: dict[str, str]) -> Iterator[IO[bytes]]:
    """What a program prints, to be read to its end. Raises CommandError when the program fails."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - PostgreSQL's own
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=variables
        ) as process,
    ):
        try:
            yield cast("IO[bytes]", process.stdout)
            if process.wait():
                said.seek(0)
                raise CommandError(f"{Path(command[0]).name}: {complaint(said.read().decode(errors='replace'))}")
        finally:
            process.kill()


def open_backup(file: Path) -> Backup:
    """A backup to restore. Raises CommandError when it is none, or damaged."""
    with explain_errors(file):
        judge(file)
    file = file.absolute()
    told = read(file, "--table", VERSIONS, "--file=-").splitlines(keepends=True)
    headers = [number for number, line in enumerate(told) if COPY.fullmatch(line)]
    if not headers:
        raise CommandError(f"{file} does not tell its migration: nothing is restored")
    tables = [name for name in LISTED.findall(read(file, "--list")) if name != VERSIONS]
    return Backup(file, told[headers[0] + 1].strip(), tables)


def judge(file: Path) -> None:
    """Raises CommandError unless the file is a backup that is whole."""
    with file.open("rb") as stream:
        if stream.read(len(ZIP)) == ZIP:
            raise CommandError(f"{file} is a backup of release 0.1.0: restore it with that one, and migrate then")
    if not is_whole(file):
        raise CommandError(f"{file} is no backup, or cut short or damaged: nothing is restored")


def is_whole(file: Path) -> bool:
    """Whether the file ends with the SHA-256 of what it has before. Raises OSError."""
    digest, left = hashlib.sha256(), file.stat().st_size - SEAL
    with file.open("rb") as stream:
        while left > 0 and (piece := stream.read(min(PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        return left == 0 and stream.read() == digest.hexdigest().encode()


def read(file: Path, *what: str) -> str:
    """What pg_restore tells of a backup. Raises CommandError."""
    done = run(find_program("pg_restore"), "--data-only", *what, file)
    if done.returncode:
        raise CommandError(f"{file} cannot be read: {complaint(done.stderr)}")
    return done.stdout


async def copy(connection: asyncpg.Connection, file: Path, there: Sequence[str]) -> dict[str, int]:
    """Copy the rows of a backup into the tables that are there."""
    counts: dict[str, int] = {}
    command: list[Path | str] = [find_program("pg_restore"), "--data-only", "--file=-", file]
    with output_of(command, environment()) as text:
        for line in text:
            if not (found := COPY.fullmatch(line.decode())):
                continue
            name = found["table"].strip('"')
            rows, columns = rows_in(text), [each.strip('"') for each in found["columns"].split(", ")]
            if name in there and name != VERSIONS:
                said = await connection.copy_to_table(name, source=rows, columns=columns)
                counts[name] = int(said.rpartition(" ")[2])
                continue
            async for _ in rows:
                counts[name] = -1
    counts.pop(VERSIONS)
    return counts


async def rows_in(text: IO[bytes]) -> AsyncIterator[bytes]:
    """The rows of a table, many at once."""
    piece = bytearray()
    for line in text:
        if line == END:
            break
        piece += line
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


async def make_room(connection: asyncpg.Connection, tables: Sequence[str], *, replace: bool) -> None:
    """Keep others from writing, and remove the rows there are. Raises CommandError when they are to be kept."""
    if replace:
        await connection.execute(f"SET LOCAL docket.prune = 'on'; TRUNCATE {list_names(tables)}")
        return
    await lock(connection, tables, "EXCLUSIVE")
    await refuse_rows(connection, tables)


async def refuse_rows(connection: asyncpg.Connection, tables: Sequence[str]) -> None:
    """Raises CommandError when a table has rows."""
    for table in tables:
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {quote_name(table)})"):  # noqa: S608 - of the catalogue
            raise CommandError(f"The database has rows in {table}: `restore --replace` removes them")


async def tables_of(connection: asyncpg.Connection) -> list[str]:
    return [record["relname"] for record in await connection.fetch(TABLES)]


async def lock(connection: asyncpg.Connection, tables: Sequence[str], mode: str) -> None:
    if tables:
        await connection.execute(f"LOCK TABLE {list_names(tables)} IN {mode} MODE")


def list_names(names: Sequence[str]) -> str:
    return ", ".join(map(quote_name, names))


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def put(stream: IO[bytes], piece: bytes, make_room: Callable[[], bool]) -> None:
    """Write all of it, though the disk is full for a while."""
    left = memoryview(piece)
    while left:
        try:
            left = left[os.write(stream.fileno(), left) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not make_room():
                raise


@contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """A file to write, which takes its place when it is complete."""
    if file.exists():
        raise CommandError(f"{file} exists: choose another name")
    with explain_errors(file):
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
        try:
            draft = folder / file.name
            draft.touch(mode=0o600)
            yield draft
            draft.rename(file)
            sync_folder(file.parent)
        finally:
            shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Let what was renamed there outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_errors(file: Path) -> Iterator[None]:
    """Turn what the system says of a file into one line for the operator. A connection has its own words."""
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        raise CommandError(f"Cannot use {file}: {error.strerror}") from error
