"""asyncpg runs the SQL: a pool of connections, transactions, and what becomes of a connection when something breaks."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from time import monotonic, perf_counter
from typing import NamedTuple, Protocol, TypeAlias

import asyncpg
from asyncpg import Connection, InterfaceError, PostgresError, Record
from asyncpg.exceptions import InternalClientError

from persistence.engine.encoding import require_utf8
from persistence.engine.hosts import connect_to_first

UNSOUND = ("08", "25006", "26000", "42P05", "57P", "XX")  # SQLSTATEs after which a connection is not used again
NOT_UP = (ConnectionRefusedError, FileNotFoundError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
LONGEST_PAUSE = 0.8  # seconds between two tries to connect: a server that is back is found within 1 s
LOST_SECONDS = 10.0  # for which slots are missing before the process is given up
COMMAND_SECONDS = 3.0  # in which a statement is answered: longer than the server's own bounds, which tell more
LAST_BEGIN = 7.0  # seconds in which a transaction begins its last statement
LAST_END = 9.5  # seconds in which it is committed, or not at all: what it wrote is seen within 10
SESSION = {
    "statement_timeout": "2500",
    "lock_timeout": "1500",  # longer than the 1 s after which PostgreSQL sees a deadlock, or both sides of it fail
    "idle_in_transaction_session_timeout": "5000",
    "plan_cache_mode": "force_generic_plan",  # PostgreSQL would plan a page after a cursor anew at every call
    "jit": "off",
    "timezone": "UTC",
}


Waiter: TypeAlias = "asyncio.Future[Connection | None]"
Line: TypeAlias = dict[Waiter, None]
"""Who comes first is served first, and one may leave from the middle."""
Watch: TypeAlias = Callable[[str, float], None]
"""Is told of a statement that was run, and how many seconds it took."""


class Database(Protocol):
    """Where statements run: a pool, where each one commits alone, or a transaction."""

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]: ...

    def transaction(self) -> AbstractAsyncContextManager["Database"]: ...


class PoolExhausted(Exception):  # noqa: N818 - it says what is the case
    """No connection came free in time."""


class TransactionTooLong(PoolExhausted):
    """The transaction has lasted so long that who polls for changes could miss what it wrote."""


AWAY = (OSError, PostgresError, InterfaceError, InternalClientError, PoolExhausted)
"""What is raised when there is no database to ask, or it refuses."""


class Transaction:
    """A connection inside a transaction. Its own transactions are savepoints."""

    def __init__(self, connection: Connection, watch: Watch | None = None, ends: float = inf) -> None:
        self.connection, self.watch, self.ends = connection, watch, ends

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        self.require_time()
        return await run(self.connection, sql, values, self.watch)

    def require_time(self, more: float = 0.0) -> None:
        """Raises TransactionTooLong after its time and so many seconds more."""
        if monotonic() > self.ends + more:
            raise TransactionTooLong

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Transaction", None]:
        async with self.connection.transaction():
            yield self


class Lent(Connection):
    """A connection over a pooler. What it gives up it hangs up on, without asking to cancel the statement.

    A request to cancel is a connection of its own, which may wait in the pooler until another statement runs where ours
    did. pgbouncer 1.18 ends when we leave meanwhile. PostgreSQL ends the statement by the timeout of the role.
    """

    def _cancel_current_command(self, *_waiters: asyncio.Future[None]) -> None:
        asyncio.get_running_loop().call_soon(self.terminate)


class Slots(NamedTuple):
    """Where the slots of a pool are. `missing` is above 0 only where one was lost, which is a mistake of ours."""

    idle: int
    in_use: int
    connecting: int
    missing: int


class Pool:
    """At most `size` connections, the warmest first. A free slot is a connection or None: who takes None connects.

    `patience` (seconds) bounds the wait for a free slot, and the wait for a server that is coming up. `lent` is as for
    `connect`. A slot comes back whatever becomes of its connection: each of the ways out leads through `release`.
    """

    def __init__(
        self, url: str, *, size: int = 20, patience: float = 2.0, lent: bool = False, watch: Watch | None = None
    ) -> None:
        self.url, self.size, self.patience, self.lent, self.watch = url, size, patience, lent, watch
        self.free: deque[Connection | None] = deque([None] * size)
        self.waiting: Line = {}
        self.sharing: Line = {}
        """Those who hold a slot that the server has no connection for: any other connection does as well."""
        self.in_use = self.connecting = self.handed = 0
        self.missing_since: float | None = None
        self.closing: set[asyncio.Task[None]] = set()

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        try:
            connection = await self.take()
        except Exception as error:
            error.add_note(sql)
            raise
        sound = False
        self.in_use += 1
        try:
            records = await run(connection, sql, values, self.watch)
            sound = True
        except PostgresError as error:
            sound = is_sound(connection, error)
            raise
        finally:
            self.in_use -= 1
            self.release(connection, sound=sound)
        return records

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction, None]:
        connection = await self.take()
        sound = begun = False
        self.in_use += 1
        try:
            async with connection.transaction():
                begun = True
                lent = Transaction(connection, self.watch, monotonic() + LAST_BEGIN)
                yield lent
                lent.require_time(LAST_END - LAST_BEGIN)  # the process may have stood still since the last statement
            sound = True
        except Exception as error:
            sound = begun and is_sound(connection, error)
            raise
        finally:
            self.in_use -= 1
            self.release(connection, sound=sound)

    async def take(self) -> Connection:
        slot = self.free.pop() if self.free else await self.wait(self.waiting, self.patience)
        if slot is not None and not slot.is_closed():
            return slot
        self.connecting += 1
        connection = None
        try:
            connection = await self.connect()
        finally:
            self.connecting -= 1
            if connection is None:
                self.put(None)
        return connection

    async def wait(self, line: Line, seconds: float) -> Connection | None:
        """The next slot that comes free. Raises PoolExhausted after so many seconds."""
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        line[waiter] = None
        limit = loop.call_later(seconds, give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if was_handed(waiter):
                self.put(waiter.result())
            raise
        finally:
            limit.cancel()
            line.pop(waiter, None)
            self.handed -= was_handed(waiter)

    def put(self, slot: Connection | None) -> None:
        for line in (self.waiting,) if slot is None else (self.sharing, self.waiting):
            while line:
                waiter = next(iter(line))
                del line[waiter]
                if not waiter.done():
                    self.handed += 1
                    waiter.set_result(slot)
                    return
        (self.free.appendleft if slot is None else self.free.append)(slot)

    def release(self, connection: Connection, *, sound: bool) -> None:
        """Take back a connection that was lent, or its slot alone where it is not to be used again."""
        slot = None
        try:
            if sound and not connection.is_closed():
                slot = connection
            else:
                self.discard(connection)
        finally:
            self.put(slot)

    def discard(self, connection: Connection) -> None:
        """Close a connection beside all else: a server that listens ends the statement that runs in it."""
        task = asyncio.create_task(close(connection, self.patience))
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def connect(self) -> Connection:
        """Wait for a server that is coming up: nothing has been sent yet, so nothing can happen twice.

        Where it has no place for one more, a connection of ours that comes free meanwhile does as well. Raises
        TimeoutError, from what the last try met.
        """
        met: Exception | None = None
        try:
            async with asyncio.timeout(self.patience):
                pause = 0.05
                while True:
                    try:
                        return await connect(self.url, lent=self.lent, seconds=self.patience)
                    except NOT_UP as error:
                        met = error
                    jittered = random.uniform(pause / 2, pause)  # noqa: S311 - jitter, no secret
                    if isinstance(met, asyncpg.TooManyConnectionsError) and (spare := await self.share(jittered)):
                        return spare
                    if not isinstance(met, asyncpg.TooManyConnectionsError):
                        await asyncio.sleep(jittered)
                    pause = min(2 * pause, LONGEST_PAUSE)
        except TimeoutError:
            raise TimeoutError from met

    async def share(self, seconds: float) -> Connection | None:
        """A connection that is free or comes free within so many seconds; the slot that it was to fill stays empty."""
        spare = next((slot for slot in self.free if slot is not None and not slot.is_closed()), None)
        if spare is not None:
            self.free.remove(spare)
        else:
            try:
                spare = await self.wait(self.sharing, seconds)
            except PoolExhausted:
                return None
        self.put(None)
        return spare

    def slots(self) -> Slots:
        idle = len(self.free)
        missing = self.size - idle - self.in_use - self.connecting - self.handed
        return Slots(idle, self.in_use, self.connecting, missing)

    def has_lost_slots(self) -> bool:
        """Whether slots have been missing at each call for ten seconds. A database that is away is no reason."""
        if self.slots().missing <= 0:
            self.missing_since = None
            return False
        self.missing_since = self.missing_since or monotonic()
        return monotonic() - self.missing_since >= LOST_SECONDS

    async def close(self) -> None:
        """Wait until every connection is back, and close it. Raises PoolExhausted when some do not come."""
        late = 0
        for _ in range(self.size):
            try:
                slot = self.free.pop() if self.free else await self.wait(self.waiting, self.patience)
            except PoolExhausted:
                late += 1
                continue
            if slot is not None:
                await close(slot, self.patience)
        await asyncio.gather(*self.closing, return_exceptions=True)
        if late:
            raise PoolExhausted(f"{late} of {self.size} connections to PostgreSQL did not come back")


def allow_long(db: Database) -> None:
    """Let the transaction last as long as it takes: it deletes, which no poll for changes tells of."""
    if isinstance(db, Transaction):
        db.ends = inf


def give_up(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(PoolExhausted())


def was_handed(waiter: Waiter) -> bool:
    """Whether a slot is in it."""
    return waiter.done() and not waiter.cancelled() and waiter.exception() is None


def is_sound(connection: Connection, error: Exception) -> bool:
    """Whether a connection may be used again after an error: what the server refused leaves it as it was."""
    if connection.is_closed() or connection.is_in_transaction():
        return False
    if isinstance(error, PostgresError):
        return not (error.sqlstate or "XX").startswith(UNSOUND)
    return not isinstance(error, OSError | InterfaceError | InternalClientError)


async def close(connection: Connection, seconds: float) -> None:
    """Close a connection, by force where the server does not hear of it within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await connection.close()
    except (OSError, PostgresError, InterfaceError, InternalClientError):
        pass  # that it could not even say goodbye matters to none
    finally:
        connection.terminate()


async def run(connection: Connection, sql: str, values: Sequence[object], watch: Watch | None) -> list[Record]:
    began = perf_counter()
    try:
        return await connection.fetch(sql, *values)
    except Exception as error:
        error.add_note(sql)
        raise
    finally:
        if watch is not None:
            watch(sql, perf_counter() - began)


async def connect(url: str, *, lent: bool = False, seconds: float = 60) -> Connection:
    """A connection as all statements expect it. A kept plan weighs about 75 KB of the server's memory.

    A pooler has `lent` it until each transaction ends: nothing can be kept in a session, and SESSION is our role's.
    """
    kept, session, kind = (0, None, Lent) if lent else (256, SESSION, Connection)
    connection = await connect_to_first(
        url,
        seconds,
        command_timeout=COMMAND_SECONDS,
        statement_cache_size=kept,
        server_settings=session,
        connection_class=kind,
    )
    try:
        require_utf8(connection)
        await connection.set_type_codec("json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
        await connection.set_type_codec("inet", schema="pg_catalog", encoder=str, decoder=str)
    except BaseException:
        connection.terminate()
        raise
    return connection
