"""What faults need: a PostgreSQL that may be harmed, a database of it for each test, and the trial."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.faults.people import People
from tests.faults.trial import Trial, try_fault
from tests.migrations.conftest import checkout
from tests.outages import Served
from tests.ports import free_port
from tests.system.postgres import Postgres, server_of

__all__ = ["checkout"]

NUMBERS = count(1)
SHARE = pytest.StashKey[int]()
LONG = 125_000  # some have a pace, and make less: 100,000 acknowledged writes of all rows together in the long form


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help=f"ten rounds of each harm, {LONG} acknowledged writes in all")
    parser.addoption("--rows", type=Path, help="the file that rows are appended to")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each row its share of the writes, before options choose among the rows."""
    config.stash[SHARE] = LONG // len(items) + 1 if config.option.long and items else 0


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database, and the server that has it."""

    postgres: Postgres
    url: str


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that tests harm one after the other."""
    with server_of("127.0.0.1", free_port(), role="docket", password="a-secret") as server:
        yield server


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    """A database of this test, whose server runs when the test begins."""
    if postgres.postmaster.poll() is not None:
        postgres.start()
    name = f"trial_{next(NUMBERS)}"
    template = await Server(postgres.admin, postgres.url("docket")).migrated()
    postgres.ask(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {postgres.role}")
    yield Database(postgres, postgres.url(name))
    postgres.thaw()


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    options, writes = request.config.option, request.config.stash[SHARE]

    def begin(
        fault: str, servers: Served | Sequence[Served], database: str, *, at: str | None = None, pace: float = 0
    ) -> AbstractAsyncContextManager[People]:
        these = [servers] if isinstance(servers, Served) else servers
        form = {"writes": writes, "is_long": options.long, "rows": options.rows}
        return try_fault(fault, these, database, at=at, pace=pace, **form)

    return begin
