"""Run migrations: one process at a time, each migration in its own transaction, never waiting long for a lock.

`server.migrations` gives the URL of the database; `alembic` from the command line takes that of the settings.
"""

import asyncio
import logging
import time

import asyncpg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from persistence.tables import Row
from server.configuration import load
from server.storage import opened

TIMEOUTS = {
    "lock_timeout": "900ms",  # who comes after us waits behind us, and gives up after a second
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}
TURN = 30  # seconds to wait for another process that migrates
PATIENCE = 500  # milliseconds that it is waited for by one statement, fewer than `deadlock_timeout`
logging.getLogger("alembic").setLevel(logging.WARNING)
PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]


def migrate(connection: Connection) -> None:
    take_turn(connection)
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        compare_server_default=True,
        autogenerate_plugins=PLUGINS,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    with context.begin_transaction():
        context.run_migrations()


def take_turn(connection: Connection) -> None:
    """Hold the lock of those who migrate until the connection ends.

    Who waits asks again and again: `CREATE INDEX CONCURRENTLY` waits for every statement that is older, this one, too.
    """
    end = time.monotonic() + TURN
    while True:
        connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}ms'"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(hashtext('docket.migrations'))"))
        except DBAPIError as error:
            connection.rollback()
            if time.monotonic() > end:
                raise CommandError(f"Another process has been migrating for {TURN} s: see what it waits for") from error
        else:
            break
    connection.commit()


async def main(url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url, timeout=5, server_settings=TIMEOUTS, statement_cache_size=0),
        poolclass=NullPool,
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


given: str | None = context.config.attributes.get("url")
if given:
    asyncio.run(main(given))
else:
    with opened(load()) as url:
        asyncio.run(main(url))
