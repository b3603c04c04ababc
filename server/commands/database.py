"""Look after the database: the embedded server, a way to look inside, and a way to move away.

`start`, `stop` and `status` are about the embedded server; the others work on that of DATABASE_URL too. A server that
does not run is started for as long as `psql`, `backup` or `restore` takes.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from alembic import command
from sqlalchemy import make_url

from persistence.embedded.server import Embedded, EmbeddedError, binary
from persistence.engine.hosts import split_hosts
from server.complaints import CommandError
from server.database import backup, connect, migrations
from server.settings.settings import Settings

NOT_RUNNING = 3  # as systemd counts
MEGABYTE = 1_000_000
PASSWORD = re.compile(r"^(\w+://[^/:@]*):[^/:@]*@")
Action: TypeAlias = Callable[[Settings, argparse.Namespace], int]


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        said = (action.__doc__ or "").partition("\n")[0]
        given = actions.add_parser(name, help=said, description=action.__doc__)
        if action in (back_up, restore):
            given.add_argument("file", type=Path, metavar="FILE")
        if action is restore:
            given.add_argument("--replace", action="store_true", help="remove the rows that the database has")


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
    environment = dict(os.environ)
    if settings.url is None:  # nothing for other servers leads it astray
        environment = {name: value for name, value in environment.items() if not name.startswith("PG")}
    with connect.opened(settings) as found:
        if password := make_url(split_hosts(found)[0]).password:  # everybody may read the arguments of a process
            environment["PGPASSWORD"] = str(password)
        given = PASSWORD.sub(r"\1@", found)
        signal.signal(signal.SIGINT, left_to_psql)
        # Our child and not in our place: somebody must leave the embedded server.
        return subprocess.run([program("psql"), given], env=environment, check=False).returncode  # noqa: S603


def back_up(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write every row, as of one moment, into a new file. SECRET_KEY is not in it.

    It takes no program but, for an embedded server, what `start` takes.
    """
    with connect.opened(settings) as found:
        if not asyncio.run(migrations.schema(found)).applied:
            raise CommandError("The database was never migrated: there is nothing to back up")
        contents = asyncio.run(backup.write(found, arguments.file))
    return tell("Backed up", contents)


def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Fill an empty database from the file of `backup`, and migrate it to head.

    It takes no program but, for an embedded server, what `start` takes.
    """
    with backup.opened(arguments.file) as kept, connect.opened(settings) as found:
        known = asyncio.run(migrations.schema(found))
        if not arguments.replace:
            asyncio.run(refuse_rows(found))
        move(found, [script.revision for script in (*known.applied, *known.pending)], kept.contents.revision)
        try:
            asyncio.run(kept.fill(found, replace=arguments.replace))
        finally:
            migrations.upgrade(found)
    return tell("Restored", kept.contents)


async def refuse_rows(given: str) -> None:
    async with connect.connected(given) as connection:
        await backup.refuse_rows(connection, await backup.tables_of(connection))


def move(given: str, known: list[str], revision: str) -> None:
    """Bring the schema to that of a backup: up or down, with the rows there are."""
    if revision not in known:
        raise CommandError(
            f"The backup was made by a newer release, of whose revision {revision} this one does not know: use that one"
        )
    with migrations.explained():
        command.upgrade(migrations.configuration(given), revision)
        command.downgrade(migrations.configuration(given), revision)


def embedded_of(settings: Settings) -> Embedded:
    if settings.url is not None:
        raise CommandError("Nothing is embedded here: the database is that of DATABASE_URL")
    return Embedded(settings.data_dir)


def program(name: str) -> Path | str:
    """The wheel's, or the system's where there is no wheel. Raises CommandError."""
    try:
        return binary(name)
    except EmbeddedError:
        found = shutil.which(name)
        if found is None:
            raise CommandError(f"There is no {name} here: install PostgreSQL's client programs") from None
        return found


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


def tell(what: str, contents: backup.Contents) -> int:
    for table in contents.tables:
        say(f"{table.name:24} {table.rows:>10} rows  checksum {table.checksum}")
    return say(f"{what}, at revision {contents.revision}")


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
