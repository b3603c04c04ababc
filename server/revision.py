"""The migration that the code was written for and the one that a database has, told without loading Alembic."""

import re
from pathlib import Path

from server.storage import connected

VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
NAMED = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


def head() -> str:
    """The newest migration: its file's name begins with the latest date."""
    newest = max(VERSIONS.glob("*.py"))
    found = NAMED.search(newest.read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"{newest} names no revision")
    return found[1]


async def current(url: str) -> str | None:
    """The newest migration that a database has. Raises CommandError when it cannot be reached."""
    async with connected(url) as connection:
        exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
    return found
