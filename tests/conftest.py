"""Fixtures. The database is real; a test leaves it as it found it.

One PostgreSQL serves all workers and all runs: the embedded one under .data/test, or that of DATABASE_URL, whose role
then needs CREATEDB. It keeps a migrated template for each state of migrations/. A worker clones it once; a test runs on
one connection, in a transaction that is rolled back. `fresh` is for tests that commit.
"""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import hypothesis
import psutil
import pytest
from asyncpg import Connection, Record
from sqlalchemy import make_url
from structlog._config import BoundLoggerLazyProxy as Logger

from handlers.shared import health_check
from persistence.embedded.server import Embedded
from persistence.engine import pool as engine
from persistence.engine.pool import SESSION, Pool, Transaction, connect
from server.database.migrations import upgrade
from server.dispatch import dispatcher
from server.observability import logs
from tests.factories import Factory

pytest_plugins = ["tests.statuses"]
ROOT = Path(__file__).parents[1]
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
BOUNDS = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
hypothesis.settings.register_profile("unhurried", deadline=None)  # an example may take its time on a busy machine
hypothesis.settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell that starts us in the background has us ignore it, and all that we start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log() -> None:
    """Each test begins with the same log: servers of others have configured it for the process.

    They may have been told to write to what is closed by now, and a logger goes on writing where it began to.
    """
    logs.configure(level="warning", form="json", out=sys.stdout)
    for name, module in list(sys.modules.items()):
        if name.startswith(("handlers.", "server.")) and isinstance(log := vars(module).get("log"), Logger):
            vars(log).pop("bind", None)


@pytest.fixture(autouse=True)
def _look_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test did to its database, `/health` sees at once."""
    monkeypatch.setattr(health_check, "SECONDS", 0)


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL for tests. `admin` is the URL of the role that makes databases; `owner` owns them."""

    admin: str
    owner: str

    def url(self, database: str) -> str:
        return make_url(self.owner).set(database=database).render_as_string(hide_password=False)

    @asynccontextmanager
    async def copy(self, template: str) -> AsyncIterator[str]:
        """The URL of a new database like the template, gone afterwards."""
        name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
        admin = await asyncpg.connect(self.admin)
        await self.create(admin, name, template)
        yield self.url(name)
        await self.drop(admin, name)
        await admin.close()

    async def drop(self, admin: Connection, name: str) -> None:
        while True:
            try:
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            except asyncpg.InsufficientPrivilegeError:  # autovacuum is there, which only a superuser may end
                await asyncio.sleep(0.05)
            else:
                return

    async def create(self, admin: Connection, name: str, template: str = "template0") -> None:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {make_url(self.owner).username}")

    async def migrated(self) -> str:
        """The name of a database to copy, migrated; made anew only when migrations/ changed."""
        files = sorted((ROOT / "migrations").rglob("*.py"))
        week = f"{datetime.now(UTC):%G%V}".encode()  # its event log has room for two
        name = "template_" + hashlib.sha256(week + b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
        admin = await asyncpg.connect(self.admin)
        await admin.execute("SELECT pg_advisory_lock(hashtext('docket.template'))")
        await self.sweep(admin)
        if not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            draft = f"test_{os.getpid()}_{uuid4().hex[:12]}"  # a pid comes again, in a container soon
            await self.create(admin, draft)
            await asyncio.to_thread(upgrade, self.url(draft))
            await admin.execute(f"ALTER DATABASE {draft} RENAME TO {name}")
        await admin.close()
        return name

    async def sweep(self, admin: Connection) -> None:
        """Drop what runs left that were killed."""
        for record in await admin.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%\\_%'"):
            if not psutil.pid_exists(int(record["datname"].split("_")[1])):
                with suppress(asyncpg.PostgresError):  # somebody looks at it
                    await admin.execute(f"DROP DATABASE IF EXISTS {record['datname']}")


class Bench:
    """One connection, in a transaction that never commits. A statement that fails undoes only itself, as alone.

    One at a time has the connection: inside a transaction, use what `transaction()` gave.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.turn = asyncio.Lock()

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Record]:
        async with self.transaction() as transaction:
            return await transaction.fetch(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.turn, self.connection.transaction():
            yield Transaction(self.connection)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The PostgreSQL of all workers. The first in starts the embedded one, the last out stops it."""
    if given := os.environ.get("DATABASE_URL"):
        url = make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)
        yield Server(url, url)
        return
    embedded = Embedded(ROOT / ".data" / "test", settings=FAST)
    embedded.open()
    yield Server(embedded.url("postgres", "postgres"), embedded.url())
    embedded.close()


@pytest.fixture(scope="session")
async def template(server: Server) -> str:
    """The name of a migrated database to copy."""
    return await server.migrated()


@pytest.fixture(scope="session")
async def database_url(server: Server, template: str) -> AsyncIterator[str]:
    """The database of this worker, in which nothing is ever committed."""
    async with server.copy(template) as url:
        yield url


@pytest.fixture(scope="session")
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connection = await connect(database_url)
    await connection.execute("SET idle_in_transaction_session_timeout = 0")  # a test is one transaction, and may think
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def bench(connection: Connection) -> Bench:
    """What all tests of this worker, and the application that they share, take turns at."""
    return Bench(connection)


@pytest.fixture
async def db(bench: Bench) -> AsyncIterator[Bench]:
    """The database of this test."""
    outer = bench.connection.transaction()
    async with bench.turn:
        await outer.start()
    yield bench
    async with bench.turn:
        await outer.rollback()


@pytest.fixture
async def fresh_url(server: Server, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test's own."""
    async with server.copy(template) as url:
        yield url


@pytest.fixture
async def fresh(fresh_url: str) -> AsyncIterator[Pool]:
    """A database of its own, for a test that needs real commits or several connections; who waits for one gets it."""
    pool = Pool(fresh_url, size=8, patience=60)
    yield pool
    await pool.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock waits on (60 s), so that a test which holds it may take its time on a busy machine.

    Who was undone by a deadlock is tried again for as long.
    """
    for bound in BOUNDS:
        monkeypatch.setitem(SESSION, bound, "60000")
    monkeypatch.setattr(engine, "COMMAND_SECONDS", 60)
    monkeypatch.setattr(dispatcher, "PATIENCE", timedelta(seconds=60))


@pytest.fixture
def make(db: Bench) -> Factory:
    return Factory(db)
