"""A transaction of who asks as a superuser: it notices where that counts, and whether an audit log says so."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from asyncpg import Record

from persistence.engine.pool import Database


class Implied:
    """Runs the statements of `db`. `places`: the organizations in which a superuser's implied ownership was used.

    `is_told`: whether an audit log of the request says so already; one that is rolled back says nothing.
    """

    def __init__(self, db: Database, places: set[UUID]) -> None:
        self.db, self.places = db, places
        self.is_told = False

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        records = await self.db.fetch(sql, values)
        place = records[0].get("place") if records else None
        if place is not None:
            self.places.add(place)
        return records

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Implied", None]:
        async with self.db.transaction() as db:
            inner = Implied(db, self.places)
            yield inner
        self.is_told = self.is_told or inner.is_told
