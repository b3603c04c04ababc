"""Run migrations: one process at a time, each in its own transaction, never waiting long for a lock."""

import asyncio

from alembic import context
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from persistence.tables import Row
from server.settings import load
from server.storage import opened

TIMEOUTS = {"lock_timeout": "4s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}


def migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(hashtext('docket.migrations'))"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main(url: str) -> None:
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={"server_settings": TIMEOUTS, "statement_cache_size": 0},
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given: str | None = context.config.attributes.get("url")
if given:
    asyncio.run(main(given))
else:  # `alembic` from the command line: the database of the settings
    with opened(load()) as url:
        asyncio.run(main(url))
