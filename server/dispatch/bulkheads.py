"""Bulkheads: what asks most of the database has a bounded part of it, and each caller a bounded part of that."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from asyncpg import Record

from contract.exchange import Exchange
from generated.operations import ServiceUnavailable, TooManyRequests
from persistence.engine.pool import Database
from server.terms import TERMS

RETRY_AFTER = 1  # seconds
PATIENCE = 30.0  # seconds for which an answer that has begun waits for its next batch
OWN = "You have as many searches, counts and exports under way as one may have at once. Wait for one to end."
ALL = "Others search, count and export just now as much as the server can do. Try again."


class Bulkheads:
    """At most `share` statements of such requests at once in a process, and `each` requests of a caller; None: any."""

    def __init__(self, share: int, each: int | None) -> None:
        self.places, self.each = asyncio.Semaphore(share), each
        self.callers: dict[str, int] = {}

    def enter(self, exchange: Exchange, db: Database) -> "Compartment":
        """Where the statements of a request run, which has a place until its answer is sent.

        Raises TooManyRequests when its caller has no more places, ServiceUnavailable when there are none.
        """
        name = exchange.principal.name if exchange.principal is not None else ""
        taken = self.callers.get(name, 0)
        if self.each is not None and taken >= self.each:
            raise TooManyRequests("rate_limit_exceeded", OWN, retry_after=RETRY_AFTER)
        if self.places.locked():
            raise ServiceUnavailable(detail=ALL, retry_after=RETRY_AFTER)
        self.callers[name] = taken + 1
        exchange.on_end = partial(self.leave, name)
        return Compartment(db, self.places)

    def beside(self, db: Database) -> "Compartment":
        """Where statements run that belong to no request: each waits for its place."""
        compartment = Compartment(db, self.places)
        compartment.has_begun = True
        return compartment

    def leave(self, name: str) -> None:
        """Give up a place of the caller."""
        self.callers[name] -= 1
        if not self.callers[name]:
            del self.callers[name]


class Compartment:
    """The database with a place taken for each statement, or transaction: at once, or not at all.

    Once `has_begun` is set the answer is being sent, which nothing can take back, or there is none: then a statement
    waits for its place.
    """

    def __init__(self, db: Database, places: asyncio.Semaphore) -> None:
        self.db, self.places, self.has_begun = db, places, False

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        async with self.place():
            return await self.db.fetch(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Database, None]:
        async with self.place(), self.db.transaction() as transaction:
            yield transaction

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        """A place. Raises ServiceUnavailable when there is none, and TimeoutError after a wait for one."""
        if not self.has_begun and self.places.locked():
            raise ServiceUnavailable(detail=ALL, retry_after=RETRY_AFTER)
        async with asyncio.timeout(PATIENCE):
            await self.places.acquire()
        try:
            yield
        finally:
            self.places.release()


def is_behind_bulkhead(exchange: Exchange, arguments: Mapping[str, Any]) -> bool:
    """Whether the request is one of those: always, or for the parameter that the contract names."""
    bulkhead = TERMS[exchange.operation.id].bulkhead if exchange.operation is not None else None
    return bulkhead is not None and (bulkhead == "always" or arguments.get(bulkhead) is True)
