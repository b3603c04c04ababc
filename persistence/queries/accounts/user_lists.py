"""Queries about all accounts, for those who administer them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import ColumnElement, Text, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import aliased

from generated import models
from generated.models import UserSort
from persistence.authorization import Caller, for_superusers, read_permitted
from persistence.engine import keyset
from persistence.engine.keyset import After, Order
from persistence.engine.statements import Shape, Sql, construct_model, query, when
from persistence.queries.accounts.users import USER, cut, key
from persistence.search.folding import list_beginnings
from persistence.tables import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What narrows a list. MISSING: nothing. `words` is what `beginnings` made of the words to find."""

    words: str | MISSING = MISSING
    created_after: datetime | MISSING = MISSING
    created_before: datetime | MISSING = MISSING


def beginnings(text: str) -> str | MISSING:
    """The tsquery for accounts that have a word beginning with each of these; MISSING when there are none."""
    wanted = {write_word(word) for word in text.split()} - {""}
    return " & ".join(sorted(wanted)) if wanted else MISSING


def write_word(word: str) -> str:
    """What begins with it as it is, or with every part of it as a search folds them."""
    either = {write_beginnings(key(word).split()), write_beginnings(list_beginnings(word))} - {""}
    return f"({' | '.join(sorted(either))})" if either else ""


def write_beginnings(words: Iterable[str]) -> str:
    escaped = [word.replace("\\", "\\\\").replace("'", "''") for word in sorted(set(map(cut, words)))]
    return "(" + " & ".join(f"'{word}':*" for word in escaped) + ")" if escaped else ""


def order(source: Any, sort: UserSort) -> Order:
    column, descending = sort.value.removeprefix("-"), sort.value.startswith("-")
    by: ColumnElement[Any] = func.coalesce(source.email_key, "") if column == "email" else getattr(source, column)
    return Order(by, descending=descending)


@query(read_permitted(keyset.read))
def list_all(
    *,
    by: Caller,
    filters: Filters,
    is_active: Shape[bool | MISSING],
    is_superuser: Shape[bool | MISSING],
    sort: Shape[UserSort],
    after: After | MISSING,
    limit: int,
    total: Shape[bool],
) -> Sql:
    """A page of all accounts. Words are looked up before anything is sorted: few accounts have them."""
    source: Any = User
    if filters.words is not MISSING:
        vector = func.array_to_tsvector(func.string_to_array(User.words, " "))
        found = select(User).where(vector.op("@@")(cast(cast(filters.words, Text), TSQUERY)))
        source = aliased(User, found.offset(literal_column("0")).subquery("found"))  # else an index may be walked
    rows = select(*[getattr(source, column.key).label(column.key) for column in USER]).where(
        when(filters.created_after, lambda moment: source.created_at >= moment),
        when(filters.created_before, lambda moment: source.created_at < moment),
        when(is_active, lambda yes: source.is_active if yes else ~source.is_active),
        when(is_superuser, lambda yes: source.is_superuser if yes else ~source.is_superuser),
    )
    once = select(literal(1)).subquery("once")  # merged: of what is found no more is sorted than a page
    page = keyset.page_row(order(source, sort).merge_pages(once, rows, source.id, after, limit), limit)
    if total:
        page = page.add_columns(select(func.count()).select_from(rows.subquery()).scalar_subquery().label("total"))
    return for_superusers(by, page)


@query(read_permitted(lambda _: None))
def demand_superuser(*, by: Caller) -> Sql:
    """Raises NotAllowed."""
    return for_superusers(by, select(literal(1)))


@query(read_permitted(construct_model(models.User)))
def hold(user_id: UUID, *, by: Caller) -> Sql:
    """The account, locked until the transaction ends, if the caller may administer it."""
    return for_superusers(by, select(*USER).where(User.id == user_id).with_for_update(key_share=True))
