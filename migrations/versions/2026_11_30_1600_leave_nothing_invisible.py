"""leave nothing invisible"""

import sys
from uuid import UUID

import jsonschema_rs
import sqlalchemy as sa
from alembic import op

revision = "f13b6c8e20d7"
down_revision = "e7a93b15d8c0"
branch_labels = None
depends_on = None

BATCH = 1000
SEEN = "\ufffd"
"""What stands for a text that must be there, and has nothing to be seen in it."""
CHANGED = ", version = t.version + 1, updated_at = clock_timestamp()"
TABLES = (
    ("users", ("id",), "full_name", None, CHANGED),
    ("organizations", ("id",), "name", SEEN, CHANGED),
    ("sessions", ("id",), "device_name", None, ""),
    ("tasks", ("organization_id", "id"), "title", SEEN, CHANGED),
)
VISIBLE = "[!-~]"
"""What most texts have, so that few are read."""
INVISIBLE = r"^[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]*$"
IS_INVISIBLE = jsonschema_rs.validator_for({"pattern": INVISIBLE}).is_valid


def upgrade() -> None:
    """Replace the texts that have nothing to be seen in them on any plane, batch by batch, and tell each character.

    A row that somebody writes just now keeps what was written.
    """
    with op.get_context().autocommit_block():
        for table, keys, column, empty, more in TABLES:
            replaced = replace_texts(table, keys, column, empty, more)
            if replaced:
                say(f"{table}.{column}: {replaced} replaced")


def downgrade() -> None:
    """Change nothing: what was replaced is in what the upgrade has told."""


def replace_texts(table: str, keys: tuple[str, ...], column: str, empty: str | None, more: str) -> int:
    """How many texts of a column were replaced."""
    key, given = ", ".join(keys), ", ".join(f"CAST(:{name} AS uuid)" for name in keys)
    read = sa.text(f"""
        SELECT {key}, {column} FROM {table} WHERE ({key}) > ({given}) AND {column} COLLATE "C" !~ :visible
        ORDER BY {key} LIMIT CAST(:batch AS integer)
    """)  # noqa: S608 - the names are those above
    arrays = ", ".join(f"CAST(:{name}s AS uuid[])" for name in keys)
    write = sa.text(f"""
        UPDATE {table} AS t SET {column} = CAST(:empty AS text){more}
        FROM unnest({arrays}, CAST(:before AS text[])) AS unseen ({key}, before)
        WHERE {" AND ".join(f"t.{name} = unseen.{name}" for name in keys)} AND t.{column} = unseen.before
    """)  # noqa: S608 - the names are those above
    place, count = dict.fromkeys(keys, UUID(int=0)), 0
    while rows := op.get_bind().execute(read, place | {"visible": VISIBLE, "batch": BATCH}).all():
        place = dict(zip(keys, rows[-1], strict=False))
        unseen = [row for row in rows if IS_INVISIBLE(row[-1])]
        values = {f"{name}s": [row[number] for row in unseen] for number, name in enumerate(keys)}
        texts = {"before": [row[-1] for row in unseen], "empty": empty}
        count += op.get_bind().execute(write, values | texts).rowcount if unseen else 0
        for row in unseen:
            codes = " ".join(f"U+{ord(char):04X}" for char in row[-1])
            say(f"{table}.{column} of {row[len(keys) - 1]}: {codes} is left out, nothing was to be seen")
    return count


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
