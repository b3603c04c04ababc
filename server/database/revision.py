"""The migrations that the code knows and the newest that a database has, told without loading Alembic."""

import re
from pathlib import Path

from server.complaints import CommandError
from server.database.connect import connect
from server.database.encoding import require_utf8

VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"
NAMED = re.compile(r"""^(down_)?revision\b[^=\n]*=\s*(?:["'](\w+)["']|None)\s*$""", re.MULTILINE)


class Ahead(CommandError):  # noqa: N818 - it says what is the case
    """A database was migrated by a later release: the one just before that serves it, as migrations/README.md says."""

    def __init__(self, found: str | None) -> None:
        super().__init__(
            f"The schema of the database is newer than the code, which does not know its revision {found}:"
            " start the release that made it, or a later one"
        )
        self.served = f"revision {found} is of a later release: only the one just before that goes with it"


def list_migrations() -> list[str]:
    """Every migration, oldest first. Raises CommandError, which names the file that breaks their chain."""
    followers: dict[str | None, tuple[str, Path]] = {}
    files: dict[str, Path] = {}
    for file in sorted(VERSIONS.glob("*.py")):
        revision, before = name_migration(file)
        if revision in files:
            raise CommandError(
                f"{short_path(files[revision])} and {short_path(file)} both have the revision {revision}"
            )
        if before in followers:
            other = short_path(followers[before][1])
            raise CommandError(
                f"{other} and {short_path(file)} both go on from {before}: let one of them follow the other"
            )
        files[revision], followers[before] = file, (revision, file)
    chain: list[str] = []
    while (found := followers.pop(chain[-1] if chain else None, None)) is not None:
        chain.append(found[0])
    for before, (_, file) in followers.items():
        raise CommandError(f"{short_path(file)} goes on from {before}, which is not there or comes after it")
    return chain


def head() -> str:
    """The newest migration."""
    return list_migrations()[-1]


def name_migration(file: Path) -> tuple[str, str | None]:
    """The revision of a migration, and the one before. Raises CommandError."""
    found = {bool(match[1]): match[2] for match in NAMED.finditer(file.read_text(encoding="utf-8"))}
    for key, name in ((False, "revision"), (True, "down_revision")):
        if key not in found or (found[key] is None and not key):
            raise CommandError(f'{short_path(file)} is half-written: it has no line {name} = "..."')
    return found[False], found[True]


def short_path(file: Path) -> Path:
    return Path(*file.parts[-3:])


async def current(url: str) -> str | None:
    """The newest migration that a database has. Raises CommandError when it cannot be reached, or is not UTF8."""
    async with connect(url) as connection:
        await require_utf8(connection)
        exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
    return found


async def pending(url: str) -> int:
    """How many migrations a database lacks. Raises Ahead, and CommandError when it cannot be reached."""
    found, all_of_them = await current(url), [None, *list_migrations()]
    if found not in all_of_them:
        raise Ahead(found)
    return len(all_of_them) - 1 - all_of_them.index(found)
