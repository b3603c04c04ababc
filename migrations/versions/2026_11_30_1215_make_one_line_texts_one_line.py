"""make one-line texts one line"""

import re
import sys
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "8e2f6b1d94a3"
down_revision = "7b1e64f0a2c9"
branch_labels = None
depends_on = None

BATCH = 1000
SEEN = "\ufffd"
"""What stands for a text that must be there, and has nothing to be seen in it."""
CHANGED = ", version = t.version + 1, updated_at = clock_timestamp()"
WORDS = r"regexp_replace(t.words, '[\u0001-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]', '', 'g')"
TABLES = (
    ("users", ("id",), "full_name", None, f"{CHANGED}, words = {WORDS}"),
    ("organizations", ("id",), "name", SEEN, CHANGED),
    ("sessions", ("id",), "device_name", None, ""),
    ("tasks", ("organization_id", "id"), "title", SEEN, CHANGED),
)
PLAIN = "^[!-~]([ -~]*[!-~])?$"
"""What most texts are, so that few are read."""
BREAKS = "\t\n\v\f\r\x85\u2028\u2029"
TURNING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
UNSEEN = re.compile(
    r"[\s\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    r"\uffa0\ufff0-\ufffb]*"
)


def upgrade() -> None:
    """Mend what was stored before the contract took one line only, batch by batch, and tell each character.

    A row that somebody writes just now keeps what was written.
    """
    with op.get_context().autocommit_block():
        for table, keys, column, empty, more in TABLES:
            mended = mend_table(table, keys, column, empty, more)
            if mended:
                say(f"{table}.{column}: {mended} mended")


def downgrade() -> None:
    """Change nothing: what was replaced is in what the upgrade has told."""


def mend_table(table: str, keys: tuple[str, ...], column: str, empty: str | None, more: str) -> int:
    """How many texts of a column were mended."""
    key, given = ", ".join(keys), ", ".join(f"CAST(:{name} AS uuid)" for name in keys)
    read = sa.text(f"""
        SELECT {key}, {column} FROM {table} WHERE ({key}) > ({given}) AND {column} COLLATE "C" !~ :plain
        ORDER BY {key} LIMIT CAST(:batch AS integer)
    """)  # noqa: S608 - the names are those above
    arrays = ", ".join(f"CAST(:{name}s AS uuid[])" for name in keys)
    write = sa.text(f"""
        UPDATE {table} AS t SET {column} = mended.after{more}
        FROM unnest({arrays}, CAST(:before AS text[]), CAST(:after AS text[])) AS mended ({key}, before, after)
        WHERE {" AND ".join(f"t.{name} = mended.{name}" for name in keys)} AND t.{column} = mended.before
    """)  # noqa: S608 - the names are those above
    place, count = dict.fromkeys(keys, UUID(int=0)), 0
    while rows := op.get_bind().execute(read, place | {"plain": PLAIN, "batch": BATCH}).all():
        place = dict(zip(keys, rows[-1], strict=False))
        changed = [(row, after) for row in rows if (after := mend_text(row[-1], empty)) != row[-1]]
        values = {f"{name}s": [row[number] for row, _ in changed] for number, name in enumerate(keys)}
        texts = {"before": [row[-1] for row, _ in changed], "after": [after for _, after in changed]}
        count += op.get_bind().execute(write, values | texts).rowcount if changed else 0
        for row, _ in changed:
            say(f"{table}.{column} of {row[len(keys) - 1]}: {tell_change(row[-1])}")
    return count


def mend_text(text: str, empty: str | None) -> str | None:
    """The text as one line: breaks are spaces, what must not be there goes; `empty` where nothing is seen then."""
    line = TURNING.sub("", text.translate(dict.fromkeys(map(ord, BREAKS), " "))).strip(SPACES)
    return empty if UNSEEN.fullmatch(line) else line


def tell_change(before: str) -> str:
    """Which characters went or became spaces, by their place from 0, without the text."""
    kept = [place for place, char in enumerate(before) if char not in SPACES + BREAKS and not TURNING.match(char)]
    start, end = (kept[0], kept[-1] + 1) if kept else (0, 0)
    told = [
        f"U+{ord(char):04X} at {place} {'is a space' if char in BREAKS and start < place < end else 'is left out'}"
        for place, char in enumerate(before)
        if char in BREAKS or TURNING.match(char) or not start <= place < end
    ]
    return ", ".join([*told, "nothing was to be seen"] if UNSEEN.fullmatch(TURNING.sub("", before)) else told)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
