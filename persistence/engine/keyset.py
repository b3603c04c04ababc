"""Keyset pages: the order of a list, where a page begins; and the JSON text of items as PostgreSQL builds it."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import Record
from pydantic import MISSING
from sqlalchemy import ColumnElement, DateTime, FromClause, Subquery, Text, cast, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by

from persistence.engine.statements import Rows


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before: what it was sorted by, as PostgreSQL writes it, and its id."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """The items as JSON text, an array, and what the next page begins after, if there is one.

    `total` is how many items all pages have; None where that was not asked for.
    """

    items: bytes
    following: After | None
    total: int | None = None


class Item(NamedTuple):
    """A row of an organization as JSON text, and what else its answer tells."""

    id: UUID
    organization_id: UUID
    version: int
    shown_version: int | None
    """That of what it shows of another row."""
    text: bytes
    counted: int | None = None
    """How many the organization had before, where that was asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """Sorts by a column, then by id, both in one direction.

    `within` are columns of which all rows have one value each: to sort by them first changes nothing, but leaves no
    index to read but one that begins with them. PostgreSQL, which does not know the value, takes it for a usual one.
    """

    column: ColumnElement[Any]
    descending: bool = False
    within: tuple[ColumnElement[Any], ...] = ()

    def slice(self, rows: Rows, tie: Any, after: After | MISSING, limit: Any) -> Subquery:
        """The rows in this order, those after `after`, and one more than `limit`, numbered from 1, with key and id."""
        return self.number_rows(self.beginning(rows, tie, after), self.column, tie, limit)

    def merge_pages(self, each: FromClause, rows: Rows, tie: Any, after: After | MISSING, limit: Any) -> Subquery:
        """The same of the rows that there are for `each`: from every one of them the first, merged."""
        key = self.column.label("key")
        part = self.first(rows.add_columns(key), tie, after, limit).lateral("part")
        columns = [column for column in part.c if column.name != key.name]
        merged = select(*columns).select_from(each.join(part, true()))
        return self.number_rows(merged, part.c[key.name], part.c[tie.name], limit)

    def first(self, rows: Rows, tie: Any, after: After | MISSING, limit: Any) -> Rows:
        """The rows in this order, those after `after`, and one more than `limit`."""
        return self.beginning(rows, tie, after).order_by(*self.order_by(self.column, tie)).limit(limit + 1)

    def beginning(self, rows: Rows, tie: Any, after: After | MISSING) -> Rows:
        if after is MISSING:
            return rows
        here = tuple_(self.column, tie)
        there = tuple_(cast_value(after.key, self.column), cast_value(after.id, tie))
        return rows.where(here < there if self.descending else here > there)

    def order_by(self, *parts: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        return [part.desc() if self.descending else part.asc() for part in (*self.within, *parts)]

    def number_rows(self, rows: Rows, key: ColumnElement[Any], tie: Any, limit: Any) -> Subquery:
        ordered = self.order_by(key, tie)
        number = func.row_number().over(order_by=ordered).label("number")
        numbered = rows.add_columns(cast(key, Text).label("sort_key"), cast(tie, Text).label("sort_id"), number)
        return numbered.order_by(*ordered).limit(limit + 1).subquery("page")


def cast_value(text: Any, column: Any) -> ColumnElement[Any]:
    """The value of the column that a text stands for; as a subquery it is read once, and not once for each row."""
    return select(cast(cast(text, Text), column.type)).scalar_subquery()


def page_row(page: Subquery, limit: Any) -> Rows:
    """One row about a numbered slice: its items as JSON, whether more follow, and the key and id of the last item."""
    shown, last = page.c.number <= limit, page.c.number == limit
    columns = [contract_text(column) for column in page.c if column.name not in {"sort_key", "sort_id", "number"}]
    item = select(*columns).correlate(page).lateral("item")
    items = func.json_agg(aggregate_order_by(item.table_valued(), page.c.number)).filter(shown)
    return select(
        items.label("items"),
        (func.count() > limit).label("more"),
        func.max(page.c.sort_key).filter(last).label("last_key"),
        func.max(page.c.sort_id).filter(last).label("last_id"),
    ).select_from(page.join(item, true()))


def contract_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as the contract writes it: an instant in UTC with `Z`, its fraction left out when there is none."""
    if not isinstance(column.type, DateTime):
        return column
    text = func.to_char(func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    return func.replace(text, ".000000Z", "Z").label(column.key)


def item(row: FromClause) -> list[ColumnElement[Any]]:
    """What `Item` has of the row, whose column `shown_version` is no part of its text."""
    own = (
        select(*[contract_text(column) for column in row.c if column.key != "shown_version"])
        .correlate(row)
        .subquery("own")
    )
    text = select(func.row_to_json(own.table_valued())).scalar_subquery()
    return [row.c.id, row.c.organization_id, row.c.version, row.c.shown_version, text.label("text")]


def read_item(record: Record) -> Item:
    """The row of `item`, with which the record begins."""
    return Item(*record[:5])


def one(rows: Rows) -> Rows:
    """The rows, each as JSON."""
    item = select(*[contract_text(column) for column in rows.subquery().c]).subquery("item")
    return select(func.row_to_json(item.table_valued()).label("item"))


def read_one(record: Record) -> bytes:
    """The JSON text of the row of `one`."""
    item: bytes = record["item"]
    return item


def read(record: Record) -> Page:
    """The page that the row of `page_row` tells of."""
    following = After(record["last_key"], record["last_id"]) if record["more"] else None
    return Page(record["items"] or b"[]", following, record.get("total"))
