"""What a new migration does to tables that hold rows, divided so that no request waits for it: for `migrate auto`.

Indexes are built and dropped CONCURRENTLY; constraints come as NOT VALID, and a later migration validates them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops
from alembic.operations.ops import (
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateTableOp,
    CreateUniqueConstraintOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableOp,
    ExecuteSQLOp,
)
from alembic.util import rev_id
from sqlalchemy import make_url, text
from sqlalchemy.sql.naming import conv

PREPARER = make_url("postgresql+asyncpg://").get_dialect()().identifier_preparer
LONGEST = 45  # letters of the message in the name of a file, so that the number of the part is not cut off


class Part(IntEnum):
    """The migrations that one becomes, in their order."""

    DROP_INDEXES = 1
    CHANGE = 2
    INDEX = 3
    VALIDATE = 4
    FINISH = 5


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of a part: what it does, and what takes it back."""

    part: Part
    up: ops.MigrateOperation
    down: ops.MigrateOperation | None = None


class Alone(ops.OpContainer):
    """Operations outside a transaction."""


@renderers.dispatch_for(Alone)
def render(context: AutogenContext, block: Alone) -> list[str]:
    lines = [line for each in block.ops for line in render_op(context, each)]
    return ["with op.get_context().autocommit_block():", *lines, ""]


def spare(_context: object, _revision: object, scripts: list[ops.MigrationScript]) -> None:
    """Divide what Alembic found into as many migrations as it takes."""
    if not scripts or scripts[0].upgrade_ops is None:
        return
    steps = list(steps_of(list(flat(scripts[0].upgrade_ops))))
    filled = [found for part in Part if (found := [step for step in steps if step.part == part])]
    if filled:
        first = scripts[0]
        scripts[:] = [write_script(first, number, len(filled), part) for number, part in enumerate(filled, start=1)]
        for before, after in pairwise(scripts):
            after.head = str(before.rev_id)


def write_script(script: ops.MigrationScript, number: int, count: int, steps: list[Step]) -> ops.MigrationScript:
    up = [step.up for step in steps]
    down = [step.down for step in reversed(steps) if step.down is not None]
    if steps[0].part in (Part.DROP_INDEXES, Part.INDEX):
        up, down = [Alone(up)], [Alone(down)]
    message = script.message or ""
    return ops.MigrationScript(
        rev_id=script.rev_id if number == 1 else rev_id(),
        message=message if count == 1 else f"{message[:LONGEST]} ({number} of {count})",
        upgrade_ops=ops.UpgradeOps(up),
        downgrade_ops=ops.DowngradeOps(down),
        head=script.head,
        splice=script.splice,
        branch_label=script.branch_label,
        version_path=script.version_path,
        depends_on=script.depends_on,
    )


def flat(container: ops.OpContainer) -> Iterator[ops.MigrateOperation]:
    for each in container.ops:
        yield from flat(each) if isinstance(each, ops.OpContainer) else [each]


def steps_of(changes: list[ops.MigrateOperation]) -> Iterator[Step]:
    """No request waits for a table that comes or goes."""
    without_rows = {each.table_name for each in changes if isinstance(each, CreateTableOp | DropTableOp)}
    for each in changes:
        if getattr(each, "source_table", getattr(each, "table_name", None)) in without_rows:
            yield Step(Part.CHANGE, each, each.reverse())
        else:
            yield from careful(each)


def careful(change: ops.MigrateOperation) -> Iterator[Step]:
    """The steps of a change to a table that is in use."""
    match change:
        case CreateIndexOp():
            yield Step(Part.INDEX, concurrently(change), concurrently(change.reverse()))
        case DropIndexOp():
            yield Step(Part.DROP_INDEXES, concurrently(change), concurrently(change.reverse()))
        case CreateCheckConstraintOp() | CreateForeignKeyOp():
            undo = change.reverse()
            change.kw["postgresql_not_valid"] = True
            yield Step(Part.CHANGE, change, undo)
            table = change.source_table if isinstance(change, CreateForeignKeyOp) else change.table_name
            yield Step(Part.VALIDATE, validation(table, str(change.constraint_name)))
        case CreateUniqueConstraintOp(constraint_name=str(name), table_name=table):
            index = CreateIndexOp(name, table, change.columns, unique=True)
            yield Step(Part.INDEX, concurrently(index), concurrently(index.reverse()))
            quoted = quote_name(name)
            taken = f"ALTER TABLE {quote_name(table)} ADD CONSTRAINT {quoted} UNIQUE USING INDEX {quoted}"
            yield Step(Part.FINISH, ExecuteSQLOp(taken), change.reverse())
        case AlterColumnOp(modify_nullable=False, table_name=table, column_name=column):
            name = conv(f"ck_{table}_{column}_not_null")  # or it would be named after its table once more
            check = CreateCheckConstraintOp(
                name, table, text(f"{quote_name(column)} IS NOT NULL"), postgresql_not_valid=True
            )
            dropped = DropConstraintOp(name, table, type_="check")
            yield Step(Part.CHANGE, check, dropped)
            yield Step(Part.VALIDATE, validation(table, name))
            again = CreateCheckConstraintOp(name, table, text(f"{quote_name(column)} IS NOT NULL"))
            yield Step(Part.FINISH, change, change.reverse())
            yield Step(Part.FINISH, dropped, again)
        case _:
            yield Step(Part.CHANGE, change, change.reverse())


def concurrently(change: ops.MigrateOperation) -> ops.MigrateOperation:
    if isinstance(change, CreateIndexOp | DropIndexOp):
        change.kw["postgresql_concurrently"] = True
    return change


def validation(table: str, name: str) -> ExecuteSQLOp:
    return ExecuteSQLOp(f"ALTER TABLE {quote_name(table)} VALIDATE CONSTRAINT {quote_name(name)}")


def quote_name(name: str) -> str:
    return PREPARER.quote(name)
