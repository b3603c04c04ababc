"""A stream of changes, as its reader and those who fill it share it."""

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from pydantic import MISSING

from contract.types import Json
from generated import models
from generated.models import StreamEndReason
from persistence.authorization import Caller
from persistence.queries.changes import Position

MOST_WAITING = 4 * 1024 * 1024  # bytes that wait for a reader
SLOWEST = 10.0  # seconds in which a reader takes something


class Told(NamedTuple):
    """A change, and the position behind it."""

    text: Json[models.StreamedChange]
    place: Position


class Stream:
    """What waits for the reader of a stream. `end`: why nothing comes any more."""

    __slots__ = (
        "caller", "end", "epoch", "is_behind", "is_slow", "organization_id", "position", "size", "taken_at", "waiting",
        "woken",
    )  # fmt: skip

    def __init__(self, caller: Caller, organization_id: UUID | MISSING, epoch: UUID) -> None:
        self.caller, self.organization_id, self.epoch = caller, organization_id, epoch
        self.position: Position | None = None
        """From which on it is told; None: it reads by itself still."""
        self.waiting: deque[Told] = deque()
        self.size = 0
        self.taken_at = monotonic()
        self.woken = asyncio.Event()
        self.is_behind = self.is_slow = False
        self.end: StreamEndReason | None = None

    def judge(self) -> None:
        """Give up a reader that has taken too little of what it was given before: forget all that waits."""
        if self.waiting and (self.size > MOST_WAITING or monotonic() - self.taken_at > SLOWEST):
            self.is_slow = True
            self.waiting.clear()
            self.woken.set()

    def put(self, told: Told) -> None:
        """Let the reader know of it."""
        if not self.waiting:
            self.taken_at = monotonic()
        self.waiting.append(told)
        self.size += len(told.text)
        self.woken.set()

    def fall_behind(self) -> None:
        """Let the reader read on by itself: something was told meanwhile that it has not heard."""
        self.position, self.is_behind = None, True
        self.woken.set()

    def finish(self, reason: StreamEndReason) -> None:
        """Tell the reader no more."""
        self.end = self.end or reason
        self.woken.set()

    def take(self) -> Told | None:
        """The next that waits, if there is one."""
        if not self.waiting:
            return None
        told = self.waiting.popleft()
        self.size -= len(told.text)
        self.taken_at = monotonic()
        return told

    async def wait(self, seconds: float) -> None:
        """Until something is there to be looked at, for at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        self.woken.clear()
