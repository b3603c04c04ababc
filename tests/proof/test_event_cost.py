"""What the event log costs those who write: with its triggers and without them, turn by turn in one run.

Time is that of the processor, which other work on the machine lengthens least: of the backend as Linux counts it, and
of our own process for the statement and its values. PostgreSQL has its own settings, `fsync` among them.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time_ns
from uuid import UUID

import asyncpg
from pydantic import MISSING
from uuid_utils.compat import uuid7

from generated import models
from generated.models import TaskPriority, TaskStatus
from persistence.authorization import Caller
from persistence.embedded.server import Embedded
from persistence.engine.pool import Pool
from persistence.event_triggers import EVENT_TRIGGERS
from persistence.queries import tasks
from persistence.search.sorting import write_sort_key
from persistence.search.vectors import write_vector
from server.database.migrations import upgrade
from tests.factories import WRITERS, Factory

ROUNDS, EACH = 30, 100
MOST_MORE_IN_POSTGRESQL = 0.15
MOST_MORE_IN_US = 20.0  # microseconds
TASK = models.TaskCreate(
    title="Write the contract for the whole of it",
    description="Everything else follows from there, as it should be.",
    status=TaskStatus.pending,
    priority=TaskPriority.medium,
)


class Side:
    """A database, with one connection to it, and who writes there."""

    def __init__(self, url: str) -> None:
        self.pool = Pool(url, size=1)
        self.caller: Caller
        self.pid = self.number = 0
        self.tasks: list[UUID] = []
        self.spent: dict[tuple[str, str], list[float]] = defaultdict(list)

    async def open(self, *, logged: bool) -> None:
        if not logged:
            for name, table in re.findall(r"CREATE TRIGGER (\w+) \w+ [^;]*? ON (\w+)", EVENT_TRIGGERS):
                await self.pool.fetch(f"DROP TRIGGER {name} ON {table}", ())
        ada = await Factory(self.pool).user()
        self.caller = replace(ada, request_id="0e6ff4f0c2a14b6e8f3f5f4f5a8e9d10") if logged else ada
        self.pid = (await self.pool.fetch("SELECT pg_backend_pid()", ()))[0][0]

    async def create(self, _number: int = 0) -> UUID:
        created = await tasks.insert(
            self.pool,
            uuid7(),
            TASK,
            vector=write_vector(TASK),
            title_key=write_sort_key(TASK.title),
            organization_id=self.caller.id,
            by=self.caller,
            roles=WRITERS,
        )
        return created.id

    async def patch(self, number: int) -> None:
        self.number += 1
        title = f"Another title, the {self.number}th"
        patch = models.TaskPatch(title=title)
        await tasks.update(
            self.pool,
            self.tasks[number],
            patch,
            vector=write_vector(patch),
            title_key=write_sort_key(title),
            versions=MISSING,
            by=self.caller,
            roles=WRITERS,
        )

    async def time(self, name: str, work: Callable[[int], Awaitable[object]]) -> None:
        ours, theirs = process_time_ns(), ran(self.pid)
        for number in range(EACH):
            await work(number)
        self.spent[name, "us"].append((process_time_ns() - ours) / EACH / 1000)
        self.spent[name, "postgresql"].append((ran(self.pid) - theirs) / EACH / 1000)


def ran(pid: int) -> int:
    """The nanoseconds for which a process has had a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


async def test_creating_and_patching_cost_hardly_more_with_the_log(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path)
    await asyncio.to_thread(embedded.open)
    admin = await asyncpg.connect(embedded.url("postgres", "postgres"))
    sides = {}
    for name in ("without", "with"):
        await admin.execute(f'CREATE DATABASE "{name}" OWNER docket')
        url = embedded.url().replace("/docket?", f"/{name}?")
        await asyncio.to_thread(upgrade, url)
        sides[name] = Side(url)
        await sides[name].open(logged=name == "with")
    for side in sides.values():
        side.tasks = [await side.create() for _ in range(EACH)]
    for _ in range(ROUNDS + 2):
        for side in sides.values():
            await side.time("create", side.create)
            await side.time("patch", side.patch)
    for name, side in sides.items():
        logged = (await side.pool.fetch("SELECT count(*) FROM events", ()))[0][0]
        assert bool(logged) == (name == "with")
        await side.pool.close()
    await admin.close()
    await asyncio.to_thread(embedded.close)

    more = {}
    for what in sides["with"].spent:
        before, after = (sides[name].spent[what][2:] for name in ("without", "with"))
        ratio = median(x / y for x, y in zip(after, before, strict=True))
        more[what] = ratio - 1, median(after) - median(before)
        line = f"{what[0]:8} {what[1]:12} {median(before):7.1f} us, {median(after):7.1f} us, {ratio:.3f} times"
        print(line)  # noqa: T201 - the measurement
    for name in ("create", "patch"):
        assert more[name, "postgresql"][0] < MOST_MORE_IN_POSTGRESQL, name
        assert more[name, "us"][1] < MOST_MORE_IN_US, name
