"""An account to make, whoever makes it: its password has been judged and hashed."""

from datetime import datetime

from pydantic import MISSING
from uuid_utils.compat import uuid7

from generated import models
from persistence.queries.accounts.users import NewUser, key, words
from security.passwords import Passwords


async def new(
    wanted: models.UserRegister | models.UserCreate, passwords: Passwords, now: datetime, *, is_superuser: bool = False
) -> NewUser:
    """The account. Raises security.password_strength.PasswordRefused."""
    username = None if wanted.username is MISSING else wanted.username
    full_name = None if wanted.full_name is MISSING else wanted.full_name
    names = [name for name in (username, full_name) if name is not None]
    await passwords.check(wanted.password, email=wanted.email, names=names)
    return NewUser(
        id=uuid7(),
        email=wanted.email,
        email_key=key(wanted.email),
        username=username,
        username_key=None if username is None else key(username),
        full_name=full_name,
        hashed_password=await passwords.hash(wanted.password),
        is_superuser=is_superuser,
        created_at=now,
        words=words(wanted.email, username, full_name),
        organization_name=full_name or username or wanted.email.partition("@")[0],
    )
