"""Who causes what is changed, told to the triggers that write the event log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncpg import Record
from sqlalchemy import Text, cast, func, literal, literal_column

from persistence.engine.pool import Database

SETTING = "docket.caller"
TELL = f"SELECT set_config('{SETTING}', $1, true)"


class Caused:
    """A database for the changes of one request. A statement that changes by itself tells its cause by `tell_cause`."""

    __slots__ = ("cause", "db")

    def __init__(self, db: Database, cause: str) -> None:
        self.db, self.cause = db, cause

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        return await self.db.fetch(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Database, None]:
        async with self.db.transaction() as db:
            await db.fetch(TELL, (self.cause,))
            yield db


def tell_cause(user_id: Any, request_id: Any) -> Any:
    """In SQL: until the transaction ends the triggers know who changes what. It must stand where it is evaluated."""
    cause = func.concat(user_id, literal(" "), cast(request_id, Text))
    return func.set_config(literal(SETTING), cause, literal_column("true"))
