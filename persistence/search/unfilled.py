"""How a task is found that has no `search_vector`: by the column `search`. Both go with the next release."""

import re
from typing import Any
from unicodedata import normalize

from sqlalchemy import ColumnElement, cast, func, literal_column
from sqlalchemy.dialects.postgresql import REGCONFIG

from persistence.search.terms import Term, join_groups, read_groups
from persistence.tables import LIKE, MARKS, UNLIKE

LONGEST_TERM = 300  # characters; PostgreSQL refuses lexemes from 2 KiB on
SIMPLE: ColumnElement[Any] = cast(literal_column("'simple'"), REGCONFIG)
FOLDED = str.maketrans(UNLIKE, LIKE)


def fold(text: str) -> str:
    """The text without accents, as the column is made of it."""
    return re.sub(MARKS, "", normalize("NFKD", text)).translate(FOLDED)


def write_query(text: str) -> str:
    """What `to_tsquery` takes for a search, whatever the text is; a text without words asks for nothing."""
    return join_groups(read_groups(text, cut_word), quote)


def cut_word(text: str) -> str:
    return fold(text)[:LONGEST_TERM].strip()


def quote(term: Term[str]) -> str:
    text = term.words.replace("\\", "\\\\").replace("'", "''")
    return f"{'!' if term.negated else ''}'{text}'{':*' if term.is_beginning else ''}"


def to_query(wanted: Any) -> ColumnElement[Any]:
    return func.to_tsquery(SIMPLE, wanted)
