"""Queries about audit logs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import CTE, ColumnElement, Insert, any_, case, func, select, type_coerce
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.postgresql import array

from generated.models import AuditAction, AuditActorType, AuditOutcome, AuditTargetType
from persistence.authorization import Caller, Roles, for_superusers, listed_in, read_page, read_permitted
from persistence.engine import keyset
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Shape, Sql, column_values, query, when
from persistence.tables import AuditLog


def reference(name: str) -> ColumnElement[object]:
    """What the contract makes of the columns `<name>_type` and `<name>_id`."""
    kind, key = getattr(AuditLog, f"{name}_type"), getattr(AuditLog, f"{name}_id")
    return case((kind.is_not(None), func.json_build_object("type", kind, "id", key))).label(name)


AUDIT_LOG: list[Any] = [
    AuditLog.id,
    AuditLog.occurred_at,
    reference("actor"),
    AuditLog.action,
    AuditLog.outcome,
    AuditLog.reason,
    reference("target"),
    AuditLog.organization_id,
    AuditLog.session_id,
    AuditLog.access_token_id,
    AuditLog.ip_address,
    AuditLog.user_agent,
    AuditLog.request_id,
    AuditLog.changes,
    AuditLog.task_count,
]
COLUMNS: dict[str, ColumnElement[Any]] = {
    "organization_id": AuditLog.organization_id.expression,
    "target_id": AuditLog.target_id.expression,
    "actor_id": AuditLog.actor_id.expression,
    "action": AuditLog.action.expression,
    "area": func.split_part(AuditLog.action, ".", 1),
    "outcome": AuditLog.outcome.expression,
}
"""What filters compare, the rarer first: each has an index, and a list is read from the first that it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An audit log to insert."""

    id: UUID
    occurred_at: datetime
    actor_type: AuditActorType
    actor_id: UUID | None
    action: AuditAction
    outcome: AuditOutcome
    reason: str | None
    target_type: AuditTargetType | None
    target_id: UUID | None
    organization_id: UUID | None
    session_id: UUID | None
    access_token_id: UUID | None
    ip_address: str | None
    user_agent: str | None
    request_id: str
    changes: Sequence[str]
    """The names of members, never their values."""
    task_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a list. MISSING: nothing. The area of an action is what stands before its `.`."""

    organization_id: UUID | MISSING = MISSING
    action: str | MISSING = MISSING
    area: str | MISSING = MISSING
    actor_id: UUID | MISSING = MISSING
    target_id: UUID | MISSING = MISSING
    outcome: AuditOutcome | MISSING = MISSING
    occurred_after: datetime | MISSING = MISSING
    occurred_before: datetime | MISSING = MISSING

    @property
    def compared_columns(self) -> dict[str, ColumnElement[Any]]:
        return {name: column for name, column in COLUMNS.items() if getattr(self, name) is not MISSING}

    def match(self) -> list[ColumnElement[bool]]:
        return [
            *[among(column, getattr(self, name)) for name, column in self.compared_columns.items()],
            when(self.occurred_after, lambda moment: AuditLog.occurred_at >= moment),
            when(self.occurred_before, lambda moment: AuditLog.occurred_at < moment),
        ]

    def order(self) -> Order:
        """Newest first."""
        return Order(AuditLog.occurred_at.expression, descending=True, within=tuple(self.compared_columns.values())[:1])


def among(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """True where the column has the value. PostgreSQL drops from an order what is equal by `=`, but not by this."""
    return column == any_(array([type_coerce(value, column.type)]))


@query(lambda _: None)
def insert(entry: Entry) -> Sql:
    return insert_into(AuditLog).values({field.name: getattr(entry, field.name) for field in fields(entry)})


def insert_after(changed: CTE, entry: Entry, **given: Any) -> Insert:
    """The entry, once for each row that a change returned; `given` are values that the row has."""
    values = column_values(AuditLog, {field.name: getattr(entry, field.name) for field in fields(entry)} | given)
    return insert_into(AuditLog).from_select([*values], select(*values.values()).select_from(changed))


@query(read_permitted(keyset.read))
def list_entries(*, by: Caller, filters: Filters, after: After | MISSING, limit: int) -> Sql:
    rows = select(*AUDIT_LOG).where(*filters.match())
    return for_superusers(by, keyset.page_row(filters.order().slice(rows, AuditLog.id, after, limit), limit))


@query(read_page)
def list_in(
    organization_id: UUID, *, by: Caller, roles: Shape[Roles], filters: Filters, after: After | MISSING, limit: int
) -> Sql:
    """What happened in an organization. The filters must name it."""
    rows = select(*AUDIT_LOG).where(*filters.match())
    return listed_in(
        organization_id, rows, AuditLog.id, by=by, order=filters.order(), after=after, limit=limit, roles=roles
    )


@query(read_permitted(keyset.read_one))
def find(audit_log_id: UUID, *, by: Caller) -> Sql:
    return for_superusers(by, keyset.one(select(*AUDIT_LOG).where(AuditLog.id == audit_log_id)))
