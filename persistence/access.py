"""Who may see and change what: the only module that reads sessions and membership to decide it.

Every statement about an organization's data carries the caller. It answers no record when the session is over, a record
of nulls when the caller may not see the thing, and otherwise the rows: the check costs no trip, and revocation acts at
once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import (
    CTE,
    ColumnElement,
    Delete,
    Insert,
    Subquery,
    Update,
    and_,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased

from persistence import pages
from persistence.pages import After, Order, Page
from persistence.query import Rows, Sql
from persistence.tables import Member, Organization, Row, Session, User

M = TypeVar("M")
Roles: TypeAlias = tuple[str, ...]
Id: TypeAlias = UUID | InstrumentedAttribute[UUID]


class SessionOver(Exception):  # noqa: N818 - it says what is the case
    """The session has ended, or the account is not active any more."""


class NotVisible(Exception):  # noqa: N818 - it says what is the case
    """There is no such thing for this caller."""


class NotAllowed(Exception):  # noqa: N818 - it says what is the case
    """The caller sees the thing, but the role does not allow this."""


class Stale(Exception):  # noqa: N818 - it says what is the case
    """The thing is not at a version that the caller named, but at this one."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which session, and when."""

    id: UUID
    session_id: UUID
    now: datetime


def me(by: Caller) -> CTE:
    """The caller while the session lives; no row otherwise."""
    live = Session.id == by.session_id, Session.revoked_at.is_(None), Session.expires_at > by.now
    return select(User.id, User.is_superuser).join(Session).where(User.id == by.id, User.is_active, *live).cte("me")


def role_in(organization_id: Id, caller: CTE) -> ColumnElement[str | None]:
    """The caller's role there, or null. A superuser owns every team."""
    member = select(Member.role).where(Member.organization_id == organization_id, Member.user_id == caller.c.id)
    team = aliased(Organization, name="team")
    owner = select(literal("owner")).where(team.id == organization_id, team.kind == "team", caller.c.is_superuser)
    return func.coalesce(
        owner.correlate_except(team).scalar_subquery(), member.correlate_except(Member).scalar_subquery()
    )


def seen_by(by: Caller, rows: Rows, *, within: InstrumentedAttribute[UUID]) -> Sql:
    """Those of the rows that the caller may read. Read it with `seen`."""
    caller = me(by)
    visible = rows.where(role_in(within, caller).is_not(None)).lateral("visible")
    return select(*visible.c).select_from(caller.outerjoin(visible, true()))


def myself(by: Caller, *columns: Any) -> Sql:
    """The caller's own account. Read it with `seen`."""
    caller = me(by)
    return select(*columns).select_from(caller.join(User, User.id == caller.c.id))


def mine(by: Caller, change: Callable[[ColumnElement[UUID]], Update | Delete]) -> Sql:
    """What a change of the caller's own rows returned. Read it with `seen`.

    `change` is given the id of the caller, which is null when the session is over.
    """
    caller = me(by)
    changed = change(select(caller.c.id).scalar_subquery()).cte("changed")
    return select(*changed.c).select_from(caller.outerjoin(changed, true()))


def seen(make: Callable[[Record], M]) -> Callable[[list[Record]], M]:
    """What is made of the row of `seen_by`. Raises SessionOver, NotVisible."""

    def read(records: list[Record]) -> M:
        if not records:
            raise SessionOver
        if records[0][0] is None:
            raise NotVisible
        return make(records[0])

    return read


def listed_in(
    organization_id: UUID, rows: Rows, tie: Any, *, by: Caller, order: Order, after: After | MISSING, limit: int
) -> Sql:
    """A page of the rows, if the caller may read that organization. Read it with `listed`."""
    caller = me(by)
    return paged(role_in(organization_id, caller).is_not(None), caller, order.slice(rows, tie, after, limit), limit)


def listed_mine(rows: Rows, tie: Any, *, by: Caller, order: Order, after: After | MISSING, limit: int) -> Sql:
    """A page of the rows, which are the caller's own. Read it with `listed`."""
    return paged(true(), me(by), order.slice(rows, tie, after, limit), limit)


def paged(visible: ColumnElement[bool], caller: CTE, page: Subquery, limit: int) -> Sql:
    scope = select(visible.label("visible")).select_from(caller).cte("scope")
    scope = scope.prefix_with("MATERIALIZED")  # else once for each row
    answer = pages.answered(page, limit).lateral("answer")
    return select(scope.c.visible, *answer.c).select_from(scope.outerjoin(answer, scope.c.visible))


def listed(records: list[Record]) -> Page:
    """The page of `listed_in`. Raises SessionOver, NotVisible."""
    if not records:
        raise SessionOver
    if not records[0]["visible"]:
        raise NotVisible
    return pages.read(records[0])


class Target:
    """What a statement changes: the keys of a row the caller sees, and whether the role there is one of `roles`.

    The row is locked as it is found, so that the verdict tells of its newest version.
    """

    def __init__(self, keys: Rows, *, within: InstrumentedAttribute[UUID], by: Caller, roles: Roles) -> None:
        self.caller = me(by)
        found = keys.add_columns(role_in(within, self.caller).label("role")).select_from(self.caller)
        self.found = found.cte("target")
        self.allowed = self.found.c.role.in_(roles)

    def is_(self, table: type[Row], *keys: str) -> ColumnElement[bool]:
        """True for the row of `table` with these keys, if the caller may change it."""
        return and_(self.allowed, *[getattr(table, key) == self.found.c[key] for key in keys])

    def insert(self, table: type[Row], **values: Any) -> Insert:
        """A row of `table`, if the caller may add it."""
        typed = [type_coerce(value, getattr(table, name).type).label(name) for name, value in values.items()]
        return insert(table).from_select(list(values), select(*typed).select_from(self.found).where(self.allowed))

    def after(self, change: Insert | Update | Delete) -> Sql:
        """What the change returned. Read it with `changed`."""
        changed = change.cte("changed")
        verdict = self.caller.outerjoin(self.found, self.found.c.role.is_not(None)).outerjoin(changed, true())
        version = self.found.c.version if "version" in self.found.c else literal_column("NULL")
        return select(*changed.c, self.allowed.label("allowed"), version.label("current")).select_from(verdict)


def changed(make: Callable[[Record], M]) -> Callable[[list[Record]], M]:
    """What is made of the row of `Target.after`. Raises SessionOver, NotVisible, NotAllowed, Stale."""

    def read(records: list[Record]) -> M:
        if not records:
            raise SessionOver
        if (allowed := records[0]["allowed"]) is None:
            raise NotVisible
        if not allowed:
            raise NotAllowed
        if records[0][0] is None:
            raise Stale(records[0]["current"])
        return make(records[0])

    return read


def for_superusers(by: Caller, rows: Rows) -> Sql:
    """The rows, if the caller is a superuser. Read it with `permitted`."""
    caller = me(by)
    shown = rows.add_columns(true().label("shown")).where(caller.c.is_superuser).lateral("shown")
    return select(*shown.c, caller.c.is_superuser.label("allowed")).select_from(caller.outerjoin(shown, true()))


def permitted(make: Callable[[Record], M]) -> Callable[[list[Record]], M]:
    """What is made of the row of `for_superusers`. Raises SessionOver, NotAllowed, NotVisible."""

    def read(records: list[Record]) -> M:
        if not records:
            raise SessionOver
        if not records[0]["allowed"]:
            raise NotAllowed
        if not records[0]["shown"]:
            raise NotVisible
        return make(records[0])

    return read
