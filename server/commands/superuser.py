"""The first superuser, which cannot be made through the API."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Literal
from uuid import UUID

import asyncpg
from pydantic_core import from_json
from uuid_utils.compat import uuid7

from contract.schemas import Schemas
from contract.validation import faults
from generated import models
from generated.models import AuditAction, AuditActorType, AuditOutcome, AuditTargetType
from handlers.accounts import registration
from handlers.accounts.provisioning import NAMELESS
from persistence.engine.pool import Database, Transaction
from persistence.queries import audit
from persistence.queries.accounts import identities, users
from persistence.queries.accounts.identities import Arrival
from persistence.queries.audit import Entry
from security.external_tokens import is_subject
from security.password_strength import PasswordRefused
from security.passwords import Passwords
from server.complaints import CommandError
from server.database.connect import connect
from server.settings import external_issuers
from server.settings.settings import Settings

SCHEMA = "#/components/schemas/UserRegister"
Outcome = Literal["made", "promoted", "is one", "is none"]


async def make(url: str, settings: Settings, email: str, password: str, *, promote: bool = False) -> Outcome:
    """What became of the account. One that exists keeps its password, and is promoted only when told so.

    Raises CommandError.
    """
    for name, text in (("email", email), ("password", password)):
        if not is_storable(text):
            raise CommandError(f"The superuser's {name}: Must be a text in UTF-8 without NUL")
    async with connect(url) as connection:
        db = Transaction(connection)
        try:
            found = await users.find_by_email(db, users.key(email))
            if found is None:
                made = await account(settings, email, password)
                async with db.transaction() as together:
                    await users.insert(together, made)
                    await note(together, made.id)
                return "made"
        except asyncpg.UniqueViolationError:  # another server that starts was first
            found = await users.find_by_email(db, users.key(email))
        if found is None or found.is_superuser or not promote:
            return "is one" if found is None or found.is_superuser else "is none"
        async with db.transaction() as together:
            await users.promote(together, found.id)
            await note(together, found.id)
        return "promoted"


def is_storable(text: str) -> bool:
    """Whether PostgreSQL takes the text: not what was read of bytes that are no UTF-8."""
    return re.search("[\0\ud800-\udfff]", text) is None


async def make_external(url: str, settings: Settings, namespace: str, subject: str) -> Outcome:
    """What became of the account of another issuer's user. Raises CommandError."""
    known = external_issuers.namespaces_of(settings)
    if namespace not in known:
        there_is = f"there is {' and '.join(known)}" if known else "set AUTH_MODE first"
        raise CommandError(f"The settings name no issuer whose namespace is {namespace}: {there_is}")
    if not is_subject(subject):
        raise CommandError("The subject must be a text of 1 to 255 characters")
    arrival = Arrival(
        id=uuid7(),
        issuer=namespace,
        subject=subject,
        email=None,
        email_key=None,
        is_superuser=True,
        created_at=datetime.now(UTC),
        words="",
        organization_name=NAMELESS,
    )
    async with connect(url) as connection, Transaction(connection).transaction() as together:
        made = await identities.insert(together, arrival)
        found = await identities.find(together, namespace, subject, graves=[])
        if found.user_id is None or not (made or await users.promote(together, found.user_id)):
            return "is one"
        await note(together, found.user_id)
    return "made" if made else "promoted"


async def note(db: Database, user_id: UUID) -> None:
    """Write down that an operator made a superuser."""
    await note_deed(db, user_id, AuditAction.user_created_superuser, "create-superuser", ["is_superuser"])


async def note_deed(
    db: Database, user_id: UUID, action: AuditAction, command: str, changes: Sequence[str] = ()
) -> None:
    """Write down what an operator did to an account, by which command."""
    await audit.insert(
        db,
        Entry(
            id=uuid7(),
            occurred_at=datetime.now(UTC),
            actor_type=AuditActorType.system,
            actor_id=None,
            action=action,
            outcome=AuditOutcome.success,
            reason=None,
            target_type=AuditTargetType.user,
            target_id=user_id,
            organization_id=None,
            session_id=None,
            access_token_id=None,
            ip_address=None,
            user_agent=None,
            request_id=command,
            changes=changes,
        ),
    )


async def account(settings: Settings, email: str, password: str) -> users.NewUser:
    """An account by the rules of registerUser. Raises CommandError."""
    document = from_json(resources.files("generated").joinpath("openapi.json").read_bytes())
    wanted: dict[str, Any] = {"email": email, "password": password}
    for fault in faults("body", Schemas(document)[SCHEMA], wanted):
        raise CommandError(f"The superuser's {fault.pointer.strip('/')}: {fault.detail}")
    passwords = Passwords(rounds=settings.bcrypt_cost, threads=1, composition=settings.password_composition)
    try:
        register, now = models.UserRegister(**wanted), datetime.now(UTC)
        return await registration.new(register, passwords, now, is_superuser=True, is_verified=True)
    except PasswordRefused as refused:
        raise CommandError(f"The superuser's password: {refused.detail}") from None
    finally:
        passwords.close()
