"""A thousand streams in one process: how late a change is told after its commit, and what a stream weighs."""

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from time import monotonic

import httpx

from persistence.engine.pool import Pool
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER
from server.settings.settings import Settings
from tests.api.conftest import SECRET
from tests.api.test_real_server import Running, running
from tests.factories import Factory, SignedIn
from tests.waiting import until

pytest_plugins = ["tests.api.conftest"]
STREAMS, TEAMS, CHANGES = 1_000, 10, 200
EVERY = 0.1  # seconds between two changes
LATE, WEIGHT = 0.6, 60 * 1024  # what the design wants, and twice the bytes that it hopes for


class Reader:
    """Reads a stream over a socket, and writes down when which task was told."""

    def __init__(self, server: Running, token: str, told: dict[str, list[float]]) -> None:
        self.server, self.token, self.told = server, token, told

    async def begin(self) -> None:
        self.lines, self.writer = await asyncio.open_connection(self.server.host, self.server.port)
        head = f"GET /api/v1/changes/stream HTTP/1.1\r\nHost: docket\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        self.writer.write(head.encode())
        async with asyncio.timeout(60):
            while (line := await self.lines.readline()) != b": changes\n":
                assert line, "no stream has begun"
        self.following = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        while line := await self.lines.readline():
            if line.startswith(b"data: "):
                self.told[json.loads(line[6:])["subject"]["id"]].append(monotonic())

    async def end(self) -> None:
        self.following.cancel()
        with suppress(asyncio.CancelledError):
            await self.following
        self.writer.close()


def resident(process: int) -> int:
    """The bytes of memory that a process has, and its only worker."""
    fields = (Path("/proc") / str(process) / "status").read_text(encoding="utf-8")
    return int(fields.partition("VmRSS:")[2].split()[0]) * 1024


async def test_a_thousand_streams_are_told_within_the_bar(
    tmp_path: Path, settings: Settings, fresh: Pool, fresh_url: str
) -> None:
    make = Factory(fresh)
    tokens = Tokens(Keys(SECRET), ISSUER, AUDIENCE, settings.access_lifetime)

    def sign(who: SignedIn) -> str:
        return tokens.issue_access(who.id, who.session_id, datetime.now(UTC))

    owner = await make.user()
    teams = [await make.team(owner=owner) for _ in range(TEAMS)]
    readers_of = STREAMS // TEAMS
    more = {"MAX_CONNECTIONS": str(3 * STREAMS), "MAX_CONNECTIONS_PER_ADDRESS": str(3 * STREAMS)}
    told: defaultdict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(tmp_path, fresh_url, 1, **more))
        http = await stack.enter_async_context(server.client())
        await http.get("/health")
        before = resident(server.process.pid)
        for team in teams:
            member = await make.user()
            await make.member(team, member.id, "member")
            for _ in range(readers_of):
                reader = Reader(server, sign(member), told)
                await reader.begin()
                stack.push_async_callback(reader.end)
        weight = (resident(server.process.pid) - before) / STREAMS
        late = await write(http, sign(owner), [str(team) for team in teams], told, readers_of)

    p95 = quantiles(late, n=20)[-1]
    said = f"p95 {p95 * 1000:.0f} ms, the latest {max(late) * 1000:.0f} ms; {weight / 1024:.1f} KB a stream"
    print(f"\n{len(late):,} told, {said}")  # noqa: T201 - the figures
    assert len(late) == CHANGES * readers_of
    assert p95 < LATE
    assert weight < WEIGHT


async def write(
    http: httpx.AsyncClient, token: str, teams: list[str], told: dict[str, list[float]], readers_of: int
) -> list[float]:
    """Create tasks one after another. What comes back is how late each of them was told to each reader."""
    committed: dict[str, float] = {}
    for number in range(CHANGES):
        body = {"title": "A task", "organization_id": teams[number % len(teams)]}
        began = monotonic()
        task = (await http.post("/api/v1/tasks", json=body, headers={"Authorization": f"Bearer {token}"})).json()["id"]
        committed[task] = monotonic()
        await asyncio.sleep(max(0.0, began + EVERY - monotonic()))

    async def count() -> int:
        return sum(len(told[task]) for task in committed)

    await until(count, CHANGES * readers_of)
    return [moment - committed[task] for task in committed for moment in told[task]]
