"""fill what sorts titles"""

import re
import unicodedata
from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "d5b80e37c1f4"
down_revision = "c41f7d0a92e6"
branch_labels = None
depends_on = None

BATCH = 1000
READ = sa.text("""
    SELECT organization_id, id, title FROM tasks
    WHERE (organization_id, id) > (CAST(:organization_id AS uuid), CAST(:id AS uuid)) AND title_key IS NULL
    ORDER BY organization_id, id LIMIT CAST(:batch AS integer)
""")
WRITE = sa.text("""
    WITH filled AS (
        SELECT * FROM unnest(CAST(:places AS uuid[]), CAST(:ids AS uuid[]), CAST(:titles AS text[]),
            CAST(:keys AS text[])) AS _ (organization_id, id, title, key)
    ), unchanged AS (
        SELECT tasks.organization_id, tasks.id, filled.key FROM tasks JOIN filled USING (organization_id, id)
        WHERE tasks.title = filled.title AND title_key IS NULL
        ORDER BY organization_id, id FOR NO KEY UPDATE OF tasks SKIP LOCKED
    )
    UPDATE tasks SET title_key = unchanged.key FROM unchanged
    WHERE tasks.organization_id = unchanged.organization_id AND tasks.id = unchanged.id
""")
INDEX = """
CREATE INDEX CONCURRENTLY ix_tasks_title_key ON tasks
    (organization_id, (COALESCE(title_key, title::text) COLLATE "C"), id)
"""


def upgrade() -> None:
    """Fill the column as the application does, batch by batch; then build its index.

    A task that is written just now is not waited for: it is sorted by its title as it is.
    """
    with op.get_context().autocommit_block():
        after = {"organization_id": UUID(int=0), "id": UUID(int=0)}
        while rows := op.get_bind().execute(READ, after | {"batch": BATCH}).all():
            after = {"organization_id": rows[-1].organization_id, "id": rows[-1].id}
            places, ids, titles = ([row[number] for row in rows] for number in range(3))
            keys = [sort_key(title) for title in titles]
            op.get_bind().execute(WRITE, {"places": places, "ids": ids, "titles": titles, "keys": keys})
        op.execute(INDEX)


def downgrade() -> None:
    """The release before sorts by the title; the keys stay until the column goes."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY ix_tasks_title_key")


def sort_key(text: str) -> str:
    return f"{fold(text)[:LONGEST]}\x01{text}"


# How the application folds texts as of this migration.

LONGEST = 200  # characters of what is folded
NUKTA, OVERLAY = 7, 1  # combining classes
POINTS = range(10, 37)  # those of Hebrew, Arabic and Syriac
ACCENTS = range(200, 256)
LAST_BASIC = "\uffff"
INDIC = range(0x0900, 0x0E00)
MARKED = [(0xAD, 0xAD), (0x300, 0x30FF), (0xA660, 0xABFF), (0xFB1E, 0xFB1E), (0xFE00, 0xFE2F), (0xFEFF, 0xFEFF)]
MARKED += [(0xFFF9, 0xFFFB), (0x10A00, 0x11FFF), (0x1E000, 0x1E95F), (0xE0001, 0xE01EF)]
"""Where Unicode keeps marks, characters that are not seen, and the digits of scripts."""
LATIN = [(0xDF, 0x2AF), (0x1D00, 0x1DBF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xAB30, 0xAB6F)]
NAME = re.compile(r"LATIN SMALL (?:LETTER|LIGATURE) (?:DOTLESS )?([A-Z]{1,2})(?: WITH .+)?")
LETTERS = {"þ": "th"} | dict(zip("ðŋəɛɔĸ", "dneeok", strict=True))  # Latin ones that have their own names
LETTERS |= dict(zip("ىیکٱةہەँ", "ييكاهههं", strict=True))
LETTERS |= {final: letter + "\u0d4d" for final, letter in zip("ൺൻർൽൾൿ", "ണനരലളക", strict=True)} | {"ৎ": "ত্"}
LETTERS |= dict.fromkeys(["_", "\u02ee", *map(chr, range(0x2B9, 0x2C2))], " ")  # Unicode takes apostrophes for letters


def characters(ranges: Iterable[tuple[int, int]]) -> list[str]:
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


def is_dropped(char: str, kind: str) -> bool:
    """True for accents, points, tatweel, joiners and what is not seen. A vowel sign is a letter to people."""
    if kind in {"Cf", "Me"} or char in "\u034f\u0640\u07fa" or "SELECTOR" in unicodedata.name(char):
        return True
    if kind != "Mn" or char > LAST_BASIC:
        return False
    order = unicodedata.combining(char)
    return ord(char) in INDIC if order == NUKTA else order == OVERLAY or order in POINTS or order in ACCENTS


def name_letters() -> dict[str, str]:
    """The Latin letters that Unicode does not take apart, and what their names say that they are."""
    named = {char: NAME.fullmatch(unicodedata.name(char, "")) for char in characters(LATIN)}
    return {char: name[1].lower() for char, name in named.items() if name}


def any_of(chars: Iterable[str]) -> str:
    """What stands for them between brackets: ranges, since beyond U+FFFF `re` tries one part after the other."""
    codes = sorted(map(ord, chars))
    firsts = [code for before, code in zip([-1, *codes], codes, strict=False) if code != before + 1]
    lasts = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if after != code + 1]
    return "".join([f"\\U{first:08x}-\\U{last:08x}" for first, last in zip(firsts, lasts, strict=True)])


KINDS = {char: unicodedata.category(char) for char in characters(MARKED)}
DIGITS = {char: str(unicodedata.decimal(char)) for char, kind in KINDS.items() if kind == "Nd" and char <= LAST_BASIC}
SEEN = {char: not is_dropped(char, kind) for char, kind in KINDS.items() if kind in {"Mn", "Mc", "Me", "Cf", "Lm"}}
ALIKE = name_letters() | DIGITS | LETTERS
DROPPED = re.compile(f"[{any_of(char for char, seen in SEEN.items() if not seen)}]+")
UNLIKE = re.compile(f"[{any_of(ALIKE)}]")


def fold(text: str) -> str:
    """The text with the letters that people take for the same made the same."""
    if text.isascii():
        return text.lower().replace("_", " ")
    letters = DROPPED.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return UNLIKE.sub(lambda letter: ALIKE[letter[0]], letters)
