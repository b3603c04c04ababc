"""A trial: people work while harm is done, then everything is counted; what comes of it is a row of the table."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from persistence.engine.hosts import connect_to_first
from tests.faults.people import NO_ANSWER, People, sign_in, working
from tests.outages import Served
from tests.waiting import until

RECOVERY = 15.0  # seconds after the last harm in which a server is whole again
LOUD = ("warning", "error", "critical")
UNAVAILABLE = 503
OF_A_PROXY = {502, 503, 504}  # it has answers of its own, and may not send again what was sent
PATIENCE = 30  # seconds
BEGINS, ENDS = ": requests are refused until it does", "The database answers again"
GLANCE = 0.25  # seconds between two questions whether a server lives
SLOW = 80  # acknowledged writes of people who have a pace
BURST = 16  # requests at once, more than any pool of a test has slots


@dataclass
class Row:
    """What came of a trial. `said` are the lines of the log from warning on, by how often they came."""

    fault: str
    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    untold: int = 0
    wait: float = 0
    gap: float = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    stuck: list[str] = field(default_factory=list)
    said: dict[str, int] = field(default_factory=dict)


class Trial(Protocol):
    """People work at the first server, or at the proxy `at`, with this database, as long as the context lasts.

    Who has a `pace` waits so many seconds before each request.
    """

    def __call__(
        self, fault: str, servers: Served | Sequence[Served], database: str, *, at: str | None = None, pace: float = 0
    ) -> AbstractAsyncContextManager[People]: ...


@asynccontextmanager
async def try_fault(
    fault: str,
    servers: Sequence[Served],
    database: str,
    *,
    at: str | None,
    writes: int,
    is_long: bool,
    rows: Path | None,
    pace: float,
) -> AsyncIterator[People]:
    """See `Trial`. Fails when anything was lost, stored twice, answered wrongly, or is stuck afterwards."""
    place = at or servers[0].url
    token = await sign_in(place)
    async with (
        living(servers) as lives,
        working(place, token, min(writes, SLOW) if pace else writes, is_long=is_long, pace=pace) as people,
    ):
        yield people
        last = time.monotonic()
    row = Row(fault)
    count_answers(row, people, OF_A_PROXY if at else {UNAVAILABLE})
    row.wrong += [f"/livez was {status}" for status in lives - {200}]
    row.stuck = [said for server in servers async for said in list_stuck(server, token, last)]
    await compare(row, people, database)
    row.said = dict(
        Counter(read_line(line) for server in servers for line in server.lines() if line.get("level") in LOUD)
    )
    people.said = row.said
    if rows is not None:
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
    assert row.acknowledged, row
    assert (row.lost, row.twice, row.wrong, row.untold, row.stuck) == (0, 0, [], 0, []), row


@asynccontextmanager
async def living(servers: Sequence[Served]) -> AsyncIterator[set[int]]:
    """What `/livez` was answered meanwhile. Whatever breaks around a server, it is no reason to end it."""
    seen: set[int] = set()

    async def look(server: Served) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=GLANCE) as client:
            while True:
                with suppress(httpx.TransportError):  # it is restarted, hangs, or has much to do
                    seen.add((await client.get("/livez")).status_code)
                await asyncio.sleep(GLANCE)

    looking = [asyncio.create_task(look(server)) for server in servers]
    try:
        yield seen
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


def count_answers(row: Row, people: People, unavailable: set[int]) -> None:
    """What people were told. All of it has to be true: an error of ours, or that something is not there."""
    row.requests, row.acknowledged = len(people.answers), len(people.acknowledged)
    row.failures = {str(status or "no answer"): number for status, number in sorted(people.failures.items())}
    row.wait, row.gap = round(people.longest_wait, 2), round(people.longest_gap, 2)
    fine = unavailable | {NO_ANSWER}
    refusals = [answer for answer in people.answers if not httpx.codes.is_success(answer.status)]
    row.wrong = [f"{answer.status} {answer.said}" for answer in refusals if answer.status not in fine][:10]
    row.wrong += [f"misread {name}" for name in people.misread[:10]]
    row.untold = sum(answer.status in unavailable and not answer.retry_after for answer in refusals)


async def compare(row: Row, people: People, database: str) -> None:
    """What was acknowledged with what there is."""
    connection = await connect_to_first(database, PATIENCE)
    kept = {str(record["id"]): record["title"] for record in await connection.fetch("SELECT id, title FROM tasks")}
    await connection.close()
    row.lost = sum(kept.get(name) != title for name, title in people.acknowledged.items())
    row.twice = sum(number - 1 for number in Counter(kept.values()).values())


async def list_stuck(server: Served, token: str, since: float) -> AsyncIterator[str]:
    """What of a server does not come back: readiness, slots of its pool, answers to many at once."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, timeout=30, headers=headers) as client:

        async def ready() -> int:
            return (await client.get("/readyz")).status_code

        async def count_slots() -> float:
            """Slots that are in use or missing. It is measured every second, in each worker."""
            lines = (await client.get("/metrics", headers={"Authorization": ""})).text.splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith(KEPT))

        async def list_refusals() -> set[int]:
            answers = await asyncio.gather(*(client.get("/api/v1/tasks?limit=1") for _ in range(BURST)))
            return {answer.status_code for answer in answers}

        async def untold() -> int:
            """Outages that go on, as far as the log tells."""
            events = [str(line["event"]) for line in server.lines()]
            return sum(BEGINS in event for event in events) - sum(ENDS in event for event in events)

        for name, ask, answer in (
            ("is not ready", ready, 200),
            ("does not answer many at once", list_refusals, {200}),
            ("keeps slots", count_slots, 0),
            ("tells no end of an outage", untold, 0),
        ):
            try:
                await until(ask, answer, seconds=max(RECOVERY / 2, since + RECOVERY - time.monotonic()))
            except (TimeoutError, httpx.TransportError) as error:
                yield f"{server.url} {name}: {error!r}"


KEPT = ('docket_pool_connections{state="in_use"}', 'docket_pool_connections{state="missing"}')


def read_line(line: dict[str, object]) -> str:
    """What a line of the log says, and why."""
    why = line.get("reason") or line.get("sqlstate")
    event = re.sub(r"[\d.]+ (s|requests)\b", r"… \1", str(line["event"]))
    return f"{event} ({why})" if why else event
