"""Queries about members. Those that change something want the organization locked, and a caller who may."""

from dataclasses import dataclass
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import Delete, Insert, Update, func, select
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from generated import models
from generated.models import OrganizationRole
from persistence.authorization import Caller, NotVisible, listed_in, read_page, read_visible, seen_with_role
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Sql, column_values, query
from persistence.queries.organizations import bump_version
from persistence.tables import Member, Organization, User

BY_AGE = Order(Member.created_at.expression)
USER = [getattr(User, name) for name in models.MemberUser.model_fields]
MEMBERSHIP = [Member.role, Member.version, Member.created_at, Member.updated_at]


@dataclass(frozen=True, slots=True)
class Found:
    """A member, whose representation changes with the account, too."""

    member: models.Member
    user_version: int


@dataclass(frozen=True, slots=True)
class Standing(Found):
    """A member as the caller sees it: how many own the organization, what kind it is, and the caller's role there."""

    owners: int
    kind: str
    caller_role: str
    may_imply: bool


def member(record: Record) -> models.Member:
    return models.Member.model_validate({**record, "user": dict(record)})


def read_found(records: list[Record]) -> Found:
    """The member that `changing` tells of. Raises NotVisible."""
    if not records:
        raise NotVisible
    return Found(member(records[0]), records[0]["user_version"])


def standing(record: Record) -> Standing:
    may_imply = record.get("may_imply", False)
    found = member(record), record["user_version"], record["owners"], record["kind"], record["caller_role"]
    return Standing(*found, may_imply)


@query(read_visible(standing))
def find(organization_id: UUID, user_id: UUID, *, by: Caller) -> Sql:
    owners = select(func.count()).where(Member.organization_id == Organization.id, Member.role == "owner")
    more = [User.version.label("user_version"), Organization.kind]
    rows = select(*USER, *MEMBERSHIP, *more, owners.correlate(Organization).scalar_subquery().label("owners"))
    rows = rows.join(Member, Member.user_id == User.id).join(Organization, Organization.id == Member.organization_id)
    return seen_with_role(
        by, rows.where(Organization.id == organization_id, User.id == user_id), within=Organization.id
    )


@query(read_page)
def list_in(organization_id: UUID, *, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of the members, in the order in which they joined."""
    named = [part for column in USER for part in (column.key, column)]
    rows = select(func.json_build_object(*named).label("user"), *MEMBERSHIP).join(User, User.id == Member.user_id)
    members = rows.where(Member.organization_id == organization_id)
    return listed_in(organization_id, members, Member.user_id, by=by, order=BY_AGE, after=after, limit=limit)


@query(read_found)
def insert(organization_id: UUID, user_id: UUID, role: OrganizationRole, *, by: Caller) -> Sql:
    """The active account as a member. Raises NotVisible when there is none.

    Its version begins where no member's has been, so that who comes again has no tag of before.
    """
    version = select(Organization.version + 1).where(Organization.id == organization_id).scalar_subquery()
    values = {"organization_id": organization_id, "user_id": User.id, "role": role, "version": version}
    columns = column_values(Member, values | {"created_at": by.now, "updated_at": by.now})
    account = select(*columns.values()).where(User.id == user_id, User.is_active)
    account = account.with_for_update(of=User, read=True, key_share=True)  # who goes at this moment is waited for
    return changing(insert_into(Member).from_select([*columns], account), organization_id)


@query(lambda records: int(records[0][0]))
def count(organization_id: UUID) -> Sql:
    return select(func.count()).select_from(Member).where(Member.organization_id == organization_id)


@query(read_found)
def set_role(organization_id: UUID, user_id: UUID, role: OrganizationRole) -> Sql:
    values = {"role": role, "version": Member.version + 1, "updated_at": func.clock_timestamp()}
    which = Member.organization_id == organization_id, Member.user_id == user_id
    return changing(update_of(Member).where(*which).values(values), organization_id)


@query(read_found)
def delete(organization_id: UUID, user_id: UUID) -> Sql:
    which = Member.organization_id == organization_id, Member.user_id == user_id
    return changing(delete_from(Member).where(*which), organization_id)


@query(lambda _: None)
def delete_all(organization_id: UUID) -> Sql:
    """Waits for what members write just now; they write nothing more."""
    return delete_from(Member).where(Member.organization_id == organization_id)


def changing(change: Insert | Update | Delete, organization_id: UUID) -> Sql:
    """The member that a change tells of; the organization is at its next version then."""
    changed = change.returning(Member.user_id, *MEMBERSHIP).cte("changed")
    organization = bump_version(organization_id).where(select(changed.c.user_id).exists()).cte("organization")
    user_id, *membership = changed.c
    rows = select(*USER, *membership, User.version.label("user_version")).join(User, User.id == user_id)
    return rows.add_cte(organization)
