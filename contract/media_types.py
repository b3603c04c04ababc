"""Media types: compared in any case, their parameters told apart, and chosen by `Accept` (RFC 9110, 12.5.1)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

ASCII = ("utf-8", "us-ascii", "utf8")


class MediaType(NamedTuple):
    """A media type or a range of them, in lower case, with its parameters."""

    essence: str
    parameters: frozenset[tuple[str, str]] = frozenset()

    @property
    def charset(self) -> str | None:
        return dict(self.parameters).get("charset", "").lower() or None

    def covers(self, other: "MediaType") -> bool:
        """Whether it is the same one, or a range that the other is within. UTF-8 need not be said."""
        ours = {(name, value) for name, value in self.parameters if name != "charset" or value.lower() not in ASCII}
        if not ours <= other.parameters:
            return False
        kind, _, rest = self.essence.partition("/")
        return self.essence in ("*/*", other.essence) or (rest == "*" and other.essence.startswith(f"{kind}/"))


@lru_cache(maxsize=1024)
def parse_media_type(text: str) -> MediaType:
    """The media type that a text is."""
    essence, *rest = text.split(";")
    named = [part.partition("=") for part in rest if part.strip()]
    pairs = [(name.strip().lower(), value.strip().strip('"')) for name, _, value in named]
    return MediaType(essence.strip().lower(), frozenset(pairs))


def is_json(media_type: str) -> bool:
    """Whether it is JSON: `application/json`, or anything that ends in `+json`."""
    essence = parse_media_type(media_type).essence
    return essence == "application/json" or essence.endswith("+json")


def select_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """What of the offered is wanted most, of several the first; None: nothing of it is wanted."""
    if not accept or not accept.strip():
        return offered[0]
    ranges = [parse_range(item) for item in accept.split(",") if item.strip()]
    best, most = None, 0.0
    for one in offered:
        told = parse_media_type(one)
        fitting = [(specific(wanted), weight) for wanted, weight in ranges if wanted.covers(told)]
        weight = max(fitting)[1] if fitting else 0.0
        if weight > most:
            best, most = one, weight
    return best


def specific(wanted: MediaType) -> tuple[int, int]:
    """How much a range says: what says more goes before."""
    return -wanted.essence.count("*"), len(wanted.parameters)


def parse_range(item: str) -> tuple[MediaType, float]:
    """A range of `Accept` and its weight."""
    told = parse_media_type(item)
    quality = dict(told.parameters).get("q")
    parameters = frozenset((name, value) for name, value in told.parameters if name != "q")
    if quality is None:
        return told, 1.0
    return MediaType(told.essence, parameters), float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
