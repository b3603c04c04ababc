"""What is written in each kind of mail, by what is known at the moment when it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from persistence.engine.pool import Database
from persistence.queries.outbox import ClaimedMail


class Letter(NamedTuple):
    """The template of a mail, and what is filled in."""

    template: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where mails are written: the database, and what links begin with."""

    db: Database
    public_url: str


Writer: TypeAlias = Callable[[Desk, ClaimedMail], Awaitable[Letter | None]]
"""Writes a mail, and makes the links in it. None: there is nothing to say any more."""


async def write_test(desk: Desk, _mail: ClaimedMail) -> Letter:
    return Letter("test", {"links_from": desk.public_url})


WRITERS: dict[str, Writer] = {"test": write_test}
"""By the kind of a row of the outbox."""
