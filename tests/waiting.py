"""Waiting for what others do, which no event tells: the server's sessions, other processes."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(ask: Callable[[], Awaitable[object]], answer: object, *, seconds: float = 30) -> None:
    """Ask again and again until the answer is this one. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while await ask() != answer:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
