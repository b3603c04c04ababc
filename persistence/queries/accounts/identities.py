"""Queries about accounts of other issuers, by what their tokens say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, exists, func, select, type_coerce
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.postgresql import insert as upsert_into

from persistence.engine.statements import Sql, column_values, one_of, query
from persistence.tables import DeletedIdentity, ExternalIdentity, Member, Organization, Row, User


@dataclass(frozen=True, slots=True)
class Arrival:
    """An account to make for a user of another issuer, with the name of its personal organization."""

    id: UUID
    issuer: str
    subject: str
    email: str | None
    email_key: str | None
    is_superuser: bool
    created_at: datetime
    organization_name: str
    words: str
    words_without_email: str = ""
    full_name: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The id of the account that an identity has, and when the one before was deleted."""

    user_id: UUID | None
    deleted_at: datetime | None


@query(lambda records: Standing(*records[0]))
def find(issuer: str, subject: str, *, graves: Sequence[bytes]) -> Sql:
    """How an identity stands. `graves` are its hashes by every key that is accepted."""
    account = select(ExternalIdentity.user_id).where(
        ExternalIdentity.issuer == issuer, ExternalIdentity.subject == subject
    )
    deleted_at = select(func.max(DeletedIdentity.deleted_at)).where(one_of(DeletedIdentity.key, graves))
    return select(account.scalar_subquery(), deleted_at.scalar_subquery())


@query(bool)
def insert(arrival: Arrival) -> Sql:
    """Whether the account was made: not when somebody else made it first, whose commit is waited for.

    The e-mail is left out when an account has it.
    """
    identity = upsert_into(ExternalIdentity).values(
        issuer=arrival.issuer, subject=arrival.subject, user_id=arrival.id, created_at=arrival.created_at
    )
    first = identity.on_conflict_do_nothing().returning(ExternalIdentity.user_id).cte("first")
    when = {"created_at": arrival.created_at, "updated_at": arrival.created_at}

    def also(table: type[Row], **values: Any) -> Any:
        row = column_values(table, values | when)
        return insert_into(table).from_select(list(row), select(*row.values()).select_from(first)).cte()

    is_free = ~exists().where(User.email_key == arrival.email_key)
    email, email_key = (
        case((is_free, type_coerce(given, User.email.type))) for given in (arrival.email, arrival.email_key)
    )
    found_by = [type_coerce(words, User.words.type) for words in (arrival.words, arrival.words_without_email)]
    known = {"email": email, "email_key": email_key, "verified_email_key": email_key}  # the issuer says that it is
    account: dict[str, Any] = known | {"full_name": arrival.full_name}
    account |= {"is_superuser": arrival.is_superuser, "words": case((is_free, found_by[0]), else_=found_by[1])}
    owner = first.c.user_id
    return select(owner).add_cte(
        also(User, id=owner, **account),
        also(Organization, id=owner, kind="personal", name=arrival.organization_name),
        also(Member, organization_id=owner, user_id=owner, role="owner"),
    )


@query(lambda records: [(record["issuer"], record["subject"]) for record in records])
def list_of(user_id: UUID) -> Sql:
    """The issuer and the subject of each identity that an account has."""
    return select(ExternalIdentity.issuer, ExternalIdentity.subject).where(ExternalIdentity.user_id == user_id)


@query(lambda _: None)
def delete_of(user_id: UUID) -> Sql:
    """No token of another issuer stands for the account any more."""
    return delete(ExternalIdentity).where(ExternalIdentity.user_id == user_id)


@query(lambda _: None)
def bury(key: bytes, *, now: datetime) -> Sql:
    """Remember that the account of this identity was deleted."""
    row = upsert_into(DeletedIdentity).values(key=key, deleted_at=now)
    return row.on_conflict_do_update(index_elements=[DeletedIdentity.key], set_={"deleted_at": row.excluded.deleted_at})
