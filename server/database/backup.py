"""A file with every row of a database: how it is written, made sure of and read back. It takes no other program.

It is a zip archive: a CSV file for each table, then `backup.json`, which tells the migration and what each table holds.
The last bytes of the file, the archive's comment, are the SHA-256 of all those before.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
from pydantic import BaseModel, ConfigDict

from server.complaints import CommandError
from server.database.connect import connected

CONTENTS = "backup.json"
SEAL = 64  # bytes at the end of the file: a SHA-256 in hexadecimal digits
CHUNK = 2**20
# Rows are written as text in the same way everywhere, and may take as long as they take.
PLAIN = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL timezone = 'UTC';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 1
"""
TABLES = """
SELECT relname AS name,
    ARRAY(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
    ) AS columns,
    ARRAY(
        SELECT needed.relname::text FROM pg_constraint JOIN pg_class needed ON needed.oid = confrelid
        WHERE conrelid = pg_class.oid AND contype = 'f' AND confrelid <> conrelid
    ) AS needs
FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'
"""
# The sum does not depend on the order of the rows, which no database promises.
MEASURE = """
SELECT count(*) AS rows, coalesce(sum(('x' || left(hash, 15))::bit(60)::bigint), 0)::text AS checksum
FROM (SELECT encode(sha256(convert_to(ROW({columns})::text, 'UTF8')), 'hex') AS hash FROM {table}) AS hashed
"""


class Table(BaseModel):
    """A table as it is in a backup; the checksum is one of its rows."""

    model_config = ConfigDict(frozen=True)

    name: str
    columns: list[str]
    rows: int = 0
    checksum: str = "0"


class Contents(BaseModel):
    """What a backup tells of itself. The tables are in the order in which they can be filled."""

    model_config = ConfigDict(frozen=True)

    revision: str
    tables: list[Table]


class Backup:
    """A backup that is whole."""

    def __init__(self, archive: ZipFile) -> None:
        self.archive = archive
        self.contents = Contents.model_validate_json(archive.read(CONTENTS))

    async def fill(self, url: str, *, replace: bool) -> None:
        """Put the rows into the empty tables of a database, or in the place of its rows; all of them, or none.

        The tables must be those of the backup's migration. Raises CommandError.
        """
        try:
            async with connected(url) as connection, connection.transaction():
                await connection.execute(PLAIN)
                tables = await tables_of(connection)
                await make_room(connection, tables, replace=replace)
                for table in self.contents.tables:
                    await self.copy(connection, table)
        except CommandError as error:
            if isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise CommandError("Others use the tables: stop them, and restore again") from error
            raise

    async def copy(self, connection: asyncpg.Connection, table: Table) -> None:
        with self.archive.open(csv_of(table)) as rows:
            await connection.copy_to_table(
                table.name, source=cast(BinaryIO, rows), columns=table.columns, format="csv", header=True
            )
        found = await measured(connection, table)
        if found != table:
            raise CommandError(
                f"{table.name} would have {found.rows} rows with checksum {found.checksum}, and the backup has"
                f" {table.rows} with {table.checksum}: nothing is restored"
            )


@contextmanager
def opened(file: Path) -> Iterator[Backup]:
    """A backup to restore. Raises CommandError when it is damaged or none."""
    with explained(file), file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(size - SEAL, 0))
        if stream.read() != seal(file):
            raise CommandError(f"{file} is no backup, or cut short or damaged: nothing is restored")
    with ZipFile(file) as archive:
        yield Backup(archive)


async def write(url: str, file: Path) -> Contents:
    """Write a new file with the rows of one moment, for its owner alone. Raises CommandError; then there is no file."""
    with draft_of(file) as draft:
        async with connected(url) as connection:
            names = [table.name for table in await tables_of(connection)]
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(PLAIN)
                await lock(connection, names, "ACCESS SHARE")  # the moment comes after: a TRUNCATE would empty it
                with explained(file), ZipFile(draft, "w", ZIP_DEFLATED) as archive:
                    archive.comment = b"-" * SEAL
                    contents = await write_tables(connection, archive)
                    archive.writestr(CONTENTS, contents.model_dump_json(indent=2))
        with draft.open("r+b") as stream:
            stream.seek(-SEAL, os.SEEK_END)
            stream.write(seal(draft))
            stream.flush()
            os.fsync(stream.fileno())
    return contents


async def write_tables(connection: asyncpg.Connection, archive: ZipFile) -> Contents:
    revision: str = await connection.fetchval("SELECT version_num FROM alembic_version")
    tables = []
    for table in await tables_of(connection):
        with archive.open(csv_of(table), "w", force_zip64=True) as rows:
            query = f"SELECT {listed(table.columns)} FROM {quoted(table.name)}"  # noqa: S608 - names of the catalogue
            await connection.copy_from_query(query, output=cast(BinaryIO, rows), format="csv", header=True)
        tables.append(await measured(connection, table))
    return Contents(revision=revision, tables=tables)


async def make_room(connection: asyncpg.Connection, tables: Sequence[Table], *, replace: bool) -> None:
    """Keep others from writing, and remove the rows there are. Raises CommandError when they are to be kept."""
    names = [table.name for table in tables]
    if replace:
        await connection.execute(f"SET LOCAL docket.prune = 'on'; TRUNCATE {listed(names)}")
        return
    await lock(connection, names, "EXCLUSIVE")
    await refuse_rows(connection, tables)


async def refuse_rows(connection: asyncpg.Connection, tables: Sequence[Table]) -> None:
    """Raises CommandError when a table has rows."""
    for table in tables:
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {quoted(table.name)})"):  # noqa: S608
            raise CommandError(f"The database has rows in {table.name}: `restore --replace` removes them")


async def measured(connection: asyncpg.Connection, table: Table) -> Table:
    """The table with the number and the checksum of the rows that it has now."""
    query = MEASURE.format(columns=listed(table.columns), table=quoted(table.name))
    record = await connection.fetchrow(query)
    return table.model_copy(update=dict(record or {}))


async def tables_of(connection: asyncpg.Connection) -> list[Table]:
    """The tables of a database, each after those that it needs, with the columns that PostgreSQL does not compute."""
    found = {record["name"]: record for record in await connection.fetch(TABLES)}
    order = TopologicalSorter({name: record["needs"] for name, record in sorted(found.items())}).static_order()
    return [Table(name=name, columns=found[name]["columns"]) for name in order]


async def lock(connection: asyncpg.Connection, names: Sequence[str], mode: str) -> None:
    if names:
        await connection.execute(f"LOCK TABLE {listed(names)} IN {mode} MODE")


def csv_of(table: Table) -> str:
    return f"{table.name}.csv"


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def seal(file: Path) -> bytes:
    """The SHA-256 of a file without its seal."""
    digest = hashlib.sha256()
    left = file.stat().st_size - SEAL
    with file.open("rb") as stream:
        while left > 0 and (chunk := stream.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest().encode()


@contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """A file to write, which takes its place when it is complete."""
    if file.exists():
        raise CommandError(f"{file} exists: choose another name")
    with explained(file):
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
        try:
            draft = folder / file.name
            draft.touch(mode=0o600)
            yield draft
            draft.rename(file)
        finally:
            shutil.rmtree(folder)


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """Turn what the system says of a file into one line for the operator. A connection has its own words."""
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        raise CommandError(f"Cannot use {file}: {error.strerror}") from error
