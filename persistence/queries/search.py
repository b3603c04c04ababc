"""Full text search: how the words of a task are kept, what a search asks for, and the query."""

import re
from typing import Any
from unicodedata import normalize
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import REAL, ColumnElement, and_, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import REGCONFIG

from generated import models
from persistence.authorization import Caller, listed, listed_in, listed_mine, of_the_caller
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Sql, query, unindexed
from persistence.queries.task_filters import Filters
from persistence.tables import LIKE, MARKS, UNLIKE, Task

LONGEST_TERM = 300  # characters; PostgreSQL refuses lexemes from 2 KiB on
TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
SIMPLE: ColumnElement[Any] = cast(literal_column("'simple'"), REGCONFIG)
FOLDED = str.maketrans(UNLIKE, LIKE)
FOUND = [getattr(Task, name) for name in models.Task.model_fields]


def folded(text: str) -> str:
    """The text without accents, as the column `search` is made of it."""
    return re.sub(MARKS, "", normalize("NFKD", text)).translate(FOLDED)


def asked(text: str) -> str:
    """What `to_tsquery` takes for a search, whatever the text is; a text without words asks for nothing."""
    terms = [
        (minus, phrase, word)
        for minus, phrase, word in TERM.findall(text)
        if folded(phrase).strip() or folded(word).strip("-")  # of an accent alone nothing is left
    ]
    written: list[str] = []
    for at, (minus, phrase, word) in enumerate(terms):
        last = at == len(terms) - 1
        if word.lower() == "or" and not minus and written and not last and written[-1] != "|":
            written.append("|")
            continue
        if written and written[-1] != "|":
            written.append("&")
        prefix = ":*" if last and word and not minus and not text[-1].isspace() else ""
        written.append(f"{'!' if minus else ''}{quoted(phrase or word)}{prefix}")
    return " ".join(written)


def quoted(term: str) -> str:
    text = folded(term)[:LONGEST_TERM].replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


@query(listed)
def search_in(
    organization_id: UUID | MISSING,
    wanted: str,
    *,
    by: Caller,
    filters: Filters | MISSING,
    after: After | MISSING,
    limit: int,
) -> Sql:
    """A page of an organization's tasks that have what `asked` wants, the best first; MISSING: of the caller's all.

    To rank and sort what matches takes its ids only: the tasks of the page are read afterwards.
    """
    words = select(func.to_tsquery(SIMPLE, wanted).label("words")).cte("asked").prefix_with("MATERIALIZED")
    inside = of_the_caller(Task.organization_id, by) if organization_id is MISSING else is_in(organization_id)
    kept = [] if filters is MISSING else [filters.match()]
    rank = func.ts_rank(Task.search, words.c.words, type_=REAL).label("rank")
    matching = select(Task.organization_id, Task.id, rank).where(
        Task.search.bool_op("@@")(words.c.words), unindexed(inside), *kept
    )
    found = matching.offset(literal_column("0")).subquery("found")  # else PostgreSQL ranks twice what a page is after
    best = Order(found.c.rank, descending=True).first(select(found), found.c.id, after, limit).subquery("best")
    here = and_(Task.organization_id == best.c.organization_id, Task.id == best.c.id)
    rows = select(*FOUND, best.c.rank).join(best, here)
    order = Order(best.c.rank, descending=True)
    if organization_id is MISSING:
        return listed_mine(rows, Task.id, by=by, order=order, after=MISSING, limit=limit)
    return listed_in(organization_id, rows, Task.id, by=by, order=order, after=MISSING, limit=limit)


def is_in(organization_id: UUID) -> ColumnElement[bool]:
    return Task.organization_id == organization_id
