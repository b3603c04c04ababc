"""How the schema of a database differs from persistence/tables.py, as PostgreSQL itself writes both down.

`alembic check` does not see predicates, expressions, operator classes, generated columns or what a check says.
"""

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from persistence.event_triggers import EVENT_TRIGGERS
from persistence.tables import TRIGGERS, Row
from server.database.connect import connect

# One line for each column, constraint, index and trigger of the first schema of the search path.
WRITTEN_DOWN = """
WITH tables AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
        AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'
)
SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
    || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
    || CASE attgenerated WHEN '' THEN coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), attidentity::text)
        ELSE ' GENERATED ' || attgenerated::text || ' AS ' || pg_get_expr(adbin, adrelid) END
FROM tables JOIN pg_attribute ON attrelid = tables.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint ' || relname || '.' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid, true)
FROM tables JOIN pg_constraint ON conrelid = tables.oid WHERE contype <> 'n'  -- NOT NULL, which the columns tell
UNION ALL
SELECT 'index ' || pg_get_indexdef(indexrelid, 0, true)
    || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
FROM tables JOIN pg_index ON indrelid = tables.oid
UNION ALL
SELECT 'trigger ' || split_part(pg_get_triggerdef(pg_trigger.oid, true), ' EXECUTE ', 1)
    || CASE tgenabled WHEN 'O' THEN '' ELSE ' DISABLED' END || regexp_replace(prosrc, '[[:space:]]+', ' ', 'g')
FROM tables JOIN pg_trigger ON tgrelid = tables.oid JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal
"""


async def differences(url: str) -> list[str]:
    """What the schema lacks and what was not declared, a line each. For comparison the tables are made as temporary."""
    async with connect(url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        found = await written_down(connection, await connection.fetchval("SELECT current_schema()"))
        await connection.execute("SET LOCAL search_path = pg_temp")
        await connection.execute(declared_schema())
        wanted = await written_down(connection, await connection.fetchval("SELECT current_schema()"))
        await transaction.rollback()
    lacking, undeclared = sorted(wanted - found), sorted(found - wanted)
    return [f"it lacks {line}" for line in lacking] + [f"it has {line}" for line in undeclared]


async def written_down(connection: asyncpg.Connection, schema: str) -> set[str]:
    return {record[0] for record in await connection.fetch(WRITTEN_DOWN, schema)}


def declared_schema() -> str:
    """The statements that make the tables and their triggers."""
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    statements: list[ExecutableDDLElement] = []
    for table in Row.metadata.sorted_tables:
        statements += [CreateTable(table), *map(CreateIndex, table.indexes)]
    made = [str(statement.compile(dialect=dialect)) for statement in statements]
    return ";\n".join(
        [*made, (TRIGGERS + EVENT_TRIGGERS).replace("FUNCTION ", "FUNCTION pg_temp.")]
    )  # PostgreSQL finds no others there
