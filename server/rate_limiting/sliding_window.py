"""A sliding window: what was counted in it and what that means, and the counters of this process."""

import time
from itertools import islice
from math import ceil, floor
from typing import NamedTuple, TypeAlias

SWEPT = 2  # counters that are looked at when there is one more


class Window(NamedTuple):
    """What was counted in this window and in the one before, and for how many seconds either counts still."""

    previous: int
    previous_left: float
    current: int
    current_left: float


Hit: TypeAlias = tuple[bool, Window]
"""Whether a request was counted, and the window that it was looked for in."""
Place: TypeAlias = tuple[str, int]
"""The key of a counter, and its limit."""


class Count(NamedTuple):
    """Whether a request was not one too many, how many are left, and in how many seconds there are more."""

    passed: bool
    left: int
    seconds: int


def count_of(limit: int, seconds: int, passed: bool, window: Window) -> Count:  # noqa: FBT001 - as it is counted
    """What a window says. The one before counts for the share of it that is not over yet."""
    used = window.previous * window.previous_left / seconds + window.current
    moments = []
    if window.previous:
        moments.append(window.previous_left % (seconds / window.previous))
    if window.current:
        moments.append(window.current_left % seconds)
    return Count(passed, max(0, limit - floor(used)), max(1, ceil(min(moments, default=0))))


class Counter:
    """What was counted for one key: in the window of this number, and in the one before."""

    __slots__ = ("current", "ends", "number", "previous")

    def __init__(self) -> None:
        self.number = self.previous = self.current = 0
        self.ends = 0.0


class Memory:
    """Counters in this process, as the sliding windows of `limits` count; those that are over go as new ones come."""

    def __init__(self) -> None:
        self.counters: dict[str, Counter] = {}

    def hit(self, key: str, limit: int, seconds: int) -> Hit:
        """Count one, if it is not one too many."""
        now = time.time()
        counter = self.counters.get(key)
        if counter is None:
            counter = self.counters[key] = Counter()
            self.sweep(now)
        number, over = divmod(now, seconds)
        if number != counter.number:
            counter.previous = counter.current if number == counter.number + 1 else 0
            counter.number, counter.current, counter.ends = int(number), 0, (number + 2) * seconds
        left = seconds - over
        passed = floor(counter.previous * left / seconds + counter.current) < limit
        counter.current += passed
        return passed, Window(counter.previous, left, counter.current, left + seconds)

    def hit_both(self, narrow: Place, wide: Place, seconds: int) -> tuple[Hit, Hit]:
        """Count one in both, if it is one too many in neither."""
        one = self.hit(*narrow, seconds)
        if not one[0]:
            return one, self.hit(wide[0], 0, seconds)  # which only looks
        other = self.hit(*wide, seconds)
        if not other[0]:
            self.counters[narrow[0]].current -= 1
        return one, other

    def sweep(self, now: float) -> None:
        """Look at two, and at all of them in turn: one comes and two may go."""
        for oldest in list(islice(self.counters, SWEPT)):
            counter = self.counters.pop(oldest)
            if counter.ends > now or not counter.ends:
                self.counters[oldest] = counter
