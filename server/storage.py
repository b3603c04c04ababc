"""Which database a server uses, that of DATABASE_URL or the embedded one under DATA_DIR, and what keeps us from it."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from sqlalchemy import make_url

from persistence.embedded import Embedded
from server.commands import CommandError
from server.settings import Settings

PATIENCE = 5  # seconds to wait for a connection


@contextmanager
def opened(settings: Settings) -> Iterator[str]:
    """The URL of the database, which answers as long as the context lasts. Raises EmbeddedError."""
    if settings.url is not None:
        yield settings.url
        return
    embedded = Embedded(settings.data_dir)
    embedded.open()
    try:
        yield embedded.url()
    finally:
        embedded.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for an operator's command. Raises CommandError when the database refuses it, or what it is told."""
    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
        try:
            yield connection
        finally:
            await connection.close(timeout=PATIENCE)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(complaint(url, error)) from error


def complaint(url: str, error: Exception) -> str:
    """One line about what the database refuses, without the password."""
    parts = make_url(url)
    place = f"{parts.host or parts.query.get('host', 'localhost')}:{parts.port or 5432}"
    said = str(error).partition("\n")[0]
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"PostgreSQL at {place} turns us away ({said}): correct DATABASE_URL"
        case asyncpg.InvalidCatalogNameError():
            return f"PostgreSQL at {place} has no database {parts.database}: create it, or correct DATABASE_URL"
        case TimeoutError():
            return f"PostgreSQL at {place} does not answer within {PATIENCE} s: see whether it runs"
        case OSError():
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or said
            return f"No PostgreSQL answers at {place} ({reason}): start it, or correct DATABASE_URL"
        case _:
            return f"PostgreSQL at {place} refuses: {said}"
