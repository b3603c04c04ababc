"""Queries about secrets that are kept encrypted, whichever their table: read, and encrypted anew, in batches."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from sqlalchemy import column, func, select, type_coerce, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from persistence.engine.statements import Shape, Sql, one_of, query

BATCH = 1000


class KeptSecret(NamedTuple):
    """A secret as it is kept, and the id of its row, which it is bound to."""

    id: UUID
    encrypted: bytes


def count(records: list[Record]) -> int:
    counted: int = records[0][0]
    return counted


@query(lambda records: [KeptSecret(*record) for record in records])
def list_batch(secret: Shape[InstrumentedAttribute[bytes]], *, after: UUID) -> Sql:
    """At most BATCH of what a column keeps, by id."""
    id_of: InstrumentedAttribute[UUID] = secret.class_.id
    return select(id_of, secret).where(id_of > after).order_by(id_of).limit(BATCH)


@query(count)
def replace_batch(
    secret: Shape[InstrumentedAttribute[bytes]], *, ids: Sequence[UUID], before: Sequence[bytes], anew: Sequence[bytes]
) -> Sql:
    """Keep these as they are encrypted anew, but for those that changed since they were read. How many come back.

    They are locked by id, so that of two who do it at once none waits for the other in a ring.
    """
    id_of: InstrumentedAttribute[UUID] = secret.class_.id
    kinds = {"id": id_of.type, "before": secret.type, "anew": secret.type}
    given = [type_coerce(values, ARRAY(kind)) for values, kind in zip((ids, before, anew), kinds.values(), strict=True)]
    columns = [column(name, kind) for name, kind in kinds.items()]
    each = func.unnest(*given).table_valued(*columns, name="each").render_derived()
    held = select(id_of).where(one_of(id_of, ids)).order_by(id_of).with_for_update().cte("held")
    same = id_of == each.c.id, secret == each.c.before, id_of.in_(select(held.c.id))
    replaced = update(secret.class_).where(*same).values({secret.key: each.c.anew}).returning(id_of).cte("replaced")
    return select(func.count()).select_from(replaced)
