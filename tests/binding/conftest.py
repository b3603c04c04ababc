"""The contract's operations bound to handlers that a test has changed, and what is logged meanwhile."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any, Literal, TypeAlias

import pytest
import structlog
from fastapi import FastAPI

from contract.binding import Binding
from contract.exchange import Exchange, Message, Scope
from contract.types import Operation
from generated.operations import OPERATIONS
from handlers.shared.call import Life
from persistence.engine.pool import Pool
from server.app import HANDLERS, process_of
from server.dispatch.authentication import Callers
from server.dispatch.dispatcher import Calls
from server.middleware import edge
from server.middleware.common_headers import Common
from server.middleware.cors import Cors
from server.middleware.trusted_hosts import Gate
from server.observability import logs
from server.observability.metrics import Metrics
from server.observability.telemetry import Telemetry
from server.protocol import streams
from server.protocol.client_address import Proxies
from server.settings.loading import load
from tests.api.conftest import SECRET, client_of
from tests.client import DOCUMENT, ApiClient

BY_ID: dict[str, Operation] = {operation.id: operation for operation in OPERATIONS}
NOWHERE = "postgresql://stranger@127.0.0.1:1/none"
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


class Modules(SimpleNamespace):
    """The handlers by tag, some of them changed."""

    def __init__(self, *changed: ModuleType) -> None:
        known = {tag.name: getattr(HANDLERS, tag.name) for tag in fields(HANDLERS)}
        super().__init__(**known | {module.__name__.rpartition(".")[2]: module for module in changed})


def copy_module(module: ModuleType, **members: object) -> ModuleType:
    """A copy of a module with other members; None takes one away."""
    copy = ModuleType(module.__name__)
    together = {**vars(module), **members}
    vars(copy).update({name: value for name, value in together.items() if value is not None})
    return copy


@asynccontextmanager
async def answering(
    handlers: Modules, *, check_rate: float = 1, db: Pool | None = None, environment: str = "staging"
) -> AsyncIterator[ApiClient]:
    """A client of the contract's operations, answered by these handlers."""
    settings = load(environment=environment, secret_key=SECRET)
    metrics = Metrics(public=True)
    process = process_of(settings, metrics, Life())
    calls = Calls(process, metrics, None, Callers(process, None, (), accounts=True))
    calls.db = db or Pool(NOWHERE)
    known = calls.authenticators
    binding = Binding(OPERATIONS, handlers, DOCUMENT, calls, check_rate=check_rate, authenticators=known)
    gate, common = Gate((), https_only=False), Common("strict", Cors(()), hsts=False)
    app = edge.Edge(
        FastAPI(openapi_url=None),
        metrics=metrics,
        telemetry=Telemetry(),
        life=process.life,
        binding=binding,
        pages=(),
        proxies=Proxies(()),
        limits=None,
        gate=gate,
        common=common,
    )
    async with client_of(app, settings) as client:
        yield client


@contextmanager
def capture_log(
    form: Literal["json", "console"], level: Literal["debug", "info", "error"] = "info"
) -> Iterator[Callable[[], str]]:
    """What the server logs meanwhile."""
    output = StringIO()
    logs.configure(level=level, form=form, out=output)
    yield output.getvalue
    logs.configure(level="warning", form="json", out=sys.stdout)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What the server has logged, line by line."""
    for module in (edge, streams):
        monkeypatch.setattr(module, "log", structlog.get_logger())  # the one there may write elsewhere by now
    with capture_log("json") as text:
        yield lambda: [line for line in map(json.loads, text().splitlines()) if "request_id" in line]
