"""Queries about tokens that are used once: links that people get, and what a sign-in waits for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ColumnElement, Delete, delete, func, or_, select, true
from sqlalchemy import insert as insert_into

from persistence.engine.statements import Shape, Sql, one, query, typed
from persistence.tables import OneTimeToken, OutboxMail, User

Purpose: TypeAlias = Literal["password_reset", "email_verification", "sign_in"]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to insert. `email`: the address that it was mailed to; None: somebody handed it over."""

    key: bytes
    user_id: UUID
    purpose: Purpose
    email: str | None
    bound_to: bytes | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A token that can still be used, and of whose account it is."""

    user_id: UUID
    email: str | None
    """The address that the token was mailed to."""
    bound_to: bytes | None


FOUND = OneTimeToken.user_id, OneTimeToken.email, OneTimeToken.bound_to


def found(record: Record) -> Found:
    return Found(*record)


@query(lambda _: None)
def insert(token: NewToken) -> Sql:
    names = ("key", "user_id", "purpose", "email", "bound_to", "created_at", "expires_at")
    return insert_into(OneTimeToken).values(typed(OneTimeToken, {name: getattr(token, name) for name in names}))


@query(one(found))
def find(key: bytes, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """The token, which stays. Its account exists, active or not."""
    usable = OneTimeToken.key == key, OneTimeToken.purpose == purpose, OneTimeToken.expires_at > now
    return select(*FOUND).join(User, User.id == OneTimeToken.user_id).where(*usable)


@query(lambda records: int(records[0][0]))
def count_mailed(user_id: UUID, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """How many tokens of an account were mailed and can still be used."""
    usable = OneTimeToken.purpose == purpose, OneTimeToken.email.is_not(None), OneTimeToken.expires_at > now
    return select(func.count()).where(OneTimeToken.user_id == user_id, *usable)


@query(one(found))
def take(key: bytes, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """The token, which is gone with the transaction: of two that take it at once one finds it.

    Lock the account first, so that two who take tokens of one account, and end all others, wait for each other in turn.
    """
    usable = OneTimeToken.key == key, OneTimeToken.purpose == purpose, OneTimeToken.expires_at > now
    return delete(OneTimeToken).where(*usable).returning(*FOUND)


@query(lambda _: None)
def end_all(user_id: UUID) -> Sql:
    """End every token of an account that was not used, whatever it is for. The account is locked."""
    return ended(user_id, true())


@query(lambda _: None)
def end_ways_in(user_id: UUID) -> Sql:
    """End what leads into an account, which is locked.

    That is links that set a password, sign-ins that wait for a code, and links that give it another address.
    """
    leading = OneTimeToken.purpose.in_(("password_reset", "sign_in"))
    address = select(User.email).where(User.id == user_id).scalar_subquery()
    return ended(user_id, or_(leading, OneTimeToken.email.is_distinct_from(address)))


def ended(user_id: UUID, which: ColumnElement[bool]) -> Delete:
    """No such token of the account any more, nor a mail that waits to be sent with a link to another address."""
    waiting = delete(OutboxMail).where(OutboxMail.kind == "email_change", OutboxMail.subject_id == user_id)
    return delete(OneTimeToken).where(OneTimeToken.user_id == user_id, which).add_cte(waiting.cte("waiting"))
