"""When a task is due: at an instant, or on a day, of which `due_date` keeps the end in UTC."""

from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, Date, DateTime, case, func, literal_column, type_coerce

from persistence.tables import Task

LAST = time(23, 59, 59, 999999)
INSTANT = DateTime(timezone=True)
SHOWN: ColumnElement[Any] = type_coerce(case((Task.due_on.is_(None), Task.due_date)), INSTANT).label("due_date")
"""The `due_date` that a task shows: of a day no instant."""


def end_of_day(day: date) -> datetime:
    """What a task of that day is sorted by."""
    return datetime.combine(day, LAST, UTC)


def end_of(day: date | None) -> ColumnElement[datetime]:
    """`end_of_day`, in SQL; null of none."""
    last = type_coerce(day, Date).op("+")(literal_column(f"TIME '{LAST}'"))
    return func.timezone("UTC", last, type_=INSTANT)


def new_due(values: dict[str, Any]) -> dict[str, Any]:
    """The columns of a new task. Of an instant and a day one at most is not null."""
    if "due_on" not in values:
        return {}
    end = end_of(values["due_on"])
    return {"due_date": func.coalesce(type_coerce(values["due_date"], INSTANT), end) if "due_date" in values else end}


def changed_due(values: dict[str, Any]) -> dict[str, Any]:
    """The columns of a task from now on: an instant clears the day, a day the instant, and null its own kind alone."""
    if "due_date" in values and "due_on" in values:
        return new_due(values)
    if "due_date" in values:
        instant, kept = type_coerce(values["due_date"], INSTANT), case((Task.due_on.is_not(None), Task.due_date))
        return {"due_date": func.coalesce(instant, kept), "due_on": case((instant.is_(None), Task.due_on))}
    if "due_on" in values:
        kept = case((Task.due_on.is_(None), Task.due_date))
        return {"due_date": func.coalesce(end_of(values["due_on"]), kept)}
    return {}
