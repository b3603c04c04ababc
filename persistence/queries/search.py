"""Full text search: the query for what a caller may see, which reads the words of the caller's organizations alone."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import (
    REAL,
    Select,
    Uuid,
    and_,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from persistence.authorization import Caller, listed_in, listed_mine, places_of, read_page
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Sql, fence_planner, query
from persistence.queries.task_filters import Filters
from persistence.queries.tasks import select_tasks
from persistence.search.folding import Run, is_unspaced, pair_units, split_runs
from persistence.search.terms import Group, Term, join_groups, read_groups
from persistence.search.vectors import UNTAGGED, tag_text
from persistence.tables import Member, Task

MOST = 100  # lexemes that are looked for; each is read once for each organization
ANY = f"'{UNTAGGED}'"
"""What every task has."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search as two texts of a tsquery: what matches, and what it is ranked by."""

    match: str
    rank: str


def write_wanted(text: str) -> Wanted:
    """What the text asks for, whatever it is; a text without words asks for nothing."""
    left = MOST

    def read_runs(part: str) -> list[Run]:
        nonlocal left
        runs = [run[: left + 1] for run in split_runs(part)[:left]]
        left = max(left - sum(map(len, runs)), 0)
        return runs

    groups = read_groups(text, read_runs)
    rank = join_groups(groups, write_term)
    match = " | ".join([write_group(group) for group in groups if group])
    return Wanted(match, rank)


def write_group(group: Group[list[Run]]) -> str:
    """One of the alternatives. Of one that only excludes, GIN would read every organization's words."""
    written = join_groups([group], write_term)
    return f"{ANY} & {written}" if all(term.negated for term in group) else written


def write_term(term: Term[list[Run]]) -> str:
    """The words in a row. A letter of a text without spaces is looked for together with any that follows."""
    *before, last = term.words
    pairs = pair_units(last)
    lexemes = [lexeme for run in before for lexeme in pair_units(run)] + (pairs[:-1] or pairs)
    is_beginning = term.is_beginning or (len(last) == 1 and is_unspaced(last))
    written = " <-> ".join([f"'{UNTAGGED}{lexeme}'" for lexeme in lexemes])
    return f"{'!' if term.negated else ''}({written}{':*' if is_beginning else ''})"


@query(read_page)
def search_in(
    organization_id: UUID | MISSING,
    wanted: Wanted,
    *,
    by: Caller,
    filters: Filters | MISSING,
    after: After | MISSING,
    limit: int,
) -> Sql:
    """A page of an organization's tasks that have what is wanted, the best first; MISSING: of the caller's all.

    To rank and sort what matches takes its ids only: the tasks of the page are read afterwards.
    """
    ranked = list_matching(organization_id, wanted, by, filters)
    found = ranked.offset(literal_column("0")).subquery("found")  # else PostgreSQL ranks twice what a page is after
    best = Order(found.c.rank, descending=True).first(select(found), found.c.id, after, limit).subquery("best")
    here = and_(Task.organization_id == best.c.organization_id, Task.id == best.c.id)
    rows = select_tasks(best.c.rank).join(best, here)
    order = Order(best.c.rank, descending=True)
    if organization_id is MISSING:
        return listed_mine(rows, Task.id, by=by, order=order, after=MISSING, limit=limit)
    return listed_in(organization_id, rows, Task.id, by=by, order=order, after=MISSING, limit=limit)


def list_matching(
    organization_id: UUID | MISSING, wanted: Wanted, by: Caller, filters: Filters | MISSING
) -> Select[Any]:
    """The ids of all tasks that match, with their rank.

    Each organization of the caller is looked for by its own tag: what it costs is a matter of its tasks alone.
    """
    if organization_id is MISSING:
        own = places_of(by).with_only_columns(Member.organization_id.label("id")).subquery("own")
    else:
        own = select(type_coerce(organization_id, Uuid).label("id")).subquery("own")
    queries = [
        cast(tag_text(text, own.c.id), TSQUERY).label(name)
        for name, text in (("match", wanted.match), ("rank", wanted.rank))
    ]
    asked = select(own.c.id, *queries).cte("asked").prefix_with("MATERIALIZED")
    kept = [] if filters is MISSING else [filters.match()]
    rank = func.ts_rank(Task.search_vector, asked.c.rank, type_=REAL).label("rank")
    return (
        select(Task.organization_id, Task.id, rank)
        .select_from(asked.join(Task, Task.search_vector.bool_op("@@")(asked.c.match)))
        .where(fence_planner(Task.organization_id == asked.c.id), *kept)
    )
