"""Migrate the database, see what it has, or write a migration."""

import argparse
import asyncio
import sys
from collections.abc import Callable

from alembic.script import Script

from server.complaints import CommandError
from server.database import migrations
from server.database.connect import connect, open_url
from server.database.drift import differences
from server.database.encoding import doubt_of, require_utf8
from server.database.revision import Ahead
from server.settings.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        actions.add_parser(name, help=action.__doc__)
    for name, said in WRITERS.items():
        actions.add_parser(name, help=said).add_argument("message", help="what it does; its file is named by that")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.action == "generate":
        lines = write(arguments.message)
    else:
        with open_url(settings) as url:
            action = ACTIONS.get(arguments.action)
            lines = action(url) if action else write(arguments.message, url)
            if action is apply and settings.database_pooler:
                asyncio.run(migrations.settle(url))
    for line in lines:
        print(line)  # noqa: T201 - what the operator asked for
    return 0


def apply(url: str) -> list[str]:
    """Apply the migrations that the database lacks."""
    if doubt := asyncio.run(letters(url)):
        sys.stderr.write(f"Mind: {doubt}\n")
    try:
        applied = migrations.upgrade(url)
    except Ahead as ahead:  # so that a release is undone by starting the one before
        return [f"The database lacks nothing; its {ahead.served}"]
    return [f"applied {name_of(script)}" for script in applied] or ["The database is at head"]


async def letters(url: str) -> str | None:
    async with connect(url) as connection:
        await require_utf8(connection)
        return await doubt_of(connection)


def current(url: str) -> list[str]:
    """Show the newest migration that the database has."""
    return [name_of(script) for script in asyncio.run(migrations.schema(url)).applied[-1:]] or ["The database has none"]


def show(url: str) -> list[str]:
    """List every migration, oldest first."""
    schema = asyncio.run(migrations.schema(url))
    return [f"applied {name_of(script)}" for script in schema.applied] + [
        f"pending {name_of(script)}" for script in schema.pending
    ]


def check(url: str) -> list[str]:
    """Check that the database is at head, and its schema what persistence/tables.py declares."""
    asyncio.run(migrations.require_head(url))
    if found := asyncio.run(differences(url)):
        raise CommandError(f"The schema is not what persistence/tables.py declares: {'; '.join(found)}")
    return ["The database is at head, and its schema is what persistence/tables.py declares"]


def write(message: str, url: str | None = None) -> list[str]:
    paths = migrations.generate(message, url)
    return [str(path) for path in paths] or ["The database lacks nothing that persistence/tables.py declares"]


def name_of(script: Script) -> str:
    return f"{script.revision} {script.doc}"


ACTIONS: dict[str, Callable[[str], list[str]]] = {"apply": apply, "current": current, "list": show, "check": check}
WRITERS = {"generate": "Write an empty migration.", "auto": "Write one that brings the database to what is declared."}
