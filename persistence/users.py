"""Queries about accounts."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Update, or_, select, update
from sqlalchemy import insert as insert_into

from generated import models
from persistence.access import Caller, mine, myself, seen
from persistence.query import Sql, one, query, trusted
from persistence.tables import Member, Organization, User

USER = [getattr(User, name) for name in models.User.model_fields]


def key(text: str) -> str:
    """What e-mails and usernames are compared by."""
    return unicodedata.normalize("NFKC", text).casefold()


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account to insert, with the name of its personal organization."""

    id: UUID
    email: str
    email_key: str
    username: str | None
    username_key: str | None
    full_name: str | None
    hashed_password: str
    is_superuser: bool
    created_at: datetime
    organization_name: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a password is checked against."""

    id: UUID
    hashed_password: str | None
    is_active: bool


@query(lambda records: trusted(models.User)(records[0]))
def insert(user: NewUser) -> Sql:
    """The account and its personal organization, in one statement."""
    when = {"created_at": user.created_at, "updated_at": user.created_at}
    account = (
        insert_into(User)
        .values(
            id=user.id,
            email=user.email,
            email_key=user.email_key,
            username=user.username,
            username_key=user.username_key,
            full_name=user.full_name,
            hashed_password=user.hashed_password,
            is_superuser=user.is_superuser,
            **when,
        )
        .returning(*USER)
        .cte("account")
    )
    personal = insert_into(Organization).values(id=user.id, kind="personal", name=user.organization_name, **when)
    owner = insert_into(Member).values(organization_id=user.id, user_id=user.id, role="owner", **when)
    return select(*account.c).add_cte(personal.cte("personal"), owner.cte("owner"))


@query(one(lambda record: Credentials(*record)))
def find_credentials(email_key: str) -> Sql:
    return select(User.id, User.hashed_password, User.is_active).where(User.email_key == email_key)


@query(one(lambda record: Credentials(*record)))
def find_credentials_by_either(identifier_key: str) -> Sql:
    """By e-mail or username: a username has no `@`, so at most one account answers."""
    match = or_(User.email_key == identifier_key, User.username_key == identifier_key)
    return select(User.id, User.hashed_password, User.is_active).where(match)


@query(one(trusted(models.User)))
def find_by_email(email_key: str) -> Sql:
    return select(*USER).where(User.email_key == email_key)


@query(bool)
def promote(user_id: UUID, *, now: datetime) -> Sql:
    """Make a superuser of an account."""
    values = {"is_superuser": True, "version": User.version + 1, "updated_at": now}
    return update(User).where(User.id == user_id).values(values).returning(User.id)


@query(seen(trusted(models.User)))
def find_me(*, by: Caller) -> Sql:
    return myself(by, *USER)


@dataclass(frozen=True, slots=True)
class Own:
    """The caller's own password, and what a new one must not be made of."""

    id: UUID
    hashed_password: str | None
    email: str | None
    username: str | None
    full_name: str | None


@query(seen(lambda record: Own(*record)))
def find_my_password(*, by: Caller) -> Sql:
    return myself(by, User.id, User.hashed_password, User.email, User.username, User.full_name)


@query(seen(lambda _: None))
def set_my_password(*, by: Caller, verified: str, hashed: str) -> Sql:
    """Not when it changed since it was verified."""
    values = {"hashed_password": hashed, "version": User.version + 1, "updated_at": by.now}

    def change(me: ColumnElement[UUID]) -> Update:
        mine_still = User.id == me, User.hashed_password == verified
        return update(User).where(*mine_still).values(values).returning(User.id)

    return mine(by, change)


@query(bool)
def strengthen(user_id: UUID, *, verified: str, hashed: str) -> Sql:
    """The same password, hashed at a higher cost."""
    same = User.id == user_id, User.hashed_password == verified
    return update(User).where(*same).values(hashed_password=hashed).returning(User.id)
