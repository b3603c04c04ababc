"""Where requests are counted: in Redis for all instances, in this process where there is none or it is away."""

import time
from collections.abc import Callable

import structlog

from server.rate_limiting.sliding_window import Count, Memory, Place, count_of

PAUSE = 1.0  # seconds for which Redis is not asked after it gave no answer
log = structlog.get_logger("limits")


class Counters:
    """Counts, in Redis if `redis_url` names one. `failures` is how often that did not answer.

    `fell_back` is called for each request that is counted here because Redis is away.
    """

    def __init__(self, redis_url: str | None, fell_back: Callable[[], None]) -> None:
        self.fell_back = fell_back
        self.own = Memory()
        self.failures = 0
        self.away_until: float | None = None
        if redis_url is None:
            self.shared = None
        else:
            from server.rate_limiting import redis_counters  # noqa: PLC0415 - most servers do without

            self.shared = redis_counters.SharedMemory(redis_url)
            self.away = redis_counters.AWAY

    async def hit(self, key: str, limit: int, seconds: int) -> Count:
        """Count one, if it is not one too many."""
        if self.shared is not None and self.may_be_asked():
            try:
                answer = await self.shared.hit(key, limit, seconds)
            except self.away as error:
                self.fail(error)
            else:
                self.succeed()
                return count_of(limit, seconds, *answer)
        if self.shared is not None:
            self.fell_back()
        return count_of(limit, seconds, *self.own.hit(key, limit, seconds))

    async def hit_both(self, narrow: Place, wide: Place, seconds: int) -> tuple[Count, Count]:
        """Count one in both, if it is one too many in neither: what one refuses uses up nothing of the other."""
        hits = None
        if self.shared is not None and self.may_be_asked():
            try:
                hits = await self.shared.hit_both(narrow, wide, seconds)
            except self.away as error:
                self.fail(error)
            else:
                self.succeed()
        if hits is None:
            if self.shared is not None:
                self.fell_back()
            hits = self.own.hit_both(narrow, wide, seconds)
        return count_of(narrow[1], seconds, *hits[0]), count_of(wide[1], seconds, *hits[1])

    def may_be_asked(self) -> bool:
        """Whether Redis is there as far as we know. Of those who come while it is away one finds out, now and then."""
        if self.away_until is None:
            return True
        if time.monotonic() < self.away_until:
            return False
        self.away_until = time.monotonic() + PAUSE
        return True

    def succeed(self) -> None:
        if self.away_until is not None:
            self.away_until = None
            log.info("redis_back")

    def fail(self, error: Exception) -> None:
        self.failures += 1
        if self.away_until is None:
            log.warning("redis_away", reason=type(error).__name__)
        self.away_until = time.monotonic() + PAUSE

    async def look(self) -> float | None:
        """How many seconds Redis took to answer; None when it did not."""
        if self.shared is None:
            return None
        began = time.monotonic()
        try:
            await self.shared.ping()
        except self.away as error:
            self.fail(error)
            return None
        self.succeed()
        return time.monotonic() - began

    async def close(self) -> None:
        if self.shared is not None:
            await self.shared.close()
