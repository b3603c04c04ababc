"""Run migrations: one process at a time, each migration in its own transaction, never in the way of others for long.

`server.database.migrations` gives the URL of the database; `alembic` from the command line takes that of the settings.
"""

import asyncio
import logging
import re
import sys
import time

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, Index, event, text
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import SchemaItem

from persistence.engine.hosts import connect_to_first
from persistence.tables import Row
from server.database.connect import open_url
from server.database.live_tables import spare
from server.settings.loading import load

TIMEOUTS = {
    "lock_timeout": "1200ms",  # who comes after us waits behind us; after 1 s PostgreSQL ends an autovacuum before us
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "60s",  # a process that was stopped keeps the others from their turn no longer
    "client_connection_check_interval": "5s",  # what a killed process began ends, too
}
TURN = 3600  # seconds to wait for another process that migrates
TOLD = 30  # seconds between two lines about that
PAUSE = 0.2
logging.getLogger("alembic").setLevel(logging.WARNING)
PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]
HOLDER = text("""
    SELECT pid, left(regexp_replace(query, '\\s+', ' ', 'g'), 80) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = pg_stat_activity.datid
        AND datname = current_database() AND objid::bigint = hashtext('docket.migrations')::bigint & 4294967295
""")
# These keep others neither from reading nor from writing, so that they may wait and take as long as they need.
UNHURRIED = re.compile(r"\b(CONCURRENTLY|VALIDATE\s+CONSTRAINT)\b", re.IGNORECASE)
CHANGE = re.compile(r"\s*(ALTER|COMMENT|CREATE|DELETE|DROP|INSERT|TRUNCATE|UPDATE|WITH)\b", re.IGNORECASE)
SCHEMA = re.compile(r"\s*(ALTER|CREATE|DROP)\b", re.IGNORECASE)
REPEATABLE = re.compile(r"\b(CONCURRENTLY|IF\s+(NOT\s+)?EXISTS|OR\s+REPLACE)\b", re.IGNORECASE)
INDEX = re.compile(
    r"\s*(?P<act>CREATE|DROP)(?P<unique>\s+UNIQUE)?\s+INDEX\s+CONCURRENTLY\s+"
    r"(IF\s+(NOT\s+)?EXISTS\s+)?(?P<rest>(?P<name>\S+).*)",
    re.IGNORECASE | re.DOTALL,
)
INVALID = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid"


def is_comparable(item: SchemaItem, _name: str | None, _kind: str, _reflected: bool, other: SchemaItem | None) -> bool:  # noqa: FBT001 - Alembic passes them in this order
    """Whether Alembic can compare it. PostgreSQL writes expressions of an index otherwise; `check` compares those."""
    return other is None or not isinstance(item, Index) or len(item.columns) == len(item.expressions)


def is_declared(name: str | None, kind: str, _parents: object) -> bool:
    """Whether Alembic shall look for it. The days of the event log come and go by themselves."""
    return kind != "table" or re.fullmatch(r"events_\d{8}", name or "") is None


class Statements:
    """Makes sure that a migration that failed can be applied again, and waits only where that hinders no other client.

    A block outside the transaction stands alone: what went before would be kept, and fail the second time.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.unhurried = self.changed = self.stamped = False
        event.listen(connection, "before_cursor_execute", self.begin, retval=True)
        event.listen(connection, "commit", self.commit)

    def begin(
        self, _connection: Connection, cursor: DBAPICursor, statement: str, parameters: object, *_: object
    ) -> tuple[str, object]:
        if "alembic_version" in statement:
            self.stamped = self.stamped or CHANGE.match(statement) is not None
        elif self.connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            self.changed = self.changed or CHANGE.match(statement) is not None
        elif SCHEMA.match(statement) and not REPEATABLE.search(statement):
            raise CommandError(f"It could not be applied again: this belongs into a migration before it: {statement}")
        found = INDEX.match(statement)
        if found and found["act"].upper() == "DROP":
            statement = f"DROP INDEX CONCURRENTLY IF EXISTS {found['rest']}"
        elif found:
            self.drop_invalid(cursor, found["name"])
            statement = f"CREATE{found['unique'] or ''} INDEX CONCURRENTLY IF NOT EXISTS {found['rest']}"
        self.hurry(cursor, unhurried=UNHURRIED.search(statement) is not None)
        return statement, parameters

    def drop_invalid(self, cursor: DBAPICursor, name: str) -> None:
        """Remove what an earlier try left of an index: it costs every write, and serves no read."""
        cursor.execute(INVALID, (name,))
        if cursor.fetchone():
            self.hurry(cursor, unhurried=True)
            cursor.execute(f"DROP INDEX CONCURRENTLY {name}")

    def hurry(self, cursor: DBAPICursor, *, unhurried: bool) -> None:
        if unhurried != self.unhurried:
            self.unhurried = unhurried
            for name in ("lock_timeout", "statement_timeout"):
                cursor.execute(f"SET {name} = '{0 if unhurried else TIMEOUTS[name]}'")

    def commit(self, _connection: Connection) -> None:
        if self.changed and not self.stamped:
            raise CommandError(
                "It could not be applied again: put what is before `autocommit_block` into a migration before"
            )
        self.changed = self.stamped = False


def migrate(connection: Connection) -> None:
    refuse_pooler(connection)
    take_turn(connection)
    Statements(connection)
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        compare_server_default=True,
        autogenerate_plugins=PLUGINS,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply"),
        process_revision_directives=spare,
        include_object=is_comparable,
        include_name=is_declared,
    )
    with context.begin_transaction():
        context.run_migrations()


def refuse_pooler(connection: Connection) -> None:
    """Raises CommandError where what we ask for a session is not given: the turn is one of a session, too."""
    if connection.scalar(text("SHOW lock_timeout")) != TIMEOUTS["lock_timeout"]:
        raise CommandError("A pooler stands between: for this command, name the database itself in DATABASE_URL")


def take_turn(connection: Connection) -> None:
    """Hold the lock of those who migrate until the connection ends.

    Between two tries no transaction is open: who builds an index CONCURRENTLY waits for all that are.
    """
    began = told = time.monotonic()
    while not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('docket.migrations'))")):
        holder = connection.execute(HOLDER).first()
        connection.rollback()
        now = time.monotonic()
        if holder is not None and now - told > TOLD:
            told = now
            pid, statement = holder
            sys.stderr.write(f"Another process migrates, as {pid} of PostgreSQL: {statement}\n")
            sys.stderr.flush()
        if now - began > TURN:
            raise CommandError(f"Another process has been migrating for {TURN} s: see what it waits for")
        time.sleep(PAUSE)
    connection.commit()


async def main(url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect_to_first(url, 5, server_settings=TIMEOUTS, statement_cache_size=0),
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
    with open_url(load()) as url:
        asyncio.run(main(url))
