"""Waiting for what others do, which no event tells: the server's sessions, other processes."""

import asyncio
from collections.abc import Awaitable, Callable

from persistence.engine.pool import Database

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def until(ask: Callable[[], Awaitable[object]], answer: object, *, seconds: float = 30) -> None:
    """Ask again and again until the answer is this one. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while await ask() != answer:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


async def somebody_waits(db: Database, number: int = 1) -> None:
    """Until so many statements wait for a lock, which they do on in a test that is `patient`. Raises TimeoutError."""

    async def waiting() -> int:
        return int((await db.fetch(WAITING, []))[0][0])

    await until(waiting, number)
