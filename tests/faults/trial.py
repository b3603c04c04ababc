"""A trial: people work while harm is done, then everything is counted; what comes of it is a row of the table."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import asyncpg
import httpx

from tests.faults.people import NO_ANSWER, People, sign_in, working
from tests.outages import Served
from tests.waiting import until

RECOVERY = 15.0  # seconds after the last harm in which a server is whole again
LOUD = ("warning", "error", "critical")
UNAVAILABLE = 503
BURST = 50  # requests at once, more than any pool of a test has slots


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
    """People work at `at`, or at the first server, with this database, as long as the context lasts."""

    def __call__(
        self, fault: str, servers: Served | Sequence[Served], database: str, *, at: str | None = None
    ) -> AbstractAsyncContextManager[People]: ...


@asynccontextmanager
async def tried(
    fault: str, servers: Sequence[Served], database: str, *, at: str, writes: int, is_long: bool, rows: Path | None
) -> AsyncIterator[People]:
    """See `Trial`. Fails when anything was lost, stored twice, answered wrongly, or is stuck afterwards."""
    token = await sign_in(at)
    async with working(at, token, writes, is_long=is_long) as people:
        yield people
        last = time.monotonic()
    row = Row(fault)
    count_answers(row, people)
    row.stuck = [said for server in servers async for said in stuck(server, token, last)]
    await compare(row, people, database)
    row.said = dict(Counter(said(line) for server in servers for line in server.lines() if line.get("level") in LOUD))
    people.said = row.said
    if rows is not None:
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
    assert row.acknowledged, row
    assert (row.lost, row.twice, row.wrong, row.untold, row.stuck) == (0, 0, [], 0, []), row


def count_answers(row: Row, people: People) -> None:
    """What people were told. Nobody may be told what is not true: an error of ours, or that something is not there."""
    row.requests, row.acknowledged = len(people.answers), len(people.acknowledged)
    row.failures = {str(status or "no answer"): number for status, number in sorted(people.failures.items())}
    row.wait, row.gap = round(people.longest_wait, 2), round(people.longest_gap, 2)
    fine = {UNAVAILABLE, NO_ANSWER}
    refusals = [answer for answer in people.answers if not httpx.codes.is_success(answer.status)]
    row.wrong = [f"{answer.status} {answer.said}" for answer in refusals if answer.status not in fine][:10]
    row.wrong += [f"misread {name}" for name in people.misread[:10]]
    row.untold = sum(answer.status == UNAVAILABLE and not answer.retry_after for answer in refusals)


async def compare(row: Row, people: People, database: str) -> None:
    """What was acknowledged with what there is."""
    connection = await asyncpg.connect(database)
    kept = {str(record["id"]): record["title"] for record in await connection.fetch("SELECT id, title FROM tasks")}
    await connection.close()
    row.lost = sum(kept.get(name) != title for name, title in people.acknowledged.items())
    row.twice = sum(number - 1 for number in Counter(kept.values()).values())


async def stuck(server: Served, token: str, since: float) -> AsyncIterator[str]:
    """What of a server does not come back: readiness, slots of its pool, answers to many at once."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, timeout=30, headers=headers) as client:

        async def ready() -> int:
            return (await client.get("/readyz")).status_code

        async def kept() -> float:
            """Slots that are in use or missing. It is measured every second, in each worker."""
            lines = (await client.get("/metrics", headers={"Authorization": ""})).text.splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith(KEPT))

        async def refused() -> set[int]:
            answers = await asyncio.gather(*(client.get("/api/v1/tasks?limit=1") for _ in range(BURST)))
            return {answer.status_code for answer in answers}

        for name, ask, answer in (
            ("is not ready", ready, 200),
            ("does not answer many at once", refused, {200}),
            ("keeps slots", kept, 0),
        ):
            try:
                await until(ask, answer, seconds=max(5, since + RECOVERY - time.monotonic()))
            except (TimeoutError, httpx.TransportError) as error:
                yield f"{server.url} {name}: {error!r}"


KEPT = ('docket_pool_connections{state="in_use"}', 'docket_pool_connections{state="missing"}')


def said(line: dict[str, object]) -> str:
    """What a line of the log says, and why."""
    why = line.get("reason") or line.get("sqlstate")
    event = re.sub(r"[\d.]+ (s|requests)\b", r"… \1", str(line["event"]))
    return f"{event} ({why})" if why else event
