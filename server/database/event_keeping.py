"""The event log of a database: that it has room for the days to come, and an epoch of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from persistence.engine.pool import AWAY, Database
from persistence.queries import event_log

EVERY = 60.0  # seconds between two looks: as long as nothing can be written where a day is missing
SOON = 10.0  # seconds after one that failed
log = structlog.get_logger("events")


async def look_after(db: Database) -> float:
    """Make the days that are missing, and a new epoch in a new place. Tells in how many seconds to look again."""
    try:
        if made := await event_log.make_days(db):
            log.info("event_days_made", days=made)
        if not await event_log.is_same(db) and await event_log.renew_elsewhere(db):
            log.info("event_epoch_begun")
    except AWAY as error:
        log.warning("event_log_unkept", reason=type(error).__name__)
        return SOON
    return EVERY


@asynccontextmanager
async def looking_after(db: Database) -> AsyncIterator[None]:
    """Look after the log beside all else, until the context ends."""

    async def keep() -> None:
        pause = await look_after(db)
        while True:
            await asyncio.sleep(pause)
            pause = await look_after(db)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
