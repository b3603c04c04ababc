"""The application upon the database of the test, and a client that holds it to the contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from pydantic import MISSING

from persistence.authorization import Caller
from persistence.engine.pool import Database, Pool
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER, create_app
from server.dispatch import dispatcher
from server.middleware.edge import Edge
from server.rate_limiting import sliding_window
from server.settings.loading import load
from server.settings.settings import Settings
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory, SignedIn
from tests.streams import FirstPart

BEGINNING_OF_AN_HOUR = 1_800_000_000.0
SECRET = "a-secret-of-the-tests-0123456789abcdef"


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Those of the tests: every answer is checked, no client is limited."""
    return load(
        environment="staging", secret_key=SECRET, rate_limits_enabled=False, response_check_rate=1, log_level="warning"
    )


@pytest.fixture(scope="session")
async def served(settings: Settings, bench: Bench) -> AsyncIterator[ApiClient]:
    """A client of the one application that all tests share. Its statements run in the transaction of the test."""
    async with serving(settings, bench) as client:
        yield client


@pytest.fixture
def api(served: ApiClient, db: Bench) -> ApiClient:
    return served


@asynccontextmanager
async def serving(settings: Settings, db: Database) -> AsyncIterator[ApiClient]:
    """A client of an application with these settings upon this database."""
    async with start_app(settings, db) as app, client_of(app, settings) as client:
        yield client


@asynccontextmanager
async def start_app(settings: Settings, db: Database) -> AsyncIterator[Edge]:
    """An application with these settings upon this database."""

    @asynccontextmanager
    async def lend_database() -> AsyncIterator[Database]:
        yield db

    app = create_app(settings, lend_database)
    async with app.shell.router.lifespan_context(app.shell):
        yield app


@asynccontextmanager
async def client_of(app: Edge, settings: Settings, address: str = "127.0.0.1") -> AsyncIterator[ApiClient]:
    """A client of the application that calls from this address."""
    tokens = Tokens(Keys(settings.signing_key), ISSUER, AUDIENCE, settings.access_lifetime)

    def sign(caller: Caller) -> str:
        assert caller.session_id is not MISSING
        return tokens.issue_access(caller.id, caller.session_id, datetime.now(UTC))

    transport = httpx.ASGITransport(FirstPart(app), client=(address, 123))
    async with httpx.AsyncClient(transport=transport, base_url="http://docket") as http:
        yield ApiClient(http, sign)


@pytest.fixture
async def pair(settings: Settings, fresh: Pool) -> AsyncIterator[tuple[ApiClient, ApiClient]]:
    """Two instances upon one database of their own, which commits."""
    async with serving(settings, fresh) as one, serving(settings, fresh) as other:
        yield one, other


@pytest.fixture
def commit(fresh: Pool) -> Factory:
    """Makes rows that `pair` sees."""
    return Factory(fresh)


def refresh_token(settings: Settings, caller: SignedIn, generation: int = 0) -> str:
    """The refresh token of a session that the factory made."""
    tokens = Tokens(Keys(settings.signing_key), ISSUER, AUDIENCE, settings.access_lifetime)
    return tokens.issue_refresh(caller.id, caller.session_id, generation, NOW, NOW + timedelta(days=7))


@pytest.fixture
def still_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the limits stands still, so that no window ends while a test counts."""
    monkeypatch.setattr(sliding_window, "time", SimpleNamespace(time=lambda: BEGINNING_OF_AN_HOUR + 1))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The moment of every call, `now`, which passes when a test says so."""
    clock = SimpleNamespace(now=datetime.now(UTC))
    monkeypatch.setattr(dispatcher, "datetime", SimpleNamespace(now=lambda _zone: clock.now))
    return clock
