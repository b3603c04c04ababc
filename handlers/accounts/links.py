"""Links that are used once, within half an hour: made here, and looked at before and while they are used."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from generated.operations import LinkRefused
from handlers.shared.call import PublicCall
from persistence.engine.pool import Database
from persistence.queries.accounts import one_time_tokens
from persistence.queries.accounts.one_time_tokens import Found, NewToken, Purpose
from security.one_time_tokens import hash_token, make_token

LIFE = timedelta(minutes=30)
PAGES: dict[Purpose, str] = {"password_reset": "reset-password", "email_verification": "verify-email"}
"""The page of the front end that a link leads to."""


class Link(NamedTuple):
    """A link, which is told once. The token stands behind `#`, which no server and no other page is sent."""

    token: str
    url: str
    expires_at: datetime


async def make_link(
    db: Database,
    user_id: UUID,
    purpose: Purpose,
    *,
    base: str,
    now: datetime,
    email: str | None = None,
    made_by: UUID | None = None,
) -> Link:
    """A new link for an account, which begins with `base`. `email`: where it is mailed to; None: it is handed over.

    `made_by`: the superuser who does, and with whose rights it ends.
    """
    token, expires_at = make_token(), now + LIFE
    await one_time_tokens.insert(
        db,
        NewToken(
            key=hash_token(token),
            user_id=user_id,
            purpose=purpose,
            email=email,
            bound_to=None if made_by is None else made_by.bytes,
            created_at=now,
            expires_at=expires_at,
        ),
    )
    return Link(token, f"{base}/{PAGES[purpose]}#token={token}", expires_at)


async def find_link(call: PublicCall, token: str, purpose: Purpose) -> Found:
    """The link, which stays. Raises LinkRefused."""
    found = await one_time_tokens.find(call.db, hash_token(token), purpose, now=call.now)
    if found is None:
        raise LinkRefused("invalid_link")
    return found


async def take_link(call: PublicCall, db: Database, token: str, purpose: Purpose) -> Found:
    """The link, which is used up with the transaction. Lock its account before. Raises LinkRefused."""
    taken = await one_time_tokens.take(db, hash_token(token), purpose, now=call.now)
    if taken is None:
        raise LinkRefused("invalid_link")
    return taken
