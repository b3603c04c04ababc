"""The pool under cancellation, cut connections, exhaustion and a server that is not up yet; transactions."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from persistence.engine import pool as engine
from persistence.engine.pool import (
    LAST_BEGIN,
    LAST_END,
    SESSION,
    Database,
    Pool,
    PoolExhausted,
    TransactionTooLong,
    allow_long,
)
from persistence.tables import Organization
from tests.factories import Factory
from tests.waiting import until

OTHERS = (  # autovacuum is no client
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
)
SLEEP = "SELECT pg_sleep(60)"


async def pid(pool: Pool) -> int:
    [record] = await pool.fetch("SELECT pg_backend_pid()", [])
    return int(record[0])


@pytest.fixture
async def onlooker(fresh_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the pool, to see what the server does."""
    connection = await asyncpg.connect(fresh_url)
    yield connection
    await connection.close()


async def until_active(onlooker: asyncpg.Connection, count: int) -> None:
    await until(lambda: onlooker.fetchval(f"SELECT count(*) {OTHERS} AND wait_event = 'PgSleep'"), count)


class TestDuration:
    def test_what_a_transaction_writes_is_seen_within_ten_seconds(self) -> None:
        assert LAST_BEGIN + int(SESSION["statement_timeout"]) / 1000 <= LAST_END < 10

    async def test_a_transaction_that_has_lasted_too_long_writes_nothing(
        self, fresh: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "LAST_BEGIN", -1.0)

        with pytest.raises(TransactionTooLong):
            async with fresh.transaction() as db:
                await db.fetch("SELECT 1", [])

        assert fresh.slots().missing == 0

    async def test_a_transaction_that_stood_still_before_its_end_writes_nothing(
        self, fresh: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "LAST_END", -1.0)
        await fresh.fetch("CREATE TABLE stamps (at timestamptz)", [])

        with pytest.raises(TransactionTooLong):
            async with fresh.transaction() as db:
                await db.fetch("INSERT INTO stamps VALUES (clock_timestamp())", [])

        assert await fresh.fetch("SELECT FROM stamps", []) == []
        assert fresh.slots().missing == 0

    async def test_one_that_deletes_may_last(self, fresh: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "LAST_BEGIN", -20.0)

        async with fresh.transaction() as db:
            allow_long(db)
            assert [record[0] for record in await db.fetch("SELECT 1", [])] == [1]


class TestSlots:
    async def test_the_warmest_connection_comes_first(self, fresh: Pool) -> None:
        one, two = await fresh.take(), await fresh.take()
        fresh.put(one)
        fresh.put(two)

        assert await fresh.take() is two
        assert await fresh.take() is one
        fresh.put(one)
        fresh.put(two)

    async def test_a_pool_connects_only_when_nothing_is_free(self, fresh: Pool) -> None:
        assert len({await pid(fresh) for _ in range(5)}) == 1
        assert [slot is None for slot in fresh.free] == [True] * 7 + [False]

    async def test_a_full_pool_says_so_and_recovers(self, fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        pool = Pool(fresh_url, size=1)
        taken = await pool.take()

        with monkeypatch.context() as hurried:
            hurried.setattr(pool, "patience", 0.05)
            with pytest.raises(PoolExhausted):
                await pid(pool)

        pool.put(taken)
        assert await pid(pool) == taken.get_server_pid()
        await pool.close()

    async def test_who_waits_first_is_served_first(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=1, patience=30)
        taken = await pool.take()
        served: list[int] = []

        async def wait(number: int) -> None:
            connection = await pool.take()
            served.append(number)
            pool.put(connection)

        waiters = [asyncio.create_task(wait(number)) for number in range(4)]
        await until(lambda: waiting(pool), 4)
        pool.put(taken)
        await asyncio.gather(*waiters)

        assert served == [0, 1, 2, 3]
        await pool.close()

    async def test_a_waiter_that_is_cancelled_as_it_is_served_gives_its_slot_back(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=1, patience=30)
        taken = await pool.take()
        waiter = asyncio.create_task(pool.take())
        await until(lambda: waiting(pool), 1)

        pool.put(taken)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

        assert list(pool.free) == [taken]
        await pool.close()

    async def test_waiters_that_give_up_are_passed_over(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=1, patience=30)
        taken = await pool.take()
        waiters = [asyncio.create_task(pool.take()) for _ in range(3)]
        await until(lambda: waiting(pool), 3)
        for waiter in waiters[:2]:
            waiter.cancel()
        await asyncio.gather(*waiters[:2], return_exceptions=True)

        pool.put(taken)

        assert await waiters[2] is taken
        pool.put(taken)
        await pool.close()

    async def test_a_pool_closes_when_every_connection_is_back(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=2, patience=30)
        taken = await pool.take()
        closing = asyncio.create_task(pool.close())
        await until(lambda: waiting(pool), 1)
        assert not closing.done()

        pool.put(taken)
        await closing

        assert taken.is_closed()

    async def test_a_pool_whose_connections_do_not_come_back_closes_the_others_and_says_so(
        self, fresh_url: str
    ) -> None:
        pool = Pool(fresh_url, size=3, patience=0.1)
        kept, free = await pool.take(), await pool.take()
        pool.put(free)

        with pytest.raises(PoolExhausted, match=r"^1 of 3 connections to PostgreSQL did not come back$"):
            await pool.close()

        assert free.is_closed()
        await kept.close()

    async def test_who_waits_in_vain_leaves_the_line(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=1, patience=0.05)
        taken = await pool.take()

        refused = await asyncio.gather(*(pool.fetch("SELECT 1", []) for _ in range(100)), return_exceptions=True)

        assert [type(one) for one in refused] == [PoolExhausted] * 100
        assert not pool.waiting
        pool.put(taken)
        await pool.close()

    async def test_slots_that_do_not_come_back_are_missed(self, fresh: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "LOST_SECONDS", 0)
        async with fresh.transaction():
            assert fresh.slots() == (7, 1, 0, 0)
            assert not fresh.has_lost_slots()

        lost = await fresh.take()  # as a mistake of ours would take it, told to none

        assert fresh.slots() == (7, 0, 0, 1)
        assert fresh.has_lost_slots()
        fresh.put(lost)
        assert not fresh.has_lost_slots()

    async def test_slots_are_missed_for_ten_seconds_first(self, fresh: Pool) -> None:
        lost = await fresh.take()

        assert not fresh.has_lost_slots()
        assert engine.LOST_SECONDS == 10
        fresh.put(lost)

    async def test_a_cancellation_at_any_moment_keeps_every_slot(self, fresh_url: str) -> None:
        pool = Pool(fresh_url, size=2, patience=30)

        async def work() -> None:
            async with pool.transaction() as one:
                await one.fetch("SELECT 1", [])
                async with one.transaction() as two:
                    await two.fetch("SELECT 2", [])
            await pool.fetch("SELECT pg_sleep(0.001)", [])

        for number in range(150):
            workers = [asyncio.create_task(work()) for _ in range(5)]
            await asyncio.sleep(number / 10_000)
            for worker in workers[number % 2 :]:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            assert pool.slots() == (2, 0, 0, 0)
            assert not pool.waiting
        await pool.close()
        assert not pool.closing


async def waiting(pool: Pool) -> int:
    return len(pool.waiting)


async def known_closed(pool: Pool) -> int:
    return sum(slot is not None and slot.is_closed() for slot in pool.free)


@pytest.mark.usefixtures("patient")
class TestTrouble:
    async def test_connections_cut_while_idle_are_replaced_unseen(
        self, fresh: Pool, onlooker: asyncpg.Connection
    ) -> None:
        cut = await several(fresh, 8)
        await onlooker.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        await until(lambda: known_closed(fresh), 8)  # a session ends before its connection does

        assert not cut & await several(fresh, 8)

    async def test_a_connection_lost_in_the_middle_of_a_statement_is_replaced(
        self, fresh: Pool, onlooker: asyncpg.Connection
    ) -> None:
        sleeper = asyncio.create_task(fresh.fetch(SLEEP, []))
        await until_active(onlooker, 1)
        await onlooker.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS}")

        with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
            await sleeper

        assert await pid(fresh)
        assert len(fresh.free) == fresh.size

    async def test_a_cancelled_statement_stops_in_the_server_and_the_pool_keeps_its_size(
        self, fresh: Pool, onlooker: asyncpg.Connection
    ) -> None:
        sleeper = asyncio.create_task(fresh.fetch(SLEEP, []))
        await until_active(onlooker, 1)

        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper

        await until_active(onlooker, 0)
        assert list(fresh.free) == [None] * fresh.size
        assert await pid(fresh)

    async def test_over_a_pooler_a_statement_is_left_to_itself(
        self, fresh_url: str, onlooker: asyncpg.Connection
    ) -> None:
        pool = Pool(fresh_url, size=1, lent=True)
        sleeper = asyncio.create_task(pool.fetch(SLEEP, []))
        await until_active(onlooker, 1)

        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        await asyncio.gather(*pool.closing)  # had the server been asked to cancel it, this waited for that

        [ended] = await onlooker.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS} AND wait_event = 'PgSleep'")
        assert ended[0]
        assert await pid(pool)
        await pool.close()

    async def test_a_refused_statement_keeps_its_connection(self, fresh: Pool) -> None:
        before = await pid(fresh)

        with pytest.raises(asyncpg.DivisionByZeroError):
            await fresh.fetch("SELECT 1 / 0", [])

        assert await pid(fresh) == before

    async def test_a_statement_that_takes_too_long_ends_and_keeps_its_connection(self, fresh: Pool) -> None:
        before = await pid(fresh)
        await fresh.fetch("SELECT set_config('statement_timeout', '20ms', false)", [])

        with pytest.raises(asyncpg.QueryCanceledError):
            await fresh.fetch(SLEEP, [])

        assert await several(fresh, 1) == {before}

    async def test_a_server_that_is_read_only_gets_a_new_connection(self, fresh: Pool) -> None:
        before = await pid(fresh)
        await fresh.fetch("SELECT set_config('default_transaction_read_only', 'on', false)", [])

        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await fresh.fetch("DELETE FROM tasks", [])

        assert await pid(fresh) != before
        assert len(fresh.free) == fresh.size

    async def test_a_pool_waits_for_a_server_that_is_coming_up(self, fresh_url: str) -> None:
        with bind_port() as port:
            pool = Pool(over_tcp(fresh_url, port), size=1, patience=30)
            early = asyncio.create_task(pid(pool))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(early), 0.1)

            async with relay(fresh_url, port):
                assert await early
                await pool.close()

    async def test_a_server_that_does_not_come_up_is_not_waited_for_forever(self, fresh_url: str) -> None:
        with bind_port() as port:
            pool = Pool(over_tcp(fresh_url, port), size=1, patience=1)
            with pytest.raises(TimeoutError) as late:
                await pid(pool)

        assert isinstance(late.value.__cause__, ConnectionRefusedError)
        assert list(pool.free) == [None]


class TestFrozen:
    """A server that neither answers nor ends connections, ten times in a row."""

    @pytest.fixture
    async def hurried(self, fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
        """A pool that gives up soon."""
        monkeypatch.setattr(engine, "COMMAND_SECONDS", 0.1)
        pool = Pool(fresh_url, size=2, patience=0.1)
        yield pool
        pool.patience = 30
        monkeypatch.undo()
        for _ in range(2 * pool.size):  # what was made meanwhile has no time either
            connection = await pool.take()
            connection.terminate()
            pool.put(connection)
        assert await several(pool, pool.size)
        await pool.close()

    @pytest.mark.parametrize("within", ["a statement", "a transaction", "a savepoint"])
    async def test_a_session_that_stands_still(self, hurried: Pool, onlooker: asyncpg.Connection, within: str) -> None:
        for _ in range(10):
            frozen: list[int] = []

            async def freeze(db: Database, frozen: list[int] = frozen) -> None:
                [record] = await db.fetch("SELECT pg_backend_pid()", [])
                frozen.append(int(record[0]))
                os.kill(frozen[0], signal.SIGSTOP)
                await db.fetch("SELECT 1", [])

            try:
                with pytest.raises((TimeoutError, asyncpg.InterfaceError)):
                    await (freeze(hurried) if within == "a statement" else self.nest(hurried, within, freeze))
            finally:
                os.kill(frozen[0], signal.SIGCONT)
            assert hurried.slots() == (2, 0, 0, 0)
        await until(lambda: onlooker.fetchval(f"SELECT count(*) {OTHERS}"), 0)

    async def nest(self, pool: Pool, within: str, work: Callable[[Database], Awaitable[None]]) -> None:
        async with pool.transaction() as one:
            if within == "a transaction":
                await work(one)
            else:
                async with one.transaction() as two:
                    await work(two)

    async def test_a_network_that_carries_nothing(self, fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with bind_port() as port:
            carrying = asyncio.Event()
            carrying.set()
            pool = Pool(over_tcp(fresh_url, port), size=3, patience=30)
            async with relay(fresh_url, port, carrying):
                for _ in range(10):
                    assert len(await several(pool, 3)) == 3
                    carrying.clear()
                    with monkeypatch.context() as hurried:
                        hurried.setattr(pool, "patience", 0.1)
                        met = await asyncio.gather(*(self.ask(pool) for _ in range(9)), return_exceptions=True)
                    carrying.set()
                    assert all(isinstance(one, TimeoutError | PoolExhausted | asyncpg.InterfaceError) for one in met)
                    assert pool.slots() == (3, 0, 0, 0)
                await pool.close()

    async def ask(self, pool: Pool) -> None:
        async with asyncio.timeout(0.3), pool.transaction() as transaction:
            await transaction.fetch("SELECT 1", [])


class TestCrowded:
    async def test_a_server_without_more_connections_serves_all_by_those_it_has(
        self, fresh_url: str, onlooker: asyncpg.Connection
    ) -> None:
        name = await onlooker.fetchval("SELECT current_database()")
        await onlooker.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 3')  # with that of the onlooker
        pool = Pool(fresh_url, size=8, patience=30)

        found = await asyncio.gather(*(pool.fetch("SELECT pg_backend_pid(), pg_sleep(0.01)", []) for _ in range(100)))

        assert len({records[0][0] for records in found}) == 2
        assert pool.slots() == (8, 0, 0, 0)
        assert sum(slot is not None for slot in pool.free) == 2
        await pool.close()

    async def test_a_server_without_any_says_so_in_the_end(self, fresh_url: str, onlooker: asyncpg.Connection) -> None:
        name = await onlooker.fetchval("SELECT current_database()")
        await onlooker.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1')
        pool = Pool(fresh_url, size=2, patience=0.3)

        with pytest.raises(TimeoutError) as refused:
            await pid(pool)

        assert isinstance(refused.value.__cause__, asyncpg.TooManyConnectionsError)
        assert pool.slots() == (2, 0, 0, 0)
        await pool.close()


async def several(pool: Pool, count: int) -> set[int]:
    """The pids of so many connections at once."""
    connections = [await pool.take() for _ in range(count)]
    for connection in connections:
        pool.put(connection)
    return {connection.get_server_pid() for connection in connections}


@contextmanager
def bind_port() -> Iterator[socket.socket]:
    """A port of ours, at which no server listens yet."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        yield port


def over_tcp(url: str, port: socket.socket) -> str:
    host, number = port.getsockname()
    tcp = make_url(url).set(host=host, port=number, query={})
    return tcp.render_as_string(hide_password=False)


@asynccontextmanager
async def relay(url: str, port: socket.socket, carrying: asyncio.Event | None = None) -> AsyncIterator[None]:
    """The database can be reached by the port, while it is `carrying`."""
    parts = make_url(url)
    ends: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while received := await reader.read(65536):
                if carrying is not None:
                    await carrying.wait()
                writer.write(received)
        finally:
            writer.close()
            await writer.wait_closed()

    async def relay_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if parts.host:
            there, here = await asyncio.open_connection(parts.host, parts.port or 5432)
        else:
            there, here = await asyncio.open_unix_connection(f"{parts.query['host']}/.s.PGSQL.5432")
        ends.update(asyncio.create_task(pass_on(*pair)) for pair in ((reader, here), (there, writer)))

    async with await asyncio.start_server(relay_connection, sock=port):
        yield
        await asyncio.gather(*ends, return_exceptions=True)


class TestTransactions:
    async def test_a_transaction_commits_whole(self, fresh: Pool) -> None:
        async with fresh.transaction() as transaction:
            await team(transaction, "one")
            await team(transaction, "two")
            assert await slugs(fresh) == set()

        assert await slugs(fresh) == {"one", "two"}

    async def test_a_transaction_that_fails_leaves_nothing(self, fresh: Pool) -> None:
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await teams(fresh, "same", "same")

        assert refused.value.constraint_name == "uq_organizations_slug"
        assert await slugs(fresh) == set()

    async def test_a_savepoint_that_fails_undoes_only_itself(self, fresh: Pool) -> None:
        async with fresh.transaction() as transaction:
            await team(transaction, "one")
            with pytest.raises(asyncpg.UniqueViolationError):
                await teams(transaction, "two", "one")
            await team(transaction, "three")

        assert await slugs(fresh) == {"one", "three"}

    async def test_an_exception_of_the_caller_rolls_back_and_keeps_the_connection(self, fresh: Pool) -> None:
        before = await pid(fresh)

        with pytest.raises(KeyError):
            await teams(fresh, "one", error=KeyError)

        assert await slugs(fresh) == set()
        assert await pid(fresh) == before

    @pytest.mark.parametrize("error", [ConnectionResetError, asyncio.CancelledError])
    async def test_a_connection_that_may_be_broken_is_given_up(self, fresh: Pool, error: type[BaseException]) -> None:
        before = await pid(fresh)

        with pytest.raises(error):
            await teams(fresh, "one", error=error)

        assert await slugs(fresh) == set()
        assert await pid(fresh) != before

    async def test_a_connection_lost_in_a_transaction_leaves_nothing(
        self, fresh: Pool, onlooker: asyncpg.Connection
    ) -> None:
        async def lose() -> None:
            async with fresh.transaction() as transaction:
                await team(transaction, "one")
                await onlooker.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS}")
                await team(transaction, "two")

        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await lose()

        assert await slugs(fresh) == set()
        assert len(fresh.free) == fresh.size


async def team(db: Database, slug: str) -> None:
    await Factory(db).row(Organization, {"id": uuid4(), "kind": "team", "name": "Team", "slug": slug})


async def teams(db: Database, *slugs: str, error: type[BaseException] | None = None) -> None:
    """Insert teams in one transaction, then fail as told."""
    async with db.transaction() as transaction:
        for slug in slugs:
            await team(transaction, slug)
        if error:
            raise error


async def slugs(pool: Pool) -> set[str]:
    return {record["slug"] for record in await pool.fetch("SELECT slug FROM organizations", [])}


class TestConnections:
    async def test_every_connection_has_the_limits(self, fresh: Pool) -> None:
        records = await fresh.fetch(
            "SELECT name, setting FROM pg_settings WHERE lower(name) = ANY($1)", [list(SESSION)]
        )

        assert {record["name"].lower(): record["setting"] for record in records} == SESSION | {"timezone": "UTC"}

    async def test_json_passes_as_bytes_and_addresses_as_text(self, fresh: Pool) -> None:
        [record] = await fresh.fetch("SELECT $1::json, $2::inet", [b'{"a": [1, null]}', "2001:db8::1"])

        assert tuple(record) == (b'{"a": [1, null]}', "2001:db8::1")

    async def test_a_plan_gone_stale_is_made_again(self, fresh: Pool, onlooker: asyncpg.Connection) -> None:
        await onlooker.execute("CREATE TABLE notes AS SELECT 1 AS one")
        assert len((await fresh.fetch("SELECT * FROM notes", []))[0]) == 1

        await onlooker.execute("ALTER TABLE notes ADD COLUMN two int")

        assert len((await fresh.fetch("SELECT * FROM notes", []))[0]) == 2
