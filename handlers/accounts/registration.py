"""An account to make, by its user or a superuser: its password was judged and hashed. By mail it begins later."""

from dataclasses import replace
from datetime import datetime, timedelta

from asyncpg import UniqueViolationError
from pydantic import MISSING
from uuid_utils.compat import uuid7

from generated import models
from generated.models import AuditAction, AuditOutcome
from generated.operations import AccountConflict, LinkRefused
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import PublicCall
from handlers.shared.mail import count_mail, post
from persistence.engine.pool import Database
from persistence.queries.accounts import registrations, users
from persistence.queries.accounts.registrations import Registered
from persistence.queries.accounts.users import NewUser, key, words
from security.passwords import Passwords

KEPT = timedelta(days=5)
"""For which a registration waits for its mail to be sent."""


async def new(
    wanted: models.UserRegister | models.UserCreate,
    passwords: Passwords,
    now: datetime,
    *,
    is_superuser: bool = False,
    is_verified: bool = False,
) -> NewUser:
    """The account, which has no password yet where none is sent. Raises security.password_strength.PasswordRefused."""
    username = None if wanted.username is MISSING else wanted.username
    full_name = None if wanted.full_name is MISSING else wanted.full_name
    names = [name for name in (username, full_name) if name is not None]
    hashed = None
    if wanted.password is not MISSING:
        await passwords.check(wanted.password, email=wanted.email, names=names)
        hashed = await passwords.hash(wanted.password)
    return NewUser(
        id=uuid7(),
        email=wanted.email,
        email_key=key(wanted.email),
        verified_email_key=key(wanted.email) if is_verified else None,
        username=username,
        username_key=None if username is None else key(username),
        full_name=full_name,
        hashed_password=hashed,
        is_superuser=is_superuser,
        created_at=now,
        words=words(wanted.email, username, full_name),
        organization_name=name_organization(wanted.email, username, full_name),
    )


async def await_link(call: PublicCall, account: NewUser) -> None:
    """Have the account begin by a mailed link. What is done is the same whether the address has an account or not.

    Raises AccountConflict when another has the username.
    """
    await count_mail(call, account.email)
    async with call.db.transaction() as db:
        if account.username_key is not None and await registrations.is_username_taken(db, account.username_key):
            raise AccountConflict("username_taken")
        asked = Registered(**{name: getattr(account, name) for name in registrations.NAMES})
        await registrations.insert(db, asked, now=call.now, until=call.now + KEPT)
        await post(db, call, "registration", account.email, subject_id=account.id)


async def confirm(call: PublicCall, hashed: bytes) -> None:
    """Have the account begin whose mailed link has a token of this hash. Raises LinkRefused."""
    async with call.db.transaction() as db:
        found = await registrations.take(db, hashed, now=call.now)
        if found is None:
            raise LinkRefused("invalid_link")
        user = await begin(db, account_of(found, call.now))
        await registrations.forget(db, found.email_key)
        target = audit_trail.user(user.id)
        await record(db, call, AuditAction.auth_registered, AuditOutcome.success, target=target)


async def begin(db: Database, account: NewUser) -> models.User:
    """The account, without its username if another has taken that. Raises LinkRefused when another has the address."""
    nameless = replace(account, username=None, username_key=None, words=words(account.email, None, account.full_name))
    for wanted in (account, nameless):
        try:
            async with db.transaction() as step:
                return await users.insert(step, wanted)
        except UniqueViolationError:
            continue
    raise LinkRefused("invalid_link")


def account_of(found: Registered, now: datetime) -> NewUser:
    return NewUser(
        id=found.id,
        email=found.email,
        email_key=found.email_key,
        verified_email_key=found.email_key,
        username=found.username,
        username_key=None if found.username is None else key(found.username),
        full_name=found.full_name,
        hashed_password=found.hashed_password,
        is_superuser=False,
        created_at=now,
        words=words(found.email, found.username, found.full_name),
        organization_name=name_organization(found.email, found.username, found.full_name),
    )


def name_organization(email: str, username: str | None, full_name: str | None) -> str:
    """How the personal organization of an account is called."""
    return full_name or username or email.partition("@")[0]
