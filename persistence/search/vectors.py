"""What a task is found by: a text for PostgreSQL's tsvector, whose every word begins with a tag of the organization.

GIN reads the words of a search by their beginnings: with a tag those of other organizations are never read. The
application writes UNTAGGED in its place, and PostgreSQL puts the tag there, since a statement knows the organization.
"""

import zlib
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import ColumnElement, Text, cast, func, literal_column
from sqlalchemy.dialects.postgresql import TSVECTOR

from generated import models
from persistence.search.folding import list_lexemes
from persistence.tables import Task

UNTAGGED = "\x01"
DIGITS = "0123456789abcdef"
TAGS = "".join(map(chr, range(0x10, 0x20)))
"""What stands for the digits in a tag: characters of control, which no word has."""
TITLE, DESCRIPTION = "A", "B"  # weights
LAST_OF_TITLE = 1200  # the position of its last word; 200 characters are at most that many
LAST_OF_ALL = 16383  # which PostgreSQL can tell apart; 2,000 characters of a description are 12,000 words at most
USUAL = 64  # words; templates for more are not kept


def tag(organization_id: UUID) -> str:
    """The last eight digits of the id. If two organizations share them, a search is slower, and no different."""
    return organization_id.hex[-8:].translate(str.maketrans(DIGITS, TAGS))


def tag_of(organization_id: Any) -> ColumnElement[str]:
    """`tag`, in SQL."""
    tags: ColumnElement[str] = literal_column("U&'" + "".join([f"\\{ord(char):04X}" for char in TAGS]) + "'")
    return func.translate(func.right(cast(organization_id, Text), 8), DIGITS, tags)


def tag_text(text: Any, organization_id: Any) -> ColumnElement[str]:
    return func.replace(text, literal_column(f"U&'\\{ord(UNTAGGED):04X}'"), tag_of(organization_id), type_=Text)


def write_part(text: str, weight: str) -> str:
    """The words of a text with their positions: those of a title end where those of a description begin.

    So each part is made without the other, and the distances between words are those of one text after the other.
    UNTAGGED alone is what every task has; its position is a checksum, by which a part is new when its text is.
    """
    lexemes = list_lexemes(text)
    count = len(lexemes)
    template = (usual_template if count <= USUAL else write_template)(count, weight)
    checksum = zlib.crc32(text.encode("utf-8", "surrogatepass")) % LAST_OF_ALL + 1
    return template % (checksum, *lexemes)


def write_template(count: int, weight: str) -> str:
    first = (LAST_OF_TITLE - count if weight == TITLE else LAST_OF_TITLE) + 1
    words = [f" '{UNTAGGED}%s':{position}{weight}" for position in range(first, first + count)]
    return f"'{UNTAGGED}':%d{weight}{''.join(words)}"


usual_template = lru_cache(maxsize=4 * USUAL)(write_template)


def write_vector(task: models.TaskCreate | models.TaskPatch) -> str | MISSING:
    """The parts of the texts that are given; MISSING when none is."""
    title, description = task.title, task.description
    if description is MISSING:
        return MISSING if title is MISSING else write_part(title, TITLE)
    after = write_part(description, DESCRIPTION) if description else ""
    return after if title is MISSING else f"{write_part(title, TITLE)} {after}"


def write_tagged_vector(organization_id: UUID, title: str, description: str | None) -> str:
    """The column `search_vector` of a task as PostgreSQL reads it, where no statement puts the tag there."""
    parts = [write_part(title, TITLE)] + ([write_part(description, DESCRIPTION)] if description else [])
    return " ".join(parts).replace(UNTAGGED, tag(organization_id))


def whole_vector(parts: Any, organization_id: Any) -> ColumnElement[Any]:
    """The column `search_vector` of a task, made of both parts."""
    return cast(tag_text(parts, organization_id), TSVECTOR)


def changed_vector(parts: Any, kept: str) -> ColumnElement[Any]:
    """The column of a task with one part anew, and with the other, which has the weight `kept`, as it was."""
    before = cast(func.ts_filter(Task.search_vector, literal_column(f"'{{{kept.lower()}}}'")), Text)
    return cast(tag_text(parts, Task.organization_id) + " " + before, TSVECTOR)


def moved_vector(vector: Any, source: Any, destination: Any) -> ColumnElement[Any]:
    """The vector of a task that goes to another organization."""
    return cast(func.replace(cast(vector, Text), tag_of(source), tag_of(destination)), TSVECTOR)
