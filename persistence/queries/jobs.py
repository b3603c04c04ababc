"""Queries about what operators have done regularly: when each of it last succeeded."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from persistence.engine.statements import Sql, query
from persistence.tables import Job

NAMES = ("backup", "prune")


@query(lambda _: None)
def note_success(name: str, *, now: datetime) -> Sql:
    row = insert(Job).values(name=name, succeeded_at=now)
    return row.on_conflict_do_update(index_elements=[Job.name], set_={"succeeded_at": row.excluded.succeeded_at})


@query(lambda records: {record["name"]: record["succeeded_at"] for record in records})
def last_successes() -> Sql:
    return select(Job.name, Job.succeeded_at)
