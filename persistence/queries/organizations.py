"""Queries about organizations. To change one, or its members, lock it first and then look who may."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import ColumnElement, Update, func, literal, select, true, type_coerce
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of

from generated import models
from persistence.authorization import (
    Caller,
    Full,
    InsufficientScope,
    SessionOver,
    in_reach,
    listed_mine,
    me,
    read_page,
    read_visible,
    seen_with_role,
)
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Sql, column_values, construct_model, one, present_members, query
from persistence.tables import Member, Organization, Task

NAMES = tuple(models.Organization.model_fields)
BATCH = 50_000  # tasks; to delete one only marks a row
BY_NAME = Order(Organization.name.expression)
whole = construct_model(models.Organization)


@dataclass(frozen=True, slots=True)
class Place:
    """An organization, and the caller's role there. `may_imply`: the caller may ask again, as a superuser."""

    organization: models.Organization
    role: str
    may_imply: bool


def organization_columns(
    member_count: ColumnElement[Any], my_role: ColumnElement[Any], stored: Any = Organization
) -> list[Any]:
    """The columns of the contract's Organization; what is not said is `stored`."""
    said = {"member_count": member_count, "my_role": my_role}
    return [said[name].label(name) if name in said else getattr(stored, name) for name in NAMES]


def seen_by_member(by: Caller) -> list[Any]:
    """An organization with the role that the caller has as a member, if as any."""
    members = select(func.count()).where(Member.organization_id == Organization.id).correlate(Organization)
    mine = select(Member.role).where(Member.organization_id == Organization.id, Member.user_id == by.id)
    return organization_columns(members.scalar_subquery(), mine.correlate(Organization).scalar_subquery())


def place(record: Record) -> Place:
    return Place(whole(record), record["caller_role"], record.get("may_imply", False))


@query(read_visible(place))
def find(organization_id: UUID, *, by: Caller) -> Sql:
    rows = select(*seen_by_member(by)).where(Organization.id == organization_id)
    return seen_with_role(by, rows, within=Organization.id)


@query(read_page)
def list_mine(*, by: Caller, after: After | MISSING, limit: int) -> Sql:
    """A page of those that the caller is a member of, by name."""
    rows = select(*seen_by_member(by)).join(Member, Member.organization_id == Organization.id)
    mine = rows.where(Member.user_id == by.id, in_reach(Organization.id, by))
    return listed_mine(mine, Organization.id, by=by, order=BY_NAME, after=after, limit=limit)


def read_founded(records: list[Record]) -> models.Organization:
    """The row of `insert`. Raises SessionOver, InsufficientScope, Full."""
    if not records:
        raise SessionOver
    if not records[0]["reaches_all"]:
        raise InsufficientScope("This access token is for one organization, and makes no other.")
    if records[0][0] is None:
        raise Full
    return whole(records[0])


@query(read_founded)
def insert(organization_id: UUID, organization: models.OrganizationCreate, *, by: Caller, most: int) -> Sql:
    """A team whose owner is the caller, in one statement; none where `most` of those are there that the caller made."""
    caller, moments = me(by), {"created_at": by.now, "updated_at": by.now}
    made = select(Organization.id).where(Organization.created_by == by.id).limit(most).subquery()
    has_room = select(func.count()).select_from(made).scalar_subquery() < type_coerce(most, Organization.version.type)
    team = (
        {"id": organization_id, "kind": literal("team"), "created_by": caller.c.id}
        | present_members(organization)
        | moments
    )
    reaches_all = in_reach(type_coerce(organization_id, Organization.id.type), by)  # and no token has a new one
    rows = select(*column_values(Organization, team).values()).select_from(caller).where(has_room, reaches_all)
    stored = [getattr(Organization, name) for name in NAMES if name in Organization.__table__.columns]
    new = insert_into(Organization).from_select([*team], rows).returning(*stored).cte("founded")
    owner = {"organization_id": new.c.id, "user_id": caller.c.id, "role": literal("owner")} | moments
    rows = select(*column_values(Member, owner).values()).select_from(new.join(caller, true()))
    joined = insert_into(Member).from_select([*owner], rows).cte("joined")
    shown_to = caller.outerjoin(new, true())
    columns = *organization_columns(literal(1), literal("owner"), new.c), reaches_all.label("reaches_all")
    return select(*columns).select_from(shown_to).add_cte(joined)


@query(lambda _: None)
def lock(organization_id: UUID) -> Sql:
    """Lock the organization and its members until the transaction ends: what is read next stays true."""
    return select(Organization.id).where(Organization.id == organization_id).with_for_update(key_share=True)


@query(one(lambda record: str(record[0])))
def find_kind(organization_id: UUID) -> Sql:
    """What kind of organization it is, without asking who may know: for superusers."""
    return select(Organization.kind).where(Organization.id == organization_id)


@query(lambda records: whole(records[0]))
def update(organization_id: UUID, patch: models.OrganizationPatch, *, by: Caller) -> Sql:
    """The organization with these values. It must be locked, and the caller allowed to change it."""
    return bump_version(organization_id, **column_values(Organization, present_members(patch))).returning(
        *seen_by_member(by)
    )


@query(lambda records: int(records[0][0]))
def delete_tasks(organization_id: UUID) -> Sql:
    """How many tasks of the organization are gone: all, or the first `BATCH` when there are more."""
    here = Task.organization_id == organization_id
    following = select(Task.id).where(here).order_by(Task.id).offset(BATCH).limit(1).scalar_subquery()
    end = func.coalesce(following, literal(UUID(int=2**128 - 1), Task.id.type))
    gone = delete_from(Task).where(here, Task.id < end).returning(Task.id).cte("gone")
    return select(func.count()).select_from(gone)


@query(lambda _: None)
def hold(organization_id: UUID) -> Sql:
    """Nothing refers to the organization anew before the transaction ends: no membership, no task."""
    return select(Organization.id).where(Organization.id == organization_id).with_for_update()


@query(lambda _: None)
def delete(organization_id: UUID) -> Sql:
    """The organization ends. It must be held and without members and tasks, and the caller allowed to do it."""
    return delete_from(Organization).where(Organization.id == organization_id)


def bump_version(organization_id: UUID, **values: Any) -> Update:
    """The organization at its next version, with these values."""
    next_version = {"version": Organization.version + 1, "updated_at": func.clock_timestamp()}
    return update_of(Organization).where(Organization.id == organization_id).values(values | next_version)
