"""The pool under cancellation, cut connections, exhaustion and a server that is not up yet; transactions."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from persistence.engine import SESSION, Database, Pool, PoolExhausted
from persistence.tables import Organization
from tests.factories import Factory
from tests.waiting import until

OTHERS = (  # autovacuum is nobody
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
    await until(lambda: onlooker.fetchval(f"SELECT count(*) {OTHERS} AND state = 'active'"), count)


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
        with bound() as port:
            pool = Pool(over_tcp(fresh_url, port), size=1, patience=30)
            early = asyncio.create_task(pid(pool))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(early), 0.1)

            async with relay(fresh_url, port):
                assert await early
                await pool.close()

    async def test_a_server_that_does_not_come_up_is_not_waited_for_forever(self, fresh_url: str) -> None:
        with bound() as port:
            pool = Pool(over_tcp(fresh_url, port), size=1, patience=1)
            with pytest.raises(TimeoutError) as late:
                await pid(pool)

        assert isinstance(late.value.__cause__, ConnectionRefusedError)
        assert list(pool.free) == [None]


async def several(pool: Pool, count: int) -> set[int]:
    """The pids of so many connections at once."""
    connections = [await pool.take() for _ in range(count)]
    for connection in connections:
        pool.put(connection)
    return {connection.get_server_pid() for connection in connections}


@contextmanager
def bound() -> Iterator[socket.socket]:
    """A port of ours, at which nobody listens yet."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        yield port


def over_tcp(url: str, port: socket.socket) -> str:
    host, number = port.getsockname()
    tcp = make_url(url).set(host=host, port=number, query={})
    return tcp.render_as_string(hide_password=False)


@asynccontextmanager
async def relay(url: str, port: socket.socket) -> AsyncIterator[None]:
    """The database can be reached by the port."""
    parts = make_url(url)
    ends: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(65536):
            writer.write(received)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if parts.host:
            there, here = await asyncio.open_connection(parts.host, parts.port or 5432)
        else:
            there, here = await asyncio.open_unix_connection(f"{parts.query['host']}/.s.PGSQL.5432")
        ends.update(asyncio.create_task(pass_on(*pair)) for pair in ((reader, here), (there, writer)))

    async with await asyncio.start_server(connected, sock=port):
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
