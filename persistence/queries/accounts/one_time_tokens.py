"""Queries about tokens that are used once: links that people get, and what a sign-in waits for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from asyncpg import Record
from sqlalchemy import ColumnElement, Delete, delete, exists, func, or_, select, true, type_coerce
from sqlalchemy import insert as insert_into
from sqlalchemy.orm import aliased

from persistence.engine.statements import Shape, Sql, column_values, one, query
from persistence.tables import OneTimeToken, OutboxMail, User

Purpose: TypeAlias = Literal["password_reset", "email_verification", "sign_in"]


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to insert. `email`: the address that it was mailed to; None: somebody handed it over.

    `bound_to`: of a sign-in the hash of the password; of a link that sets one the id of the superuser who made it.
    """

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


def read_found(record: Record) -> Found:
    return Found(*record)


@query(lambda _: None)
def insert(token: NewToken) -> Sql:
    names = ("key", "user_id", "purpose", "email", "bound_to", "created_at", "expires_at")
    return insert_into(OneTimeToken).values(column_values(OneTimeToken, {name: getattr(token, name) for name in names}))


@query(one(read_found))
def find(key: bytes, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """The token, which stays. Its account exists, active or not."""
    return select(*FOUND).join(User, User.id == OneTimeToken.user_id).where(*usable(key, purpose, now))


def usable(key: bytes, purpose: Purpose, now: datetime) -> list[ColumnElement[bool]]:
    """True for the token of this hash that still can be used: one of a superuser only while that is one."""
    which = [OneTimeToken.key == key, OneTimeToken.purpose == purpose, OneTimeToken.expires_at > now]
    if purpose == "password_reset":
        maker = aliased(User, name="maker")
        made_it = func.uuid_send(maker.id) == OneTimeToken.bound_to
        may = exists().where(maker.is_superuser, maker.is_active, made_it)
        which.append(or_(OneTimeToken.bound_to.is_(None), may))
    return which


@query(lambda records: int(records[0][0]))
def count_mailed(user_id: UUID, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """How many tokens of an account were mailed and can still be used."""
    usable = OneTimeToken.purpose == purpose, OneTimeToken.email.is_not(None), OneTimeToken.expires_at > now
    return select(func.count()).where(OneTimeToken.user_id == user_id, *usable)


@query(one(read_found))
def take(key: bytes, purpose: Shape[Purpose], *, now: datetime) -> Sql:
    """The token, which is gone with the transaction: of two that take it at once one finds it.

    Lock the account first, so that two who take tokens of one account, and end all others, wait for each other in turn.
    """
    return delete(OneTimeToken).where(*usable(key, purpose, now)).returning(*FOUND)


@query(lambda _: None)
def end_all(user_id: UUID) -> Sql:
    """End every token of an account that was not used, whatever it is for. The account is locked."""
    return delete_tokens(user_id, true())


@query(lambda _: None)
def end_ways_in(user_id: UUID) -> Sql:
    """End what leads into an account, which is locked.

    That is links that set a password, sign-ins that wait for a code, and links that give it another address.
    """
    leading = OneTimeToken.purpose.in_(("password_reset", "sign_in"))
    address = select(User.email).where(User.id == user_id).scalar_subquery()
    return delete_tokens(user_id, or_(leading, OneTimeToken.email.is_distinct_from(address)))


def delete_tokens(user_id: UUID, which: ColumnElement[bool]) -> Delete:
    """No such token of the account any more, nor a mail that waits to be sent with a link to another address.

    Nor one that the account has made for another, as a superuser.
    """
    made_here = OneTimeToken.bound_to == func.uuid_send(type_coerce(user_id, User.id.type))
    living = OneTimeToken.purpose == "password_reset", OneTimeToken.expires_at > func.now()
    handed_over = delete(OneTimeToken).where(*living, made_here)
    waiting = delete(OutboxMail).where(OutboxMail.kind == "email_change", OutboxMail.subject_id == user_id)
    change = delete(OneTimeToken).where(OneTimeToken.user_id == user_id, which)
    return change.add_cte(waiting.cte("waiting"), handed_over.cte("handed_over"))
