"""What a database must know of letters: every one of them (UTF8), and which two are the same but for their case."""

import asyncpg

from server.complaints import CommandError

CREATE = "createdb --owner=ROLE --encoding=UTF8 --locale=C.UTF-8 --template=template0 NAME"
FOLDS = "SELECT lower('IŽЖÉ') = 'ižжé' AND to_tsvector('simple', 'IŽЖÉ')::text = $$'ižжé':1$$"


async def require_utf8(connection: asyncpg.Connection) -> None:
    """Raises CommandError where a text could not be stored that the contract allows."""
    encoding = await connection.fetchval("SELECT getdatabaseencoding()")
    if encoding != "UTF8":
        name = await connection.fetchval("SELECT current_database()")
        raise CommandError(f"The database {name} has the encoding {encoding}, not UTF8: make one by `{CREATE}`")


async def doubt_of(connection: asyncpg.Connection) -> str | None:
    """What a search does not find by the locale of the database, in a sentence; None where it finds everything."""
    if await connection.fetchval(FOLDS):
        return None
    locale = await connection.fetchval("SELECT datctype FROM pg_database WHERE datname = current_database()")
    return f"its locale {locale} breaks case folding, so that searches miss letters: make a database by `{CREATE}`"
