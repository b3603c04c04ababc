"""What is written in each kind of mail, by what is known at the moment when it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from handlers.accounts.links import make_link
from persistence.engine.pool import Database
from persistence.queries.accounts import one_time_tokens, users
from persistence.queries.outbox import ClaimedMail

OPEN_LINKS = 5  # of an account, that were mailed and can still be used


class Letter(NamedTuple):
    """The template of a mail, and what is filled in."""

    template: str
    values: Mapping[str, str]
    to: str | None = None
    """Where it goes, if not to the address that was asked for."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where mails are written: the database, and what links begin with."""

    db: Database
    public_url: str


Writer: TypeAlias = Callable[[Desk, ClaimedMail], Awaitable[Letter | None]]
"""Writes a mail, and makes the links in it. None: there is nothing to say any more."""


async def write_test(desk: Desk, _mail: ClaimedMail) -> Letter:
    return Letter("test", {"links_from": desk.public_url})


async def write_password_reset(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """A link that sets a password, to the address as the account has it: what was asked for may only look like it."""
    user = await users.find_by_email(desk.db, users.key(mail.recipient))
    if user is None or user.email is None or not user.is_active:
        return None
    if await one_time_tokens.count_mailed(desk.db, user.id, "password_reset", now=datetime.now(UTC)) >= OPEN_LINKS:
        return None
    link = await make_link(
        desk.db, user.id, "password_reset", base=desk.public_url, now=datetime.now(UTC), email=user.email
    )
    return Letter("password_reset", {"url": link.url}, user.email)


WRITERS: dict[str, Writer] = {"test": write_test, "password_reset": write_password_reset}
"""By the kind of a row of the outbox."""
