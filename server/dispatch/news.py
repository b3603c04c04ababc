"""Who waits for changes: one question to the database for all that wait in this process, and none without them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

from handlers.shared.call import Life
from persistence.engine.pool import AWAY, Database
from persistence.queries import changes

EVERY = 0.25  # seconds between two questions
log = structlog.get_logger("changes")


@dataclass(slots=True, eq=False)
class Listener:
    """Waits for something in its feeds, from a transaction on."""

    feeds: Sequence[UUID]
    xid: int
    woken: asyncio.Event


class Watch:
    """Wakes those that wait for a feed when something was written there, and all when the process is to end."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.db: Database | None = None
        self.listeners: set[Listener] = set()
        self.looking: asyncio.Task[None] | None = None

    async def wait(self, feeds: Sequence[UUID], xid: int, seconds: float) -> None:
        listener = Listener(feeds, xid, asyncio.Event())
        self.listeners.add(listener)
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self.look())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await listener.woken.wait()
        finally:
            self.listeners.discard(listener)

    async def look(self) -> None:
        """Ask until no listener is left."""
        while self.listeners:
            await asyncio.sleep(EVERY)
            listeners = list(self.listeners)
            if self.life.ending or self.db is None:
                for listener in listeners:
                    listener.woken.set()
            elif listeners:
                try:
                    await self.wake(self.db, listeners)
                except AWAY as error:
                    log.warning("changes_unread", reason=type(error).__name__)

    async def wake(self, db: Database, listeners: Sequence[Listener]) -> None:
        """Those of the listeners for which there is something."""
        feeds = {feed for listener in listeners for feed in listener.feeds}
        first = min(listener.xid for listener in listeners)
        horizon, newest = await changes.look(db, [*feeds], datetime.now(UTC).date(), first)
        for listener in listeners:
            if any(newest.get(feed, -1) >= listener.xid for feed in listener.feeds):
                listener.woken.set()
            listener.xid = max(listener.xid, horizon)

    @asynccontextmanager
    async def watching(self, db: Database) -> AsyncIterator[None]:
        """Ask this database, until the context ends."""
        self.db = db
        try:
            yield
        finally:
            self.db = None
            if self.looking is not None:
                self.looking.cancel()
                await asyncio.gather(self.looking, return_exceptions=True)
