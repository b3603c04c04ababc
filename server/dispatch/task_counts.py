"""How many tasks organizations have: enough is known to refuse one too many, and creating one asks for no more."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import structlog
from pydantic import MISSING

from persistence.authorization import Room
from persistence.engine.pool import AWAY, Database
from persistence.queries import tasks

LOOKED_AT = 10_000  # tasks that the statement counts which creates one: some milliseconds at most
BATCH = 50_000  # tasks that one statement counts beside that
LIFE = 60.0  # seconds for which a count is believed
REFRESH = 30.0  # seconds after which one that refuses is counted anew
KEPT = 10_000  # organizations
AT_ONCE = 100  # organizations whose count is waited for
NONE = Room(looks=0, most=0)
FIRST = UUID(int=0)
log = structlog.get_logger("task_counts")


@dataclass(slots=True)
class Known:
    """So many tasks, as of then, and what was added here since."""

    count: int
    since: float


class TaskCounts:
    """Counts by `organization`: in the statement that creates a task, up to LOOKED_AT; beyond that in the background.

    What is known is a minute old at most, and lacks what others add meanwhile. No row is locked for it. A count that
    fails refuses nothing.
    """

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self.known: OrderedDict[UUID, Known] = OrderedDict()
        self.counting: dict[UUID, asyncio.Task[None]] = {}
        self.turn = asyncio.Lock()
        self.db: Database | None = None

    def room(self, organization_id: UUID, /) -> Room | MISSING:
        """What the statement that puts a task there has to look at; MISSING: there is room."""
        known = self.known.get(organization_id)
        age = LIFE if known is None else monotonic() - known.since
        if known is not None and known.count >= self.quota > LOOKED_AT:
            if age >= REFRESH:
                self.begin_to_count(organization_id)
            return NONE
        if known is not None and known.count < self.quota and age < LIFE:
            return MISSING
        return Room(looks=min(self.quota, LOOKED_AT), most=self.quota)

    def learn(self, organization_id: UUID, counted: int | None, /) -> None:
        """One more is there, beside those that were counted, if they were."""
        known = self.known.get(organization_id)
        if known is not None and (counted is None or monotonic() - known.since < LIFE):
            known.count = max(known.count, counted or 0) + 1  # many at once see none of each other
        elif counted is not None:
            self.keep(organization_id, counted + 1)
        if counted is not None and counted >= LOOKED_AT:
            self.begin_to_count(organization_id)

    def keep(self, organization_id: UUID, count: int) -> None:
        self.known[organization_id] = Known(count, monotonic())
        self.known.move_to_end(organization_id)
        if len(self.known) > KEPT:
            self.known.popitem(last=False)

    def begin_to_count(self, organization_id: UUID) -> None:
        """Count beside all else, one organization after another."""
        if self.db is None or organization_id in self.counting or len(self.counting) >= AT_ONCE:
            return
        task = asyncio.create_task(self.count(organization_id, self.db))
        self.counting[organization_id] = task
        task.add_done_callback(lambda _: self.counting.pop(organization_id))

    async def count(self, organization_id: UUID, db: Database) -> None:
        """Count all tasks of the organization, as far as it matters."""
        async with self.turn:
            count, batch, last = 0, BATCH, FIRST
            try:
                while batch == BATCH and count < self.quota:
                    batch, last = await tasks.count_some(db, organization_id, after=last, most=BATCH)
                    count += batch
            except AWAY as error:
                log.warning("tasks_not_counted", organization_id=str(organization_id), reason=repr(error))
            else:
                self.keep(organization_id, count)

    @asynccontextmanager
    async def counting_in(self, db: Database, /) -> AsyncIterator[None]:
        """Count in this database, until it is closed."""
        self.db = db
        yield
        self.db = None
        under_way = list(self.counting.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
