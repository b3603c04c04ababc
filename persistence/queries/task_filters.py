"""Which tasks a list or a search keeps, as SQL."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import ColumnElement, and_, any_, case, or_, tuple_, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY

from generated.models import TaskPriority, TaskStatus
from persistence.engine.statements import fence_planner, when
from persistence.tables import Task

LEAST, GREATEST = UUID(int=0), UUID(int=2**128 - 1)
INSTANTS = {"created": Task.created_at, "updated": Task.updated_at}
"""What the filters `<name>_before` and `<name>_after` compare."""
NULLABLE = {"has_due_date": Task.due_date, "has_description": Task.description, "has_author": Task.user_id}
"""What the filters ask for a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a list. None: nothing. `after` and `before` are half-open: from an instant on, up to an instant.

    `due_after_day` and `due_before_day` are the ends in UTC of the days that `due_after` and `due_before` are of.
    `first` and `last` say again what bounds the column that the list is sorted by, where a filter does.
    """

    status: Sequence[TaskStatus] | None = None
    completed: bool | None = None
    priority: Sequence[TaskPriority] | None = None
    due_before: datetime | None = None
    due_after: datetime | None = None
    due_before_day: datetime | None = None
    due_after_day: datetime | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    updated_before: datetime | None = None
    updated_after: datetime | None = None
    user_id: UUID | None = None
    has_due_date: bool | None = None
    has_description: bool | None = None
    has_author: bool | None = None
    first: datetime | MISSING = MISSING
    last: datetime | MISSING = MISSING

    def match(self) -> ColumnElement[bool]:
        """True for what the filters keep: one SQL for all of them, so that few statements are kept prepared.

        PostgreSQL, which plans without the values, would take some filter for the best way in, and sort what it finds
        there.
        """
        everything = and_(
            among(Task.status, self.status),
            among(Task.priority, self.priority),
            keep_where(Task.completed, operator.eq, self.completed),
            keep_where(Task.user_id, operator.eq, self.user_id),
            *[keep_where(column.is_not(None), operator.eq, getattr(self, name)) for name, column in NULLABLE.items()],
            *[keep_where(column, operator.ge, getattr(self, f"{name}_after")) for name, column in INSTANTS.items()],
            *[keep_where(column, operator.lt, getattr(self, f"{name}_before")) for name, column in INSTANTS.items()],
            kept_due(operator.ge, self.due_after, self.due_after_day),
            kept_due(operator.lt, self.due_before, self.due_before_day),
        )
        return fence_planner(everything)

    def ends(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Where in the index that begins with this column the list begins and ends.

        Two bounds of one column PostgreSQL takes for a short range, worth sorting; of rows it does not think so.
        """
        here = tuple_(column, Task.id)
        return [
            when(self.first, lambda first: here >= tuple_(type_coerce(first, column.type), LEAST)),
            when(self.last, lambda last: here <= tuple_(type_coerce(last, column.type), GREATEST)),
        ]


def keep_where(column: Any, compare: Callable[[Any, Any], ColumnElement[bool]], value: Any) -> ColumnElement[bool]:
    typed = type_coerce(value, column.type)
    return or_(typed.is_(None), compare(column, typed))


def kept_due(
    compare: Callable[[Any, Any], ColumnElement[bool]], instant: datetime | None, day: datetime | None
) -> ColumnElement[bool]:
    """Of a task with an instant that is compared, of one with a day the day."""
    typed, of_day = (type_coerce(value, Task.due_date.type) for value in (instant, day))
    return or_(typed.is_(None), compare(Task.due_date, case((Task.due_on.is_(None), typed), else_=of_day)))


def among(column: Any, values: Any) -> ColumnElement[bool]:
    typed: Any = type_coerce(values, ARRAY(column.type))
    return or_(typed.is_(None), column == any_(typed))
