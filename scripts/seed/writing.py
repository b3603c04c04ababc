"""Writes rows by COPY, in one transaction: those whose ids are not there yet. What is there is left as it is."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from persistence.engine.pool import Transaction
from persistence.queries import event_log
from persistence.tables import AuditLog, Member, Organization, Row, Task, User
from server.complaints import CommandError

OLD = "search"  # a column of tasks that is written no more
COLUMNS: Mapping[type[Row], Sequence[str]] = {
    table: [column.name for column in table.__table__.columns if column.computed is None and column.name != OLD]
    for table in (User, Organization, Member, Task, AuditLog)
}
IDENTITY: Mapping[type[Row], Sequence[str]] = {
    User: ["id"],
    Organization: ["id"],
    Member: ["organization_id", "user_id"],
    Task: ["id"],  # and not its organization: a caller may have moved it
    AuditLog: ["id"],
}
CLAIMED: Mapping[type[Row], str] = {User: "email", Organization: "slug"}
SETTINGS = """
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SELECT pg_advisory_xact_lock(hashtext('docket.seed'));
"""  # the role's timeouts are those of requests; two who seed at once take turns


class Writing:
    """A transaction that adds rows."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.added = 0

    async def add(self, table: type[Row], rows: Iterable[Mapping[str, Any]]) -> int:
        """How many were added: those not there yet. Raises CommandError when others have what they claim."""
        columns = COLUMNS[table]
        records = [tuple(row.get(column) for column in columns) for row in rows]  # what is left out is null
        name, listed = table.__tablename__, ", ".join(columns)
        await self.connection.execute(f"TRUNCATE seeding_{name}")
        await self.connection.copy_records_to_table(f"seeding_{name}", columns=columns, records=records)
        done = await self.connection.execute(
            f"INSERT INTO {name} ({listed}) SELECT {cast(columns)} FROM seeding_{name} AS new"  # noqa: S608 - names of ours
            f" WHERE {missing(table)} ON CONFLICT DO NOTHING"
        )
        if table in CLAIMED:
            await self.make_sure(table)
        added = int(done.rpartition(" ")[2])
        self.added += added
        return added

    async def make_sure(self, table: type[Row]) -> None:
        """Raises CommandError unless every row is there."""
        lacking = await self.connection.fetch(
            f"SELECT {CLAIMED[table]} FROM seeding_{table.__tablename__} AS new WHERE {missing(table)} ORDER BY id"  # noqa: S608
        )
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise CommandError(
                f"Other {table.__tablename__} have the names of {lacking[0][0]}{more}, perhaps those of another --seed:"
                " nothing is written; take another database, or the seed that is there"
            )

    async def finish(self) -> None:
        """Tell the planner what there is now, if it is new, and clients that follow changes to read everything."""
        if self.added:
            await event_log.renew(Transaction(self.connection))
            await self.connection.execute(f"ANALYZE {', '.join(table.__tablename__ for table in COLUMNS)}")


@asynccontextmanager
async def writing(connection: asyncpg.Connection) -> AsyncIterator[Writing]:
    """Everything or nothing is written."""
    async with connection.transaction():
        await connection.execute(f"{SETTINGS}; SET LOCAL docket.restore = 'on'")
        for table, columns in COLUMNS.items():
            like = f"SELECT {cast(columns, 'text')} FROM {table.__tablename__}"  # noqa: S608 - names of ours
            await connection.execute(
                f"CREATE TEMPORARY TABLE seeding_{table.__tablename__} ON COMMIT DROP AS {like} WITH NO DATA"
            )
        begun = Writing(connection)
        yield begun
        await begun.finish()


def cast(columns: Sequence[str], vector: str = "tsvector") -> str:
    """The columns; a vector is text on its way, since COPY takes no other."""
    return ", ".join(f"CAST({name} AS {vector}) AS {name}" if name == "search_vector" else name for name in columns)


def missing(table: type[Row]) -> str:
    """The condition that a `new` row is not there."""
    same = " AND ".join(f"old.{column} = new.{column}" for column in IDENTITY[table])
    return f"NOT EXISTS (SELECT FROM {table.__tablename__} AS old WHERE {same})"
