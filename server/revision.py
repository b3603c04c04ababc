"""The migrations that the code knows and the newest that a database has, told without loading Alembic."""

import re
from pathlib import Path

from server.complaints import CommandError
from server.storage import connected

VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
NAMED = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


class Ahead(CommandError):  # noqa: N818 - it says what is the case
    """A database was migrated by a later release: the one just before that serves it, as migrations/README.md says."""

    def __init__(self, found: str | None) -> None:
        super().__init__(
            f"The schema of the database is newer than the code, which does not know its revision {found}:"
            " start the release that made it, or a later one"
        )
        self.served = f"revision {found} is of a later release: only the one just before that goes with it"


def known() -> list[str]:
    """Every migration, oldest first: the files' names begin with their dates."""
    return [named(file) for file in sorted(VERSIONS.glob("*.py"))]


def head() -> str:
    """The newest migration."""
    return known()[-1]


def named(file: Path) -> str:
    found = NAMED.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{file} names no revision")
    return found[1]


async def current(url: str) -> str | None:
    """The newest migration that a database has. Raises CommandError when it cannot be reached."""
    async with connected(url) as connection:
        exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
    return found


async def pending(url: str) -> int:
    """How many migrations a database lacks. Raises Ahead, and CommandError when it cannot be reached."""
    found, all_of_them = await current(url), [None, *known()]
    if found not in all_of_them:
        raise Ahead(found)
    return len(all_of_them) - 1 - all_of_them.index(found)
