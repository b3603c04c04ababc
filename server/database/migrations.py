"""Which migrations a database has, and bringing it to the newest: for `python -m server migrate`.

`python -m server.database.migrations` brings the database to the newest whose URL it reads: for the start of a server.
"""

import asyncio
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError as AlembicError
from sqlalchemy.exc import DBAPIError

from persistence.engine.pool import SESSION
from server.complaints import CommandError
from server.database import revision
from server.database.connect import connect

INTERRUPTED = 130  # as shells count SIGINT
ROOT = Path(__file__).parents[2]
REFUSED = {
    "55P03": "it waited too long for a table that a long query holds: apply it again when that is done",
    "08P01": "a pooler stands between: for this command, name the database itself in DATABASE_URL",
    "57014": "a statement took too long: divide it, or raise its statement_timeout",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The migrations that a database has, and those that it lacks, oldest first."""

    applied: list[Script]
    pending: list[Script]


async def schema(url: str) -> Schema:
    """How far a database is. Raises CommandError when it cannot be reached, or was migrated by a newer release."""
    pending = await revision.pending(url)
    with explain_errors():
        scripts = list(ScriptDirectory.from_config(configuration()).walk_revisions())[::-1]
    applied = len(scripts) - pending
    return Schema(scripts[:applied], scripts[applied:])


async def require_head(url: str) -> None:
    """Raises CommandError unless the schema of the database is the one that this code was written for."""
    if pending := (await schema(url)).pending:
        raise CommandError(
            f"The schema of the database is {len(pending)} behind the code: run `python -m server migrate apply`"
        )


def upgrade(url: str) -> list[Script]:
    """Apply the migrations that the database lacks, and say which. Raises CommandError.

    One process at a time does it, the others wait for it. Not to be called in an event loop.
    """
    applied: list[Script] = []
    if asyncio.run(schema(url)).pending:
        config = configuration(url)
        config.attributes["on_version_apply"] = lambda *, step, **_: applied.append(step.up_revision)
        with explain_errors():
            command.upgrade(config, "head")
    return applied


async def settle(url: str) -> None:
    """Make what a session of the server expects the settings of our role, where a pooler keeps sessions from asking."""
    async with connect(url) as connection:
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        for name, value in SESSION.items():
            await connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = '{value}'")


def generate(message: str, url: str | None = None) -> list[Path]:
    """Write a migration: an empty one, or those that give a database what it lacks, if anything.

    Raises CommandError; then nothing is written.
    """
    if find_spec("ruff") is None:
        raise CommandError("A migration is written with the development tools: scripts/setup.sh requirements-dev.txt")
    revision.list_migrations()
    before = set(revision.VERSIONS.glob("*"))
    try:
        with explain_errors("written"), redirect_stdout(StringIO()):
            made = command.revision(
                configuration(url), message, autogenerate=url is not None, process_revision_directives=drop_empty
            )
    except BaseException:
        for file in set(revision.VERSIONS.glob("*.py")) - before:
            file.unlink()
        raise
    scripts = made if isinstance(made, list) else [made]
    return [Path(script.path) for script in scripts if script is not None]


def drop_empty(_context: object, _revision: object, scripts: list[MigrationScript]) -> None:
    if scripts[0].upgrade_ops is not None and scripts[0].upgrade_ops.is_empty():
        scripts.clear()


def configuration(url: str | None = None) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    return config


@contextmanager
def explain_errors(what: str = "applied") -> Iterator[None]:
    """Turn what ends a migration into one line for the operator."""
    try:
        yield
    except AlembicError as error:
        raise CommandError(one_line(error)) from error
    except DBAPIError as error:
        said = str(error.orig).partition("\n")[0].rpartition(">: ")[2]
        reason = REFUSED.get(str(getattr(error.orig, "sqlstate", "")), said)
        raise CommandError(f"The migration is not {what}: {reason}") from error
    except OSError as error:
        raise CommandError(f"The migration is not {what}: {one_line(error)}") from error
    except Exception as error:
        place = place_of(error)
        if place is None:
            raise
        said = error.msg if isinstance(error, SyntaxError) else one_line(error)
        raise CommandError(f"The migration is not {what}: {place}: {type(error).__name__}: {said}") from error


def place_of(error: Exception) -> str | None:
    """The line of a migration at which an error came up, if it did in one."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    found = [(Path(file), line) for file, line in places if Path(file).parent == revision.VERSIONS]
    return f"{revision.short_path(found[-1][0])}, line {found[-1][1]}" if found else None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the database hears of the end, too
    try:
        upgrade(sys.stdin.read())
    except CommandError as error:
        sys.exit(f"docket: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
