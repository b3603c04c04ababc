"""Chance that comes out the same for the same name, on every machine and under every Python."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")
TAIL = 74  # the bits of a UUIDv7 that are not its moment, its version or its variant


class Dice:
    """Chance under a name: the same name answers the same questions the same way."""

    def __init__(self, *name: object) -> None:
        self._random = Random("/".join(map(str, name)))  # noqa: S311 - nothing here is to be kept secret

    def chance(self, share: float) -> bool:
        """True so often, from 0 to 1."""
        return self._random.random() < share

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def early(self, options: Sequence[T], skew: float = 2) -> T:
        """One of the options, the first most often: the first tenth makes a third at a skew of 2, nearly half at 3."""
        return options[int(self._random.random() ** skew * len(options))]

    def weigh(self, options: Mapping[T, float]) -> T:
        """One of the options, each as often as its weight says."""
        return self._random.choices(list(options), list(options.values()))[0]

    def tail(self) -> int:
        """What makes an id unlike any other."""
        return self._random.getrandbits(TAIL)


def uuid7(moment: datetime, tail: int) -> UUID:
    """The UUIDv7 (RFC 9562) of a moment with this tail."""
    milliseconds = int(moment.timestamp() * 1000)
    high, low = divmod(tail, 1 << 62)
    return UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)
