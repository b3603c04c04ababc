"""A look at something, at most once a second, which all who ask share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
SECONDS = 1.0


class Glance(Generic[T]):
    """Remembers what `look` saw for a second; who asks while it looks waits for the same look."""

    __slots__ = ("began", "looking")

    def __init__(self) -> None:
        self.began = 0.0
        self.looking: asyncio.Future[T] | None = None

    async def see(self, look: Callable[[], Awaitable[T]]) -> T:
        """What was seen last. A client that leaves meanwhile does not end the look of the others."""
        now = asyncio.get_running_loop().time()
        if self.looking is None or (self.looking.done() and now - self.began >= SECONDS):
            self.began, self.looking = now, asyncio.ensure_future(look())
        return await asyncio.shield(self.looking)
