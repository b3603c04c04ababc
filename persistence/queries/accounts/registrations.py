"""Queries about accounts that begin when a mailed link is followed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from sqlalchemy import delete, select
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from persistence.engine.statements import Sql, column_values, one, query
from persistence.tables import Registration, User


@dataclass(frozen=True, slots=True)
class Registered:
    """What somebody registered: the account as it shall begin."""

    id: UUID
    email: str
    email_key: str
    username: str | None
    full_name: str | None
    hashed_password: str


NAMES = tuple(Registered.__dataclass_fields__)
REGISTERED = [getattr(Registration, name) for name in NAMES]


def read_registered(record: Record) -> Registered:
    return Registered(*record)


@query(lambda _: None)
def insert(registration: Registered, *, now: datetime, until: datetime) -> Sql:
    values = {name: getattr(registration, name) for name in NAMES}
    return insert_into(Registration).values(
        column_values(Registration, values | {"created_at": now, "expires_at": until})
    )


@query(bool)
def is_username_taken(username_key: str) -> Sql:
    return select(User.id).where(User.username_key == username_key)


@query(bool)
def open_link(registration_id: UUID, *, key: bytes, now: datetime, until: datetime) -> Sql:
    """Whether there is the registration, which a token of this hash confirms from now on."""
    which = Registration.id == registration_id, Registration.expires_at > now
    return update_of(Registration).where(*which).values(key=key, expires_at=until).returning(Registration.id)


@query(one(read_registered))
def take(key: bytes, *, now: datetime) -> Sql:
    """The registration of a token, which is gone with the transaction: of two who take it at once one finds it."""
    usable = Registration.key == key, Registration.expires_at > now
    return delete(Registration).where(*usable).returning(*REGISTERED)


@query(lambda _: None)
def forget(email_key: str) -> Sql:
    """End all registrations of an address."""
    return delete(Registration).where(Registration.email_key == email_key)
