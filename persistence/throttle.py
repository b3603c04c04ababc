"""Queries about wrong passwords in a row. An attempt is counted before its password is looked at."""

from datetime import datetime
from typing import Any

from asyncpg import Record
from sqlalchemy import DateTime, case, delete, func, null, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import insert

from persistence.query import Sql, query
from persistence.tables import LoginThrottle

MOST = 5  # wrong passwords in a row, the last of which locks
INSTANT = DateTime(timezone=True)


def first_of(records: list[Record]) -> Any:
    return records[0][0] if records else None


@query(first_of)
def reserve(key: bytes, *, now: datetime, until: datetime) -> Sql:
    """Which attempt in a row this is, if it may be made; it counts as wrong until `reset`. The fifth locks."""
    here, later = type_coerce(now, INSTANT), type_coerce(until, INSTANT)
    over = LoginThrottle.locked_until <= here
    attempts = case((over, 1), else_=LoginThrottle.attempts + 1)
    row = insert(LoginThrottle).values(key=key, attempts=1, updated_at=here)
    return row.on_conflict_do_update(
        index_elements=[LoginThrottle.key],
        set_={
            "attempts": attempts,
            "locked_until": case((attempts >= MOST, later)),
            "updated_at": here,
        },
        where=or_(LoginThrottle.locked_until.is_(None), over),
    ).returning(LoginThrottle.attempts)


@query(first_of)
def find_lock(key: bytes) -> Sql:
    """Until when a key is locked, if it is."""
    return select(LoginThrottle.locked_until).where(LoginThrottle.key == key)


@query(bool)
def give_back(key: bytes) -> Sql:
    """Undo an attempt that was not made after all."""
    fewer = func.greatest(LoginThrottle.attempts - 1, 0)
    return (
        update(LoginThrottle)
        .where(LoginThrottle.key == key)
        .values(attempts=fewer, locked_until=null())
        .returning(LoginThrottle.key)
    )


@query(bool)
def reset(key: bytes) -> Sql:
    """Forget the wrong passwords: the right one was given."""
    return delete(LoginThrottle).where(LoginThrottle.key == key).returning(LoginThrottle.key)
