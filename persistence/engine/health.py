"""Whether the database answers, and which migration it has."""

import time
from dataclasses import dataclass

from sqlalchemy import func, literal_column, select, table

from persistence.engine.pool import AWAY, Database
from persistence.engine.statements import Sql, query

VERSIONS = table("alembic_version")


@dataclass(frozen=True, slots=True)
class Health:
    """An answer of the database: after how many seconds, and with which migration."""

    latency: float
    schema_revision: str | None


@query(lambda records: records[0][0])
def schema_revision() -> Sql:
    return select(func.max(literal_column("version_num"))).select_from(VERSIONS)


async def look(db: Database) -> Health | None:
    """How the database is; None when it does not answer, or was never migrated."""
    began = time.perf_counter()
    try:
        revision: str | None = await schema_revision(db)
    except AWAY:
        return None
    return Health(time.perf_counter() - began, revision)
