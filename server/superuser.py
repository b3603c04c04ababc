"""The first superuser, whom nobody could make through the API."""

from datetime import UTC, datetime
from importlib import resources
from typing import Any, Literal

import asyncpg
from pydantic_core import from_json

from contract.validation import faults, validators
from generated import models
from handlers import accounts
from persistence import users
from persistence.engine import Transaction
from security.passwords import Passwords
from security.strength import PasswordRefused
from server.commands import CommandError
from server.settings import Settings
from server.storage import connected

SCHEMA = "#/components/schemas/UserRegister"
Outcome = Literal["made", "promoted", "is one", "is none"]


async def make(url: str, settings: Settings, email: str, password: str, *, promote: bool = False) -> Outcome:
    """What became of the account. One that exists keeps its password, and is promoted only when told so.

    Raises CommandError.
    """
    async with connected(url) as connection:
        db = Transaction(connection)
        try:
            found = await users.find_by_email(db, users.key(email))
            if found is None:
                await users.insert(db, await account(settings, email, password))
                return "made"
        except asyncpg.UniqueViolationError:  # another server that starts was first
            found = await users.find_by_email(db, users.key(email))
        except asyncpg.UndefinedTableError:
            raise CommandError("The database was never migrated: run `python -m server migrate apply`") from None
        if found is None or found.is_superuser or not promote:
            return "is one" if found is None or found.is_superuser else "is none"
        await users.promote(db, found.id, now=datetime.now(UTC))
        return "promoted"


async def account(settings: Settings, email: str, password: str) -> users.NewUser:
    """An account by the rules of registerUser. Raises CommandError."""
    document = from_json(resources.files("generated").joinpath("openapi.json").read_bytes())
    wanted: dict[str, Any] = {"email": email, "password": password}
    for fault in faults("body", validators(document)[SCHEMA], wanted):
        raise CommandError(f"The superuser's {fault.pointer.strip('/')}: {fault.detail}")
    passwords = Passwords(rounds=settings.bcrypt_cost, threads=1)
    try:
        return await accounts.new(models.UserRegister(**wanted), passwords, datetime.now(UTC), is_superuser=True)
    except PasswordRefused as refused:
        raise CommandError(f"The superuser's password: {refused.detail}") from None
    finally:
        passwords.close()
