"""Answers that are sent while they are made: what cuts them, and that the log says so."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest
import structlog
from starlette.types import Message

from server.middleware import edge
from server.protocol import streams
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.binding.conftest import capture_log
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory, SignedIn

Told: TypeAlias = Callable[[], list[tuple[str, Any]]]


@pytest.fixture
async def api(settings: Settings, db: Bench) -> AsyncIterator[ApiClient]:
    async with serving(settings, db) as api:
        yield api


@pytest.fixture
def told(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What its application logs: the events, each with its status or its reason."""
    for module in (edge, streams):
        monkeypatch.setattr(module, "log", structlog.get_logger())  # the one there may write elsewhere by now
    with capture_log("json") as text:
        yield lambda: [
            (event["event"], event.get("status", event.get("reason"))) for event in map(json.loads, text().splitlines())
        ]


async def test_a_session_that_ends_meanwhile_cuts_it(api: ApiClient, make: Factory, db: Bench, told: Told) -> None:
    async def revoke() -> None:
        await db.fetch("UPDATE sessions SET revoked_at = $1, revoke_reason = 'logout'", [NOW])

    start, *body = await ask_for_export(api, await make.user(), happens=revoke)

    assert start["status"] == 200
    assert all(message["more_body"] for message in body)
    assert told() == [("cut", "SessionOver"), ("request", 200)]


async def test_a_statement_that_fails_meanwhile_cuts_it(api: ApiClient, make: Factory, db: Bench, told: Told) -> None:
    async def spoil() -> None:
        await db.fetch("ALTER TABLE external_identities RENAME TO elsewhere", [])

    start, *body = await ask_for_export(api, await make.user(), happens=spoil)

    assert start["status"] == 200
    assert all(message["more_body"] for message in body)
    assert told() == [("cut", None), ("request", 200)]


async def test_a_reader_that_takes_nothing_for_long_cuts_it(
    api: ApiClient, make: Factory, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.01)

    await ask_for_export(api, await make.user(), happens=asyncio.Event().wait)

    assert told() == [("cut", "TimeoutError"), ("request", 200)]


async def test_a_reader_that_takes_little_for_very_long_cuts_it(
    api: ApiClient, make: Factory, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST", 0.01)

    async with asyncio.timeout(streams.PATIENCE / 3):
        await ask_for_export(api, await make.user(), happens=asyncio.Event().wait)

    assert told() == [("cut", "TimeoutError"), ("request", 200)]


async def test_a_client_that_leaves_stops_it(api: ApiClient, make: Factory, told: Told) -> None:
    messages = await ask_for_export(api, await make.user(), leaves=True)

    assert b'"audit_logs"' not in b"".join(message.get("body", b"") for message in messages)
    assert told() == [("request", 499)]


async def ask_for_export(
    api: ApiClient,
    caller: SignedIn,
    *,
    happens: Callable[[], Awaitable[object]] | None = None,
    leaves: bool = False,
) -> list[Message]:
    """What is sent for an export to a client that leaves, or during whose first piece something happens."""
    messages: list[Message] = []

    async def receive() -> Message:
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and happens is not None and len(messages) == 2:
            await happens()
        await asyncio.sleep(0)

    scope = {"type": "http", "method": "GET", "path": "/api/v1/users/me/export", "query_string": b""}
    headers = [(name.lower().encode(), value.encode()) for name, value in api.as_(caller).headers.items()]
    await vars(api.http._transport)["app"]({**scope, "headers": headers}, receive, send)  # noqa: SLF001 - its application
    return messages
