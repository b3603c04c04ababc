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
OWN_WAITS = "You wait for changes in as many requests as one may have at once. Let one of them end."
ALL_WAITS = "Others wait for changes just now in as many requests as the server has room for. Try again."


class Shares:
    """How many such requests each caller has just now: `each` at most; None: any number."""

    def __init__(self, each: int | None, refusal: str) -> None:
        self.each, self.refusal = each, refusal
        self.callers: dict[str, int] = {}

    def demand(self, exchange: Exchange) -> str:
        """The caller of the request, by name. Raises TooManyRequests when that caller has no more places."""
        name = exchange.principal.name if exchange.principal is not None else ""
        if self.each is not None and self.callers.get(name, 0) >= self.each:
            raise TooManyRequests("rate_limit_exceeded", self.refusal, retry_after=RETRY_AFTER)
        return name

    def take(self, name: str) -> None:
        """Take a place of the caller."""
        self.callers[name] = self.callers.get(name, 0) + 1

    def leave(self, name: str) -> None:
        """Give up a place of the caller."""
        self.callers[name] -= 1
        if not self.callers[name]:
            del self.callers[name]


class Waits:
    """At most `most` requests that wait for changes at once in a process, and `each` of a caller; None: any number.

    They hold a connection of a client for long, and none to the database.
    """

    def __init__(self, most: int, each: int | None) -> None:
        self.most, self.shares, self.under_way = most, Shares(each, OWN_WAITS), 0

    def enter(self, exchange: Exchange) -> None:
        """Take a place until the request is answered. Raises TooManyRequests, ServiceUnavailable when there is none."""
        name = self.shares.demand(exchange)
        if self.under_way >= self.most:
            raise ServiceUnavailable(detail=ALL_WAITS, retry_after=RETRY_AFTER)
        self.shares.take(name)
        self.under_way += 1
        exchange.on_end = partial(self.leave, name)

    def leave(self, name: str) -> None:
        """Give up a place."""
        self.shares.leave(name)
        self.under_way -= 1


class Bulkheads:
    """At most `share` statements of such requests at once in a process, and `each` requests of a caller; None: any."""

    def __init__(self, share: int, each: int | None) -> None:
        self.places, self.shares = asyncio.Semaphore(share), Shares(each, OWN)

    def enter(self, exchange: Exchange, db: Database) -> "Compartment":
        """Where the statements of a request run, which has a place until its answer is sent.

        Raises TooManyRequests when its caller has no more places, ServiceUnavailable when there are none.
        """
        name = self.shares.demand(exchange)
        if self.places.locked():
            raise ServiceUnavailable(detail=ALL, retry_after=RETRY_AFTER)
        self.shares.take(name)
        exchange.on_end = partial(self.shares.leave, name)
        return Compartment(db, self.places)

    def beside(self, db: Database) -> "Compartment":
        """Where statements run that belong to no request: each waits for its place."""
        compartment = Compartment(db, self.places)
        compartment.has_begun = True
        return compartment


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


def is_waiting(exchange: Exchange, arguments: Mapping[str, Any]) -> bool:
    """Whether the request may be answered late, for it waits for changes: always, or with the parameter for that."""
    waits = TERMS[exchange.operation.id].waits if exchange.operation is not None else None
    return waits is not None and (waits == "always" or arguments.get(waits, 0) > 0)
