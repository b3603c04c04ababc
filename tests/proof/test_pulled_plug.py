"""Pull the plug: answers are dropped, the server is killed twice, and no reader misses any.

Three read along, each its own way: page by page, by long polls, and by a stream.
"""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import httpx

from persistence.engine.pool import Pool
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER
from server.settings.settings import Settings
from tests.api.conftest import SECRET
from tests.api.test_real_server import Running, running
from tests.factories import Factory
from tests.ports import free_port
from tests.waiting import until

pytest_plugins = ["tests.api.conftest"]
TASKS, WRITERS, KILLS = 1_000, 8, 2
DROPPED = 0.3  # of the answers, which their reader never sees
PATIENCE = 120  # seconds
WRITTEN = "SELECT subject_id::text FROM events WHERE seq > $1"
KEPT = "SELECT id::text FROM tasks"
Read: TypeAlias = Callable[["Follower"], Awaitable[None]]


class AnswerDroppedError(Exception):
    """The network ended before the answer was there."""


def drop_some() -> None:
    """Raises AnswerDroppedError at times."""
    if random.random() < DROPPED:  # noqa: S311 - as a network that drops answers
        raise AnswerDroppedError


class Follower:
    """Handles each change, and then keeps the position behind it: what is asked for next comes after it."""

    def __init__(self, http: httpx.AsyncClient, position: str) -> None:
        self.http, self.position = http, position
        self.handled: Counter[str] = Counter()
        self.tasks: set[str] = set()
        self.interruptions = 0

    async def follow(self, read: Read) -> None:
        """Read on whatever happens to server and network, until it is cancelled."""
        while True:
            try:
                await read(self)
            except (AnswerDroppedError, httpx.TransportError, httpx.HTTPStatusError):
                self.interruptions += 1
                await asyncio.sleep(0.1)

    async def read_page(self, wait: int) -> None:
        asked: dict[str, str | int] = {"cursor": self.position, "wait": wait, "limit": 50}
        answer = await self.http.get("/api/v1/changes", params=asked)
        answer.raise_for_status()
        drop_some()
        page = answer.json()
        self.handle(page["items"], page["next_cursor"])

    async def read_pages(self) -> None:
        await self.read_page(0)
        await asyncio.sleep(0.2)

    async def poll(self) -> None:
        await self.read_page(5)

    async def read_stream(self) -> None:
        asked = {"Last-Event-ID": self.position}
        async with self.http.stream("GET", "/api/v1/changes/stream", headers=asked) as answer:
            answer.raise_for_status()
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                event[name] = value
                if line == "" and "id" in event:
                    self.handle([json.loads(event["data"])] if "data" in event else [], event["id"])
                    event = {}
                    if random.random() < DROPPED / 10:  # noqa: S311 - as a network that drops connections
                        raise AnswerDroppedError

    def handle(self, changes: list[dict[str, Any]], position: str) -> None:
        self.handled.update(change["id"] for change in changes)
        self.tasks.update(change["subject"]["id"] for change in changes)
        self.position = position


async def make_tasks(http: httpx.AsyncClient, number: int) -> None:
    """Make so many tasks, each asked for with its own key until an answer arrives."""
    for _ in range(number):
        key = {"Idempotency-Key": str(uuid4())}
        while True:
            try:
                answer = await http.post("/api/v1/tasks", json={"title": "A task"}, headers=key)
                answer.raise_for_status()
                drop_some()
            except (AnswerDroppedError, httpx.TransportError, httpx.HTTPStatusError):
                await asyncio.sleep(0.1)
            else:
                break


@asynccontextmanager
async def serve_again(folder: Path, url: str, port: int) -> AsyncIterator[list[Running]]:
    """A server that begins anew at the same port when it was killed. What comes back has the one that lives last."""
    lives: list[Running] = []

    async def live() -> None:
        while True:
            async with running(folder, url, PORT=str(port)) as server:
                lives.append(server)
                await server.process.wait()

    living = asyncio.create_task(live())
    await until(lambda: asyncio.sleep(0, len(lives)), 1)
    yield lives
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)


async def test_three_readers_have_what_the_database_has(
    tmp_path: Path, settings: Settings, fresh: Pool, fresh_url: str
) -> None:
    ada = await Factory(fresh).user()
    token = Tokens(Keys(SECRET), ISSUER, AUDIENCE, settings.access_lifetime).issue_access(
        ada.id, ada.session_id, datetime.now(UTC)
    )
    first = (await fresh.fetch("SELECT last_value FROM event_seq", []))[0][0]
    port = free_port()
    base, bearer = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {token}"}
    async with (
        serve_again(tmp_path, fresh_url, port) as lives,
        httpx.AsyncClient(base_url=base, headers=bearer, timeout=30) as http,
        asyncio.timeout(PATIENCE),
    ):
        begin = (await http.get("/api/v1/changes")).json()["next_cursor"]
        ways: dict[str, Read] = {
            "pages": Follower.read_pages,
            "long polls": Follower.poll,
            "a stream": Follower.read_stream,
        }
        readers = {name: Follower(http, begin) for name in ways}
        following = [asyncio.create_task(readers[name].follow(ways[name])) for name in ways]
        writing = [asyncio.create_task(make_tasks(http, TASKS // WRITERS)) for _ in range(WRITERS)]
        for kill in range(1, KILLS + 1):
            await until_all_have(readers, TASKS * kill // (KILLS + 1))
            os.killpg(lives[-1].process.pid, signal.SIGKILL)
            await until(lambda: asyncio.sleep(0, len(lives)), kill + 1, seconds=PATIENCE)
        await asyncio.gather(*writing)
        await until_all_have(readers, TASKS)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    written = [row[0] for row in await fresh.fetch(WRITTEN, [first])]
    kept = {row[0] for row in await fresh.fetch(KEPT, [])}
    assert len(written) == len(kept) == TASKS
    for name, reader in readers.items():
        print(f"\nby {name}: {len(reader.handled):,} changes, {reader.interruptions} interruptions", end="")  # noqa: T201 - the figures
        assert set(reader.handled) == set(readers["pages"].handled), name
        assert set(reader.handled.values()) == {1}, name
        assert len(reader.handled) == TASKS, name
        assert reader.tasks == kept == set(written), name
        assert reader.interruptions >= KILLS, name


async def until_all_have(readers: dict[str, Follower], number: int) -> None:
    """Wait until each of them has handled so many changes."""

    async def have() -> bool:
        return all(len(reader.handled) >= number for reader in readers.values())

    await until(have, True, seconds=PATIENCE)
