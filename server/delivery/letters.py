"""What is written in each kind of mail, by what is known at the moment when it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from handlers.accounts import links
from persistence.engine.pool import Database
from persistence.queries import invitations, outbox
from persistence.queries.accounts import one_time_tokens, registrations, users
from persistence.queries.accounts.one_time_tokens import Purpose
from persistence.queries.accounts.users import key
from persistence.queries.outbox import ClaimedMail
from security.one_time_tokens import hash_token, make_token
from server.delivery.rendering import quote_name

PAGE = links.PAGES["email_verification"]

OPEN_LINKS = 5  # of an account and a purpose, that were mailed and can still be used


class Letter(NamedTuple):
    """The template of a mail, and what is filled in."""

    template: str
    values: Mapping[str, str]
    to: str | None = None
    """Where it goes, if not to the address that was asked for."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where mails are written: a transaction, and what links begin with.

    Who makes a link of an account locks it first: what ends all its links comes before and is seen, or after.
    """

    db: Database
    public_url: str


Writer: TypeAlias = Callable[[Desk, ClaimedMail], Awaitable[Letter | None]]
"""Writes a mail, and makes the links in it. None: there is nothing to say any more."""


async def write_test(desk: Desk, _mail: ClaimedMail) -> Letter:
    return Letter("test", {"links_from": desk.public_url})


async def write_password_reset(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """A link that sets a password, to the address as the account has it: what was asked for may only look like it."""
    user = await users.hold_address_by_email(desk.db, key(mail.recipient))
    if user is None or user.email is None:
        return None
    return await write_link(desk, user.id, user.email, "password_reset", "password_reset")


async def write_invitation(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """An invitation that is still open, with a new link, which ends the one before."""
    token = make_token()
    found = mail.subject_id and await invitations.set_mailed_key(desk.db, mail.subject_id, hash_token(token))
    if not found:
        return None
    values = {
        "organization": quote_name(found.organization),
        "inviter": quote_name(found.inviter or "Somebody"),
        "role": found.role,
        "url": f"{desk.public_url}/invitation#token={token}",
        "expires": f"{found.expires_at:%Y-%m-%d}",
    }
    return Letter("invitation", values, found.email)


async def write_registration(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """The link by which an account begins, or to who has the address that it has an account."""
    email_key, token, now = key(mail.recipient), make_token(), datetime.now(UTC)
    known = await users.find_by_email(desk.db, email_key)
    if known is not None:
        await registrations.forget(desk.db, email_key)
        return Letter("email_known", {"url": desk.public_url}, known.email)
    hashed, until = hash_token(token), now + links.LIFE
    if mail.subject_id is None or not await registrations.open_link(
        desk.db, mail.subject_id, key=hashed, now=now, until=until
    ):
        return None
    return Letter("registration", {"url": f"{desk.public_url}/{PAGE}#token={token}"})


async def write_verification(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """The link by which an account shows that its address is its own."""
    account = await hold_account(desk, mail)
    if account is None or account.is_verified or account.email != mail.recipient:
        return None
    return await write_link(desk, account.id, mail.recipient, "email_verification", "email_verification")


async def write_change(desk: Desk, mail: ClaimedMail) -> Letter | None:
    """The link by which an account gets another address, or to who has that, that it has an account."""
    account = await hold_account(desk, mail)
    if account is None:
        return None
    other = await users.find_by_email(desk.db, key(mail.recipient))
    if other is not None and other.id != account.id:
        return Letter("email_known", {"url": desk.public_url}, other.email)
    return await write_link(desk, account.id, mail.recipient, "email_verification", "email_change")


async def hold_account(desk: Desk, mail: ClaimedMail) -> users.Address | None:
    """The account that a mail is about, locked; None where it is gone, or has ended the mail since it was claimed."""
    account = mail.subject_id and await users.hold_address(desk.db, mail.subject_id)
    return account if account and await outbox.is_ours(desk.db, mail.id, attempts=mail.attempts) else None


async def write_link(desk: Desk, user_id: UUID, email: str, purpose: Purpose, template: str) -> Letter | None:
    """A new link of an account, which is locked; None where as many are open as may be."""
    now = datetime.now(UTC)
    if await one_time_tokens.count_mailed(desk.db, user_id, purpose, now=now) >= OPEN_LINKS:
        return None
    link = await links.make_link(desk.db, user_id, purpose, base=desk.public_url, now=now, email=email)
    return Letter(template, {"url": link.url}, email)


async def write_changed(_desk: Desk, _mail: ClaimedMail) -> Letter:
    """To an address of before: the account has another one."""
    return Letter("email_changed", {})


WRITERS: dict[str, Writer] = {
    "test": write_test,
    "password_reset": write_password_reset,
    "invitation": write_invitation,
    "registration": write_registration,
    "email_verification": write_verification,
    "email_change": write_change,
    "email_changed": write_changed,
}
"""By the kind of a row of the outbox."""
