"""Look after the database: the embedded server, a way to look inside, and a way to move away.

`start`, `stop` and `status` are about the embedded server; the others work on that of DATABASE_URL too. A server that
does not run is started for as long as `psql`, `backup` or `restore` takes.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from alembic import command

from persistence.embedded.locks import sigterm_interrupts
from persistence.embedded.server import Embedded
from server.complaints import CommandError
from server.database import backup, connect, migrations, revision, success
from server.database.backup_folder import BackupFolder
from server.database.programs import find_program, lend_socket
from server.settings.settings import Settings

NOT_RUNNING = 3  # as systemd counts
MEGABYTE = 1_000_000
LONGEST = 36_500  # days for which a backup is kept
Action: TypeAlias = Callable[[Settings, argparse.Namespace], int]


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        said = (action.__doc__ or "").partition("\n")[0]
        given = actions.add_parser(name, help=said, description=action.__doc__)
        if action in (back_up, restore):
            given.add_argument("file", type=Path, metavar="FILE")
        if action is back_up:
            said = "FILE is a folder, where backups of so many days are kept"
            given.add_argument("--keep", type=days, metavar="DAYS", help=said)
        if action is restore:
            given.add_argument("--replace", action="store_true", help="remove the rows that the database has")


def days(text: str) -> int:
    if not 0 < (number := int(text)) <= LONGEST:
        raise argparse.ArgumentTypeError(f"1 to {LONGEST} days")
    return number


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    return ACTIONS[arguments.action](settings, arguments)


def start(settings: Settings, _: argparse.Namespace) -> int:
    """Start the embedded server, let it run on until `stop`, and print its URL.

    It takes the wheel's postgres, initdb, pg_isready and psql.
    """
    embedded = embedded_of(settings)
    embedded.open()
    try:
        embedded.keep()
    finally:
        embedded.close()
    return say(embedded.url())


def stop(settings: Settings, _: argparse.Namespace) -> int:
    """Stop the embedded server, unless somebody uses it.

    It takes the wheel's postgres and pg_isready.
    """
    embedded = embedded_of(settings)
    ran = embedded.status().running
    embedded.shut_down()
    return say("Stopped" if ran else "It did not run")


def status(settings: Settings, _: argparse.Namespace) -> int:
    """Tell how the embedded server is; exit status 0 when it runs and 3 when it does not.

    It takes the wheel's postgres and pg_isready.
    """
    embedded = embedded_of(settings)
    found = embedded.status()
    say(f"running   {'yes' if found.running else 'no'}")
    if found.pid:
        say(f"pid       {found.pid}")
    say(f"version   PostgreSQL {found.version}")
    say(f"folder    {embedded.data}")
    say(f"size      {size_of(embedded.data) / MEGABYTE:.0f} MB")
    say(f"log       {embedded.postmaster.log}")
    return 0 if found.running else NOT_RUNNING


def url(settings: Settings, _: argparse.Namespace) -> int:
    """Print a URL for DATABASE_URL and for psql; if it has a password, with that.

    It takes the wheel's postgres and pg_isready for an embedded server, and else no program.
    """
    if settings.url is not None:
        return say(settings.url)
    embedded = embedded_of(settings)
    if not embedded.status().running:
        raise CommandError(f"The server of {embedded.folder} does not run: `python -m server database start` starts it")
    return say(embedded.url())


def psql(settings: Settings, _: argparse.Namespace) -> int:
    """Open psql, as the role of the application.

    It takes the wheel's psql, or the system's where there is no wheel; for an embedded server also what `start` takes.
    """
    signal.signal(signal.SIGINT, left_to_psql)
    with connect.open_url(settings) as found:
        return asyncio.run(run_psql(found))


async def run_psql(url: str) -> int:
    """Run psql as our child, since somebody must hand on what it sends; what comes back is its exit status."""
    async with connect.connect(url) as connection, lend_socket(connection) as variables:
        await connection.close()
        return await (await asyncio.create_subprocess_exec(find_program("psql"), env=variables)).wait()


def back_up(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write every row, as of one moment, into a new file. SECRET_KEY is not in it.

    With --keep it is named by the moment, and older ones go: those of more than so many days, and, as long as the disk
    is full, the oldest. The newest complete one never does.

    It takes the wheel's pg_dump, or the system's where there is none; and for an embedded server what `start` takes.
    """
    with sigterm_interrupts(), connect.open_url(settings) as found:
        if not asyncio.run(revision.current(found)):
            raise CommandError("The database was never migrated: there is nothing to back up")
        file = arguments.file
        if arguments.keep is None:
            asyncio.run(backup.write(found, file))
        else:
            file = BackupFolder(file, arguments.keep).write(found)
        asyncio.run(success.note_success(found, "backup"))
    return say(f"Backed up into {file}, {file.stat().st_size / MEGABYTE:.1f} MB")


def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Fill an empty database from the file of `backup`, and migrate it to head.

    It takes the wheel's pg_restore, or the system's where there is none; and for an embedded server what `start` takes.
    """
    kept = backup.open_backup(arguments.file)
    with sigterm_interrupts(), connect.open_url(settings) as found:
        known = asyncio.run(migrations.schema(found))
        if not arguments.replace:
            asyncio.run(refuse_rows(found, kept.tables))
        move(found, [script.revision for script in (*known.applied, *known.pending)], kept.revision)
        try:
            counts = asyncio.run(kept.fill(found, replace=arguments.replace))
        finally:
            migrations.upgrade(found)
            asyncio.run(connect.begin_epoch(found))
    for table, rows in counts.items():
        say(f"{table:24} {rows:>10} rows" if rows >= 0 else f"{table:24} left out, for no migration makes it")
    return say(f"Restored, from revision {kept.revision}")


async def refuse_rows(given: str, tables: list[str]) -> None:
    async with connect.connect(given) as connection:
        there = await backup.tables_of(connection)
        await backup.refuse_rows(connection, [name for name in tables if name in there])


def move(given: str, known: list[str], wanted: str) -> None:
    """Bring the schema to that of a backup: up or down, with the rows there are."""
    if wanted not in known:
        raise CommandError(
            f"The backup was made by a newer release, of whose revision {wanted} this one does not know: use that one"
        )
    with migrations.explain_errors():
        command.upgrade(migrations.configuration(given), wanted)
        command.downgrade(migrations.configuration(given), wanted)


def embedded_of(settings: Settings) -> Embedded:
    if settings.url is not None:
        raise CommandError("Nothing is embedded here: the database is that of DATABASE_URL")
    return Embedded(settings.data_dir)


def left_to_psql(_number: int, _frame: object) -> None:
    """Ctrl-C ends a query, not the session."""


def size_of(folder: Path) -> int:
    """The bytes of its files, some of which may be gone by now."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += (Path(parent) / name).lstat().st_size
    return size


def say(line: str) -> int:
    print(line)  # noqa: T201 - what the operator asked for
    return 0


ACTIONS: dict[str, Action] = {
    "start": start,
    "stop": stop,
    "status": status,
    "url": url,
    "psql": psql,
    "backup": back_up,
    "restore": restore,
}
