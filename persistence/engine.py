"""asyncpg runs the SQL: a pool of connections, transactions, and what becomes of a connection when something breaks."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Protocol, TypeAlias

import asyncpg
from asyncpg import Connection, InterfaceError, PostgresError, Record
from asyncpg.exceptions import InternalClientError

UNSOUND = ("08", "25006", "57P", "XX")  # SQLSTATE classes after which a connection is not used again
NOT_UP = (ConnectionRefusedError, FileNotFoundError, asyncpg.CannotConnectNowError)
LONGEST_PAUSE = 0.8  # seconds between two tries to connect: a server that is back is found within 1 s
COMMAND_SECONDS = 3.0  # in which a statement is answered: longer than the server's own bounds, which tell more
SESSION = {
    "statement_timeout": "2500",
    "lock_timeout": "1500",  # longer than the 1 s after which PostgreSQL sees a deadlock, or both sides of it fail
    "idle_in_transaction_session_timeout": "5000",
    "plan_cache_mode": "force_generic_plan",  # PostgreSQL would plan a page after a cursor anew at every call
    "jit": "off",
    "timezone": "UTC",
}


Watch: TypeAlias = Callable[[str, float], None]
"""Is told of a statement that was run, and how many seconds it took."""


class Database(Protocol):
    """Where statements run: a pool, where each one commits alone, or a transaction."""

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]: ...

    def transaction(self) -> AbstractAsyncContextManager["Database"]: ...


class PoolExhausted(Exception):  # noqa: N818 - it says what is the case
    """No connection came free in time."""


AWAY = (OSError, PostgresError, InterfaceError, InternalClientError, PoolExhausted)
"""What is raised when there is no database to ask, or it refuses."""


class Transaction:
    """A connection inside a transaction. Its own transactions are savepoints."""

    def __init__(self, connection: Connection, watch: Watch | None = None) -> None:
        self.connection, self.watch = connection, watch

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        return await run(self.connection, sql, values, self.watch)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Transaction", None]:
        async with self.connection.transaction():
            yield self


class Pool:
    """At most `size` connections, the warmest first. A free slot is a connection or None: whoever takes None connects.

    `patience` (seconds) bounds the wait for a free slot, and the wait for a server that is coming up. `lent` is as for
    `connect`.
    """

    def __init__(
        self, url: str, *, size: int = 20, patience: float = 2.0, lent: bool = False, watch: Watch | None = None
    ) -> None:
        self.url, self.size, self.patience, self.lent, self.watch = url, size, patience, lent, watch
        self.free: deque[Connection | None] = deque([None] * size)
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()
        self.closing: set[asyncio.Task[None]] = set()

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        connection = await self.take()
        try:
            records = await run(connection, sql, values, self.watch)
        except BaseException as error:
            self.put_after(error, connection)
            raise
        self.put(connection)
        return records

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        connection = await self.take()
        try:
            async with connection.transaction():
                yield Transaction(connection, self.watch)
        except BaseException as error:
            self.put_after(error, connection, rolled_back=not connection.is_in_transaction())
            raise
        self.put(connection)

    async def take(self) -> Connection:
        slot = self.free.pop() if self.free else await self.wait()
        if slot is not None and not slot.is_closed():
            return slot
        try:
            return await self.connect()
        except BaseException:
            self.put(None)
            raise

    async def wait(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self.waiting.append(waiter)
        limit = loop.call_later(self.patience, give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.put(waiter.result())
            raise
        finally:
            limit.cancel()

    def put(self, slot: Connection | None) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(slot)
                return
        self.free.append(slot)

    def put_after(self, error: BaseException, connection: Connection, *, rolled_back: bool = False) -> None:
        """Keep a connection whose server refused a statement; give up one that was cut, cancelled or timed out."""
        if isinstance(error, PostgresError):
            sound = not error.sqlstate.startswith(UNSOUND)
        else:
            sound = rolled_back and isinstance(error, Exception) and not isinstance(error, OSError | InterfaceError)
        if sound and not connection.is_closed():
            self.put(connection)
            return
        task = asyncio.create_task(connection.close(timeout=self.patience))
        self.closing.add(task)
        task.add_done_callback(self.closed)
        self.put(None)

    def closed(self, task: asyncio.Task[None]) -> None:
        """Forget a connection that was given up; that it could not even say goodbye is nobody's concern."""
        self.closing.discard(task)
        if not task.cancelled():
            task.exception()

    async def connect(self) -> Connection:
        """Wait for a server that is coming up: nothing has been sent yet, so nothing can happen twice.

        Raises TimeoutError, from what the last try met.
        """
        met: Exception | None = None
        try:
            async with asyncio.timeout(self.patience):
                pause = 0.05
                while True:
                    try:
                        return await connect(self.url, lent=self.lent)
                    except NOT_UP as error:
                        met = error
                    await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret
                    pause = min(2 * pause, LONGEST_PAUSE)
        except TimeoutError:
            raise TimeoutError from met

    async def close(self) -> None:
        """Wait until every connection is back, and close it."""
        for _ in range(self.size):
            slot = self.free.pop() if self.free else await self.wait()
            if slot is not None:
                await slot.close(timeout=self.patience)
        await asyncio.gather(*self.closing, return_exceptions=True)


def give_up(waiter: "asyncio.Future[Connection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(PoolExhausted())


async def run(connection: Connection, sql: str, values: Sequence[object], watch: Watch | None) -> list[Record]:
    began = perf_counter()
    try:
        return await connection.fetch(sql, *values)
    finally:
        if watch is not None:
            watch(sql, perf_counter() - began)


async def connect(url: str, *, lent: bool = False) -> Connection:
    """A connection as all statements expect it. A kept plan weighs about 75 KB of the server's memory.

    A pooler has `lent` it until each transaction ends: nothing can be kept in a session, and SESSION is our role's.
    """
    kept, session = (0, None) if lent else (256, SESSION)
    connection = await asyncpg.connect(
        url, command_timeout=COMMAND_SECONDS, statement_cache_size=kept, server_settings=session
    )
    await connection.set_type_codec("json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    await connection.set_type_codec("inet", schema="pg_catalog", encoder=str, decoder=str)
    return connection
