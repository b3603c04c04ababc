"""An account of another issuer's user: it is found, or made at first sight."""

from dataclasses import replace
from uuid import UUID

import jsonschema_rs
from asyncpg import UniqueViolationError
from pydantic import MISSING, TypeAdapter, ValidationError
from uuid_utils.compat import uuid7

from generated import models
from generated.models import AuditAction, AuditOutcome
from handlers.accounts.one_line import clean_line
from handlers.shared import audit_trail
from handlers.shared.audit_trail import record
from handlers.shared.call import PublicCall
from persistence.authorization import Caller, SessionOver
from persistence.engine.pool import Database
from persistence.queries.accounts import identities
from persistence.queries.accounts.identities import Arrival
from persistence.queries.accounts.users import key, words
from security.external_tokens import Outsider
from security.keys import Keys

EMAIL: TypeAdapter[str] = TypeAdapter(models.Email)
FORM = jsonschema_rs.validator_for({"format": "email"}, validate_formats=True)
NAMELESS = "Personal"  # how the personal organization of somebody without a name and an e-mail is called
LONGEST_NAME = 255  # characters


async def account_of(call: PublicCall, outsider: Outsider) -> UUID:
    """The id of the account, which is made when there is none.

    Raises SessionOver when it was deleted after the token was issued.
    """
    found = await look(call.db, call, outsider)
    if found is not None:
        return found
    email = outsider.email if outsider.email is not None and is_email(outsider.email) else None
    full_name = None if outsider.full_name is None else clean_line(outsider.full_name, LONGEST_NAME)
    arrival = Arrival(
        id=uuid7(),
        issuer=outsider.namespace,
        subject=outsider.subject,
        email=email,
        email_key=None if email is None else key(email),
        is_superuser=False,
        created_at=call.now,
        words=words(email, None, full_name),
        words_without_email=words(None, None, full_name),
        full_name=full_name,
        organization_name=full_name or (NAMELESS if email is None else email.partition("@")[0]),
    )
    try:
        return await create_account(call, arrival, outsider)
    except UniqueViolationError:  # somebody else took the e-mail meanwhile
        return await create_account(
            call, replace(arrival, email=None, email_key=None, words=arrival.words_without_email), outsider
        )


async def look(db: Database, call: PublicCall, outsider: Outsider) -> UUID | None:
    """The id of the account, if there is one. Raises SessionOver when the token is older than a deletion."""
    graves = graves_of(call.process.keys, outsider.namespace, outsider.subject)
    standing = await identities.find(db, outsider.namespace, outsider.subject, graves=graves)
    if standing.deleted_at is not None and outsider.issued_at <= standing.deleted_at:
        raise SessionOver
    return standing.user_id


async def create_account(call: PublicCall, arrival: Arrival, outsider: Outsider) -> UUID:
    """The id of the account: this one, or the one that another request made first. Raises SessionOver."""
    async with call.db.transaction() as db:
        is_first = await identities.insert(db, arrival)
        found = await look(db, call, outsider)  # again: this sees a deletion that the insertion waited for
        if found is None:
            raise SessionOver
        if is_first:
            by, myself = Caller(found, MISSING, call.now), audit_trail.user(found)
            await record(db, call, AuditAction.auth_registered, AuditOutcome.success, by=by, target=myself)
    return found


def graves_of(keys: Keys, issuer: str, subject: str) -> list[bytes]:
    """What is kept of an identity when its account is deleted: the hash by the key of today, then by the one before."""
    return keys.digests("deletion", f"{issuer}\0{subject}")


def is_email(text: str) -> bool:
    """Whether it is an e-mail address as the contract has them."""
    try:
        EMAIL.validate_python(text)
    except ValidationError:
        return False
    return FORM.is_valid(text)
