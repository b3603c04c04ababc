"""Queries about wrong passwords: in a row, and in an hour. An attempt is counted before its password is looked at."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record
from sqlalchemy import DateTime, and_, case, delete, func, null, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import insert

from persistence.engine.statements import Sql, one, query
from persistence.tables import LoginThrottle

MOST = 5  # wrong passwords in a row, the last of which locks
INSTANT = DateTime(timezone=True)


@dataclass(frozen=True, slots=True)
class Standing:
    """Until when a key is locked, and how many attempts were counted since when."""

    locked_until: datetime | None
    tried: int
    tried_since: datetime | None


def first_of(records: list[Record]) -> Any:
    return records[0][0] if records else None


@query(first_of)
def reserve(key: bytes, *, now: datetime, until: datetime, most: int, since: datetime) -> Sql:
    """Which attempt in a row this is, if it may be made; it counts as wrong until `settle`. The fifth locks.

    It may be made while the key is not locked and fewer than `most` were counted in the window, which began after
    `since` or begins now. What is refused changes nothing.
    """
    here, later = type_coerce(now, INSTANT), type_coerce(until, INSTANT)
    over = LoginThrottle.locked_until <= here
    attempts = case((over, 1), else_=LoginThrottle.attempts + 1)
    anew = or_(LoginThrottle.tried_since.is_(None), LoginThrottle.tried_since <= since)
    row = insert(LoginThrottle).values(key=key, attempts=1, tried=1, tried_since=here, updated_at=here)
    return row.on_conflict_do_update(
        index_elements=[LoginThrottle.key],
        set_={
            "attempts": attempts,
            "locked_until": case((attempts >= MOST, later)),
            "tried": case((anew, 1), else_=LoginThrottle.tried + 1),
            "tried_since": case((anew, here), else_=LoginThrottle.tried_since),
            "updated_at": here,
        },
        where=and_(or_(LoginThrottle.locked_until.is_(None), over), or_(anew, LoginThrottle.tried < most)),
    ).returning(LoginThrottle.attempts)


@query(one(lambda record: Standing(*record)))
def find(key: bytes) -> Sql:
    return select(LoginThrottle.locked_until, LoginThrottle.tried, LoginThrottle.tried_since).where(
        LoginThrottle.key == key
    )


@query(lambda _: None)
def give_back(key: bytes) -> Sql:
    """Undo an attempt that was not made after all."""
    return uncount_attempts(key, func.greatest(LoginThrottle.attempts - 1, 0))


@query(lambda _: None)
def settle(key: bytes) -> Sql:
    """The attempt was right: it does not count, and no wrong one is in a row with the next."""
    return uncount_attempts(key, 0)


@query(lambda _: None)
def forget(first: bytes, last: bytes) -> Sql:
    """Forget what was counted for these keys."""
    return delete(LoginThrottle).where(LoginThrottle.key.between(first, last))


def uncount_attempts(key: bytes, attempts: Any) -> Sql:
    values = {"attempts": attempts, "locked_until": null(), "tried": func.greatest(LoginThrottle.tried - 1, 0)}
    return update(LoginThrottle).where(LoginThrottle.key == key).values(values)
