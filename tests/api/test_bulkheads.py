"""Bulkheads: of what asks most of the database a caller has a few at once, and all callers a share of the pool."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import httpx
import pytest
from starlette.types import Message

from persistence.engine.pool import Pool
from server.app import WAITS_OF_A_CALLER
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import PREFIX, ApiClient
from tests.factories import Factory

EACH = 4
HEAVY = ["/tasks/search?q=tea", "/tasks?include_total=true", "/users?include_total=true", "/users/me/export"]
Start: TypeAlias = Callable[..., Awaitable[ApiClient]]


@pytest.fixture
async def start(settings: Settings, fresh: Pool) -> AsyncIterator[Start]:
    """Starts a server with other settings upon a database that commits."""
    async with AsyncExitStack() as stack:

        async def start_with(**chosen: object) -> ApiClient:
            return await stack.enter_async_context(serving(settings.model_copy(update=chosen), fresh))

        yield start_with


@asynccontextmanager
async def hold_answer(fresh: Pool) -> AsyncIterator[None]:
    """The client does not read meanwhile."""
    async with fresh.transaction() as transaction:
        await transaction.fetch("LOCK TABLE users, sessions, tasks IN ACCESS EXCLUSIVE MODE", [])
        yield


def begin(api: ApiClient, path: str) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(api.http.get(PREFIX + path, headers=api.headers))


async def first_of(requests: "list[asyncio.Task[httpx.Response]]") -> "asyncio.Task[httpx.Response]":
    """The one that is answered while the others wait for the database."""
    done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    return done.pop()


@pytest.mark.parametrize("path", HEAVY)
async def test_a_caller_has_four_at_once_and_is_refused_the_next_at_once(
    start: Start, fresh: Pool, commit: Factory, path: str
) -> None:
    api = await start(rate_limits_enabled=True)
    ada = api.as_(await commit.user(is_superuser=True))

    async with hold_answer(fresh):
        requests = [begin(ada, path) for _ in range(EACH + 1)]
        refused = await first_of(requests)
    others = await asyncio.gather(*(request for request in requests if request is not refused))

    assert (refused.result().status_code, refused.result().json()["code"]) == (429, "rate_limit_exceeded")
    assert refused.result().headers["retry-after"] == "1"
    assert [answer.status_code for answer in others] == [200] * EACH


async def test_each_caller_has_places_of_its_own_and_gets_them_back(start: Start, fresh: Pool, commit: Factory) -> None:
    api = await start(rate_limits_enabled=True)
    ada, bob = api.as_(await commit.user()), api.as_(await commit.user())

    async with hold_answer(fresh):
        requests = [begin(one, HEAVY[0]) for one in (ada, bob) for _ in range(EACH)]
        requests.append(begin(ada, "/tasks/search?q=tea"))
        refused = await first_of(requests)
    await asyncio.gather(*requests)

    assert refused is requests[-1]
    for _ in range(EACH + 1):
        await ada.send("HEAD", "/users/me/export", expect=200)
        await ada.get("/tasks/search", q="tea")


async def test_all_callers_have_half_of_the_pool_and_the_next_is_refused_at_once(
    start: Start, fresh: Pool, commit: Factory
) -> None:
    api = await start(pool_size=4)
    ada, bob = api.as_(await commit.user()), api.as_(await commit.user())

    async with hold_answer(fresh):
        requests = [begin(one, HEAVY[0]) for one in (ada, bob, bob)]
        light = begin(bob, "/tasks")
        refused = await first_of([*requests, light])
    await asyncio.gather(*requests, light)

    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (503, "1")
    assert [each.result().status_code for each in (*requests, light)] == [200, 200, 503, 200]


async def test_an_export_takes_a_share_only_while_it_reads(start: Start, commit: Factory) -> None:
    api = await start(pool_size=1)
    ada = api.as_(await commit.user())
    found: list[int] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        if message.get("more_body"):
            found.append((await begin(ada, HEAVY[0])).status_code)

    scope = {"type": "http", "method": "GET", "path": f"{PREFIX}/users/me/export", "query_string": b""}
    headers = [(name.lower().encode(), value.encode()) for name, value in ada.headers.items()]
    await vars(api.http._transport)["app"]({**scope, "headers": headers}, receive, send)  # noqa: SLF001 - its application

    assert set(found) == {200}


async def test_a_batch_of_an_export_waits_for_its_share(start: Start, fresh: Pool, commit: Factory) -> None:
    api = await start(pool_size=1)
    ada = api.as_(await commit.user())
    searches: list[asyncio.Task[httpx.Response]] = []
    pieces: list[bytes] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        pieces.append(message.get("body", b""))
        if message.get("more_body") and not searches:
            searches.append(begin(ada, HEAVY[0]))
            await asyncio.sleep(0)

    scope = {"type": "http", "method": "GET", "path": f"{PREFIX}/users/me/export", "query_string": b""}
    headers = [(name.lower().encode(), value.encode()) for name, value in ada.headers.items()]
    await vars(api.http._transport)["app"]({**scope, "headers": headers}, receive, send)  # noqa: SLF001 - its application

    assert (await searches[0]).status_code == 200
    assert b"".join(pieces).endswith(b"}")


async def test_a_caller_waits_for_changes_in_ten_requests(start: Start, fresh: Pool, commit: Factory) -> None:
    api = await start(rate_limits_enabled=True)
    ada, bob = api.as_(await commit.user()), api.as_(await commit.user())
    own, other = [(await one.get("/changes"))["next_cursor"] for one in (ada, bob)]

    waiting = [begin(ada, f"/changes?wait=25&cursor={own}") for _ in range(WAITS_OF_A_CALLER + 1)]
    refused = await first_of(waiting)
    assert (refused.result().status_code, refused.result().json()["code"]) == (429, "rate_limit_exceeded")
    assert (await ada.get("/changes", cursor=own))["items"] == []
    assert (await bob.get("/changes", cursor=other, wait=1))["items"] == []

    left = next(request for request in waiting if request is not refused)
    left.cancel()
    await asyncio.wait([left])
    assert (await ada.get("/changes", cursor=own, wait=1))["items"] == []
    for request in waiting:
        request.cancel()
    await asyncio.wait(waiting)


async def test_all_callers_wait_in_half_of_the_connections(start: Start, fresh: Pool, commit: Factory) -> None:
    api = await start(max_connections=4)
    ada = api.as_(await commit.user())
    cursor = (await ada.get("/changes"))["next_cursor"]

    waiting = [begin(ada, f"/changes?wait=2&cursor={cursor}") for _ in range(3)]
    refused = await first_of(waiting)
    answers = await asyncio.gather(*waiting)

    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (503, "1")
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503]
