"""Deletion of rows whose time is over, in batches."""

from datetime import datetime

from asyncpg import Record
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from persistence.engine.statements import Shape, Sql, query

BATCH = 1000


def read_count(records: list[Record]) -> int:
    count: int = records[0][0]
    return count


@query(read_count)
def delete_batch(moment: Shape[InstrumentedAttribute[datetime]], *, before: datetime) -> Sql:
    """At most BATCH of the rows whose `moment`, a column of their table, is earlier. What comes back is how many."""
    table = moment.class_.__table__
    keys = list(table.primary_key.columns)
    batch = select(*keys).where(moment < before).order_by(moment).limit(BATCH).with_for_update(skip_locked=True)
    old = batch.cte("old")  # read once, whatever the plan
    deleted = delete(table).where(tuple_(*keys).in_(select(*old.c))).returning(moment).cte("deleted")
    return select(func.count()).select_from(deleted)
