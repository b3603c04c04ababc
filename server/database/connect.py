"""Which database a server uses, that of DATABASE_URL or the embedded one under DATA_DIR, and what keeps us from it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import asyncpg
from sqlalchemy import make_url

from persistence.embedded.server import Embedded
from persistence.engine.hosts import NoHostAnswers, connect_to_first, place_of, split_hosts
from persistence.engine.pool import Database, Pool, Transaction, Watch
from persistence.queries import event_log
from server.complaints import CommandError
from server.database.event_keeping import looking_after
from server.settings.settings import Settings


class Unreachable(CommandError):  # noqa: N818 - it says what is the case
    """No server answers where the database should be."""


POOLED = "A pooler stands between: for this command, name the database itself in DATABASE_URL"
PATIENCE = 5  # seconds to wait for a connection
PAUSE = 0.05  # seconds between two looks whether we are told to end


@contextmanager
def open_url(settings: Settings) -> Iterator[str]:
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


def open_pool(
    settings: Settings, watch: Watch | None = None, is_ending: Callable[[], bool] = lambda: False
) -> Callable[[], AbstractAsyncContextManager[Database]]:
    """Opens the connections of one process; an embedded server is brought back whenever it dies meanwhile.

    Raises CommandError when we are told to end before that server answers.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[Database]:
        embedded = Embedded(settings.data_dir) if settings.url is None else None
        if embedded is not None:
            await start_embedded(embedded, is_ending)
        url = settings.url or (embedded.url() if embedded else "")
        lent = settings.database_pooler is not None
        pool = Pool(url, size=settings.pool_size, lent=lent, watch=watch)
        try:
            async with looking_after(pool):
                yield pool
        finally:
            await pool.close()
            if embedded is not None:
                await embedded.stop()

    return opened


async def start_embedded(embedded: Embedded, is_ending: Callable[[], bool]) -> None:
    """Start an embedded server, which may wait long for another process. Raises CommandError when told to end."""
    starting = asyncio.create_task(embedded.start())
    while not (await asyncio.wait([starting], timeout=PAUSE))[0]:
        if is_ending():
            starting.cancel()
            await asyncio.wait([starting])
            raise CommandError("Told to end before the embedded PostgreSQL answered")
    await starting


@asynccontextmanager
async def connect(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for an operator's command. Raises CommandError when the database refuses it, or what it is told.

    It has these settings of PostgreSQL. It keeps no statements, so that a pooler may stand between.
    """
    try:
        connection = await connect_to_first(url, PATIENCE, statement_cache_size=0, server_settings=settings)
        try:
            yield connection
        finally:
            await connection.close(timeout=PATIENCE)
    except asyncpg.ProtocolViolationError as error:  # it takes no settings for a session
        raise CommandError(POOLED) from error
    except (OSError, UnicodeError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        kind = Unreachable if isinstance(error, OSError) else CommandError
        raise kind(complaint(url, error)) from error


async def begin_epoch(url: str) -> None:
    """Let no position in the event log of before count any more. Raises CommandError."""
    async with connect(url) as connection:
        await event_log.renew(Transaction(connection))


def complaint(url: str, error: Exception) -> str:
    """One line about what the database refuses, without the password."""
    urls = split_hosts(url)
    parts, place = make_url(urls[0]), " or ".join(map(place_of, urls))
    said = str(error).partition("\n")[0]
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"PostgreSQL at {place} turns us away ({said}): correct DATABASE_URL"
        case asyncpg.InvalidCatalogNameError():
            return f"PostgreSQL at {place} has no database {parts.database}: create it, or correct DATABASE_URL"
        case asyncpg.UndefinedTableError():
            return "The database is not migrated: run `python -m server migrate apply`"
        case TimeoutError():
            return f"PostgreSQL at {place} does not answer within {PATIENCE} s: see whether it runs"
        case OSError():
            return silence(place, error, by_tcp=parts.host is not None)
        case _:
            return f"PostgreSQL at {place} refuses: {said}"


def silence(place: str, error: OSError, *, by_tcp: bool) -> str:
    """One line about a database that was not reached."""
    if isinstance(error, NoHostAnswers):
        return f"None of the hosts of DATABASE_URL will do ({error}): start one, or correct DATABASE_URL"
    if by_tcp and isinstance(error, FileNotFoundError):
        return "DATABASE_URL names a file that is not there, as `sslrootcert` or the like: correct it"
    said = error.strerror or str(error).partition("\n")[0]
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else said
    return f"No PostgreSQL answers at {place} ({reason}): start it, or correct DATABASE_URL"
