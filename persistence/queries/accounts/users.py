"""Queries about accounts."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import ColumnElement, Update, exists, func, or_, select, type_coerce
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of
from sqlalchemy.orm import aliased

from generated import models
from persistence.authorization import Caller, account_seen_by, me, mine, myself, read_visible
from persistence.engine.statements import Rows, Sql, construct_model, one, one_of, query
from persistence.queries.accounts.sessions import Origin, is_known
from persistence.search.folding import fold, list_lexemes
from persistence.tables import Member, Organization, User

PARTS = re.compile(r"[^\W_]+")
LONGEST_WORD = 255  # characters, of which PostgreSQL takes at least 511
USER = [getattr(User, name) for name in models.User.model_fields]


def key(text: str) -> str:
    """What e-mails and usernames are compared by."""
    return unicodedata.normalize("NFKC", text).casefold()


def cut(word: str) -> str:
    """As much of a word as is kept and looked for."""
    return word[:LONGEST_WORD]


def words(email: str | None, username: str | None, full_name: str | None) -> str:
    """What an account is found by: the e-mail, its part before the `@`, the names, their words and parts of words.

    They are there as keys are and as a search folds texts.
    """
    texts = (email or "").partition("@")[0], username or "", full_name or ""
    parts = [key(text) for text in texts]
    found = [*key(email or "").split(), *[word for part in parts for word in (*part.split(), *PARTS.findall(part))]]
    if not f"{email}{username}{full_name}".isascii():
        found += [*fold(email or "").split(), *[lexeme for text in texts for lexeme in list_lexemes(text)]]
    return " ".join(dict.fromkeys(map(cut, found)))


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account to insert, with the name of its personal organization."""

    id: UUID
    email: str
    email_key: str
    username: str | None
    username_key: str | None
    full_name: str | None
    hashed_password: str | None
    is_superuser: bool
    created_at: datetime
    organization_name: str
    words: str
    is_active: bool = True
    verified_email_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What becomes of an account. MISSING: what it was."""

    email: str | MISSING
    email_key: str | MISSING
    verified_email_key: str | MISSING | None
    username: str | MISSING | None
    username_key: str | MISSING | None
    full_name: str | MISSING | None
    is_active: bool | MISSING
    is_superuser: bool | MISSING
    time_zone: str | MISSING | None
    words: str

    @property
    def present_values(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not MISSING}


@dataclass(frozen=True, slots=True)
class Held:
    """An account that is locked until the transaction ends, and who holds it, since when signed in."""

    user: models.User
    by_superuser: bool
    authenticated_at: datetime | None
    """None: nothing says when."""


def read_held(record: Record) -> Held:
    return Held(construct_model(models.User)(record), record["by_superuser"], record["authenticated_at"])


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a password is checked against."""

    id: UUID
    hashed_password: str | None
    is_active: bool
    mfa_enabled: bool = False
    is_superuser: bool = False
    is_known: bool = False
    """Whether the account has signed in from there of late."""


@query(lambda records: construct_model(models.User)(records[0]))
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
            is_active=user.is_active,
            is_superuser=user.is_superuser,
            words=user.words,
            verified_email_key=user.verified_email_key,
            **when,
        )
        .returning(*USER)
        .cte("account")
    )
    personal = insert_into(Organization).values(id=user.id, kind="personal", name=user.organization_name, **when)
    owner = insert_into(Member).values(organization_id=user.id, user_id=user.id, role="owner", **when)
    return select(*account.c).add_cte(personal.cte("personal"), owner.cte("owner"))


@query(one(lambda record: Credentials(*record)))
def find_credentials(email_key: str, *, origin: Origin | MISSING = MISSING) -> Sql:
    return credentials(origin).where(User.email_key == email_key)


@query(one(lambda record: Credentials(*record)))
def find_credentials_by_either(identifier_key: str, *, origin: Origin | MISSING = MISSING) -> Sql:
    """By e-mail or username: a username has no `@`, so at most one account answers."""
    match = or_(User.email_key == identifier_key, User.username_key == identifier_key)
    return credentials(origin).where(match)


@query(one(lambda record: Credentials(*record)))
def find_credentials_of(user_id: UUID, *, origin: Origin | MISSING = MISSING) -> Sql:
    return credentials(origin).where(User.id == user_id)


def credentials(origin: Origin | MISSING) -> Rows:
    account = User.id, User.hashed_password, User.is_active, User.mfa_enabled, User.is_superuser
    return select(*account, is_known(User.id, origin))


@query(one(construct_model(models.User)))
def find_by_email(email_key: str) -> Sql:
    return select(*USER).where(User.email_key == email_key)


@query(bool)
def promote(user_id: UUID) -> Sql:
    """Make a superuser of an account that is none."""
    values = {"is_superuser": True, "version": User.version + 1, "updated_at": func.clock_timestamp()}
    which = User.id == user_id, User.is_superuser.is_(False)
    return update_of(User).where(*which).values(values).returning(User.id)


@query(read_visible(construct_model(models.User)))
def find(user_id: UUID, *, by: Caller) -> Sql:
    return account_seen_by(by, select(*USER).where(User.id == user_id))


@query(read_visible(read_held))
def hold(user_id: UUID, *, by: Caller) -> Sql:
    """Lock the account until the transaction ends. Rows that refer to it do not wait."""
    return account_seen_by(by, select(*USER).where(User.id == user_id).with_for_update(key_share=True))


@query(lambda records: frozenset(record["id"] for record in records))
def hold_superusers(user_ids: Sequence[UUID], *, by: Caller) -> Sql:
    """The ids of all active superusers, who stay that until the transaction ends.

    None, if none of the users is one, or the caller is none. To take away a superuser, lock all of them before
    the account itself.
    """
    caller, taken = me(by), aliased(User, name="taken")
    concerned = exists().where(one_of(taken.id, user_ids), taken.is_superuser, taken.is_active)
    theirs = select(User.id).join(caller, caller.c.is_superuser).where(User.is_superuser, User.is_active, concerned)
    return theirs.order_by(User.id).with_for_update(of=User, key_share=True)


@query(lambda records: construct_model(models.User)(records[0]))
def update(user_id: UUID, changes: Changes) -> Sql:
    """The account, which is held, with these values."""
    values = changes.present_values | {"version": User.version + 1, "updated_at": func.clock_timestamp()}
    return update_of(User).where(User.id == user_id).values(values).returning(*USER)


@query(read_visible(construct_model(models.User)))
def find_me(*, by: Caller) -> Sql:
    return myself(by, *USER)


def read_time_zone(record: Record) -> str:
    zone: str | None = record["time_zone"]
    return zone or "UTC"


@query(read_visible(read_time_zone))
def find_my_time_zone(*, by: Caller) -> Sql:
    return myself(by, User.id, User.time_zone)


@dataclass(frozen=True, slots=True)
class Own:
    """The caller's own password, and what a new one must not be made of."""

    id: UUID
    hashed_password: str | None
    email: str | None
    username: str | None
    full_name: str | None
    is_known: bool
    """Whether the account has signed in from there of late."""


@query(read_visible(lambda record: Own(*record)))
def find_my_password(*, by: Caller, origin: Origin | MISSING) -> Sql:
    own = User.id, User.hashed_password, User.email, User.username, User.full_name
    return myself(by, *own, is_known(User.id, origin))


@query(read_visible(lambda _: None))
def set_my_password(*, by: Caller, verified: str, hashed: str) -> Sql:
    """Not when it changed since it was verified."""
    values = {"hashed_password": hashed, "version": User.version + 1, "updated_at": func.clock_timestamp()}

    def change(me: ColumnElement[UUID]) -> Update:
        mine_still = User.id == me, User.hashed_password == verified
        return update_of(User).where(*mine_still).values(values).returning(User.id)

    return mine(by, change)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a new password is: what it must not be made of."""

    email: str | None
    username: str | None
    full_name: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an active account."""

    id: UUID
    email: str | None
    is_verified: bool


@query(one(lambda record: Address(*record)))
def hold_address(user_id: UUID) -> Sql:
    """The address, which no other transaction changes before the transaction ends."""
    return addresses().where(User.id == user_id)


@query(one(lambda record: Address(*record)))
def hold_address_by_email(email_key: str) -> Sql:
    """The address of the account that has it when it is locked."""
    return addresses().where(User.email_key == email_key)


def addresses() -> Rows:
    rows: Rows = select(User.id, User.email, User.email_verified).where(User.is_active)
    return rows.with_for_update(key_share=True)


@query(one(lambda record: Owner(*record)))
def find_owner(user_id: UUID) -> Sql:
    return select(User.email, User.username, User.full_name).where(User.id == user_id)


@query(bool)
def lock(user_id: UUID) -> Sql:
    """Whether there is the account, which is locked until the transaction ends."""
    return select(User.id).where(User.id == user_id).with_for_update(key_share=True)


@query(lambda _: None)
def set_password(user_id: UUID, *, hashed: str, now: datetime) -> Sql:
    """Another password for an account, which is locked. No token of another issuer counts that was issued until now."""
    values = {"hashed_password": hashed, "version": User.version + 1, "updated_at": func.clock_timestamp()}
    return update_of(User).where(User.id == user_id).values(values | {"tokens_valid_from": now})


@query(lambda _: None)
def set_email(user_id: UUID, *, email: str, email_key: str, words: str) -> Sql:
    """Another address for an account, which is locked: one that is known to be its own."""
    values: dict[str, Any] = {"email": email, "email_key": email_key, "verified_email_key": email_key, "words": words}
    values |= {"version": User.version + 1, "updated_at": func.clock_timestamp()}
    return update_of(User).where(User.id == user_id).values(values)


@query(bool)
def verify_email(user_id: UUID, email: str) -> Sql:
    """Whether this is the address of the account, as written but for case, which is known to be its own from now on."""
    same = func.lower(User.email) == func.lower(type_coerce(email, User.email.type))
    changed = {"verified_email_key": User.email_key, "version": User.version + 1, "updated_at": func.clock_timestamp()}
    unverified = User.verified_email_key.is_distinct_from(User.email_key)
    return update_of(User).where(User.id == user_id, same, unverified).values(changed).returning(User.id)


@query(lambda _: None)
def revoke_tokens(user_id: UUID, *, now: datetime) -> Sql:
    """No token of another issuer counts for the account that was issued until now."""
    return update_of(User).where(User.id == user_id).values(tokens_valid_from=now)


@query(bool)
def strengthen(user_id: UUID, *, verified: str, hashed: str) -> Sql:
    """The same password, hashed at a higher cost."""
    same = User.id == user_id, User.hashed_password == verified
    return update_of(User).where(*same).values(hashed_password=hashed).returning(User.id)
