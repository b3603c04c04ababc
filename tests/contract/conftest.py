"""The contract's operations bound to handlers that a test has changed, and what is logged meanwhile."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from io import StringIO
from types import ModuleType
from typing import Any, Literal, TypeAlias

import pytest
import structlog
from fastapi import FastAPI

from contract.binding import Binding
from contract.exchange import Exchange, Message, Scope
from contract.vocabulary import Operation
from generated.operations import OPERATIONS
from handlers import audit, auth, meta, tasks, users
from persistence.engine import Pool
from server import edge, observability
from server.app import process_of
from server.calls import Calls
from server.settings import load
from tests.api.conftest import SECRET, client_of
from tests.client import DOCUMENT, ApiClient

BY_ID: dict[str, Operation] = {operation.id: operation for operation in OPERATIONS}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
Logged: TypeAlias = Callable[[], list[dict[str, Any]]]


def request(
    method: str = "GET", query: str = "", headers: dict[str, str] | None = None, chunks: Sequence[bytes] = (b"",)
) -> Exchange:
    """A request that arrives in these chunks, after which its sender is gone."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False
    arriving = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(arriving)

    named = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope: Scope = {"method": method, "path": "/", "query_string": query.encode("latin-1"), "headers": named}
    return Exchange(scope, receive, "the-request", None)


class Modules:
    """Handlers by tag, as `generated.operations.Handlers` has them, but of any kind."""

    def __init__(self, *changed: ModuleType) -> None:
        known = (meta, auth, users, tasks, audit)
        modules = {module.__name__.rpartition(".")[2]: module for module in (*known, *changed)}
        self.meta, self.auth, self.users = modules["meta"], modules["auth"], modules["users"]
        self.tasks, self.audit = modules["tasks"], modules["audit"]


def changed(module: ModuleType, **members: object) -> ModuleType:
    """A copy of a module with other members; None takes one away."""
    copy = ModuleType(module.__name__)
    together = {**vars(module), **members}
    vars(copy).update({name: value for name, value in together.items() if value is not None})
    return copy


@asynccontextmanager
async def answering(handlers: Modules, *, check_rate: float = 1, db: Pool | None = None) -> AsyncIterator[ApiClient]:
    """A client of the contract's operations, answered by these handlers."""
    settings = load(environment="staging", secret_key=SECRET)
    calls = Calls(process_of(settings), None, ())
    calls.db = db or Pool(NOWHERE)
    binding = Binding(OPERATIONS, handlers, DOCUMENT, calls, pages={}, check_rate=check_rate)
    app = FastAPI(openapi_url=None)
    app.add_middleware(edge.Edge, binding=binding, pages=(), common=[(b"api-version", b"0.1.0")])
    async with client_of(app, settings) as client:
        yield client


@contextmanager
def written(form: Literal["json", "console"], level: Literal["info", "error"] = "info") -> Iterator[Callable[[], str]]:
    """What the server logs meanwhile."""
    output = StringIO()
    with redirect_stdout(output):
        observability.configure(level=level, form=form)
    yield output.getvalue
    observability.configure(level="warning", form="json")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What the server has logged, line by line."""
    monkeypatch.setattr(edge, "log", structlog.get_logger("access"))  # the one there may write elsewhere by now
    with written("json") as text:
        yield lambda: [line for line in map(json.loads, text().splitlines()) if "request_id" in line]
