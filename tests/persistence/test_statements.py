"""A query writes its SQL once for each shape of its arguments, and passes the values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from asyncpg import Record
from pydantic import MISSING, BaseModel
from sqlalchemy import ColumnElement, Integer, String, bindparam, cast, func, literal_column, select
from sqlalchemy.types import TypeEngine

from persistence.engine.statements import Shape, Sql, construct_model, one, one_of, present_members, query, when
from persistence.tables import Organization
from tests.conftest import Bench
from tests.factories import Factory


class Patch(BaseModel):
    """What there may be of a thing."""

    name: str | MISSING = MISSING
    size: int | MISSING | None = MISSING


@dataclass(frozen=True, slots=True)
class Range:
    """A range, which may have no end."""

    start: int
    end: int | MISSING = MISSING


class Organized(BaseModel):
    """The first columns of an organization."""

    kind: str
    slug: str | None


def numbers(records: list[Record]) -> list[int]:
    return [record[0] for record in records]


@query(numbers)
def count_up(start: int, *, by: int = 1, descending: Shape[bool] = False) -> Sql:
    n = func.generate_series(cast(start, Integer), cast(start, Integer) + 2 * cast(by, Integer), cast(by, Integer))
    counted = n.column_valued("n")
    return select(counted).order_by(counted.desc() if descending else counted)


async def test_values_pass_by_place_by_name_and_by_default(db: Bench) -> None:
    assert await count_up(db, 1) == [1, 2, 3]
    assert await count_up(db, start=4) == [4, 5, 6]
    assert await count_up(db, 1, by=10) == [1, 11, 21]


async def test_a_shape_reaches_the_function(db: Bench) -> None:
    assert await count_up(db, 1, descending=True) == [3, 2, 1]
    assert await count_up(db, 1, descending=False) == [1, 2, 3]


async def test_a_function_cannot_decide_by_a_value(db: Bench) -> None:
    @query(numbers)
    def branch_on_value(n: int) -> Sql:
        return select(literal_column("1")) if n > 1 else select(literal_column("2"))

    with pytest.raises(TypeError, match="Boolean value of this clause is not defined"):
        await branch_on_value(db, 1)


def test_the_sql_is_written_once_for_each_shape() -> None:
    written: list[bool] = []

    @query(numbers)
    def note_and_select(n: int, *, more: Shape[bool]) -> Sql:
        written.append(more)
        return select(cast(n, Integer))

    for n in range(3):
        for more in (True, False):
            assert note_and_select.bind(n, more=more)[1] == (n,)

    assert written == [True, False]


@query(numbers)
def in_range(span: Range) -> Sql:
    n = func.generate_series(1, 9).column_valued("n")
    return select(n).where(n >= span.start, when(span.end, lambda end: n < end)).order_by(n)


async def test_a_dataclass_is_spread_and_its_missing_fields_are_no_condition(db: Bench) -> None:
    assert await in_range(db, Range(7)) == [7, 8, 9]
    assert await in_range(db, Range(3, 5)) == [3, 4]
    assert await in_range(db, Range(3, 4)) == [3]
    assert in_range.bind(Range(3, 5))[1] == (3, 5)


@query(lambda records: dict(records[0]))
def select_patch(patch: Patch) -> Sql:
    types: dict[str, TypeEngine[Any]] = {"name": String(), "size": Integer()}
    columns: list[ColumnElement[Any]] = [
        cast(value, types[name]).label(name) for name, value in present_members(patch).items()
    ]
    return select(literal_column("true").label("there"), *columns)


async def test_a_model_is_spread_over_the_members_that_are_there(db: Bench) -> None:
    assert await select_patch(db, Patch()) == {"there": True}
    assert await select_patch(db, Patch(size=None)) == {"there": True, "size": None}
    assert await select_patch(db, Patch(name="x", size=3)) == {"there": True, "name": "x", "size": 3}


@query(numbers)
def at_least(least: int | MISSING = MISSING) -> Sql:
    n = func.generate_series(1, 3).column_valued("n")
    return select(n).where(when(least, lambda least: n >= least))


async def test_a_missing_argument_is_no_condition(db: Bench) -> None:
    assert await at_least(db) == [1, 2, 3]
    assert await at_least(db, MISSING) == [1, 2, 3]
    assert await at_least(db, 3) == [3]


@query(lambda records: sorted(record["name"] for record in records))
def select_named(slugs: Sequence[str]) -> Sql:
    return select(Organization.name).where(one_of(Organization.slug, slugs))


async def test_one_of_takes_any_number_of_values_with_the_same_sql(db: Bench, make: Factory) -> None:
    for slug in ("a", "b"):
        await make.row(Organization, {"id": (await make.user()).session_id, "kind": "team", "name": slug, "slug": slug})

    assert await select_named(db, []) == []
    assert await select_named(db, ["b"]) == ["b"]
    assert await select_named(db, ["a", "b", "c"]) == ["a", "b"]
    assert select_named.bind([])[0] == select_named.bind(["a", "b"])[0]


async def test_constants_are_written_into_the_sql_and_values_are_not() -> None:
    @query(numbers)
    def organizations(name: str) -> Sql:
        return select(func.count()).where(Organization.kind == "team", Organization.name == name)

    sql, values = organizations.bind("it's")

    assert "kind = 'team'" in sql
    assert values == ("it's",)
    assert "it's" not in sql


async def test_a_value_is_passed_as_often_as_it_is_used(db: Bench) -> None:
    @query(numbers)
    def twice(n: int) -> Sql:
        placeholder = bindparam("n", type_=Integer)
        return select(cast(n, Integer) + placeholder)

    assert await twice(db, 4) == [8]


@query(one(construct_model(Organized)))
def find(slug: str) -> Sql:
    return select(Organization.kind, Organization.slug, Organization.name).where(Organization.slug == slug)


async def test_a_record_becomes_a_model_as_if_it_had_been_validated(db: Bench, make: Factory) -> None:
    await make.row(Organization, {"id": (await make.user()).session_id, "kind": "team", "name": "A", "slug": "a"})

    found = await find(db, "a")

    assert found == Organized(kind="team", slug="a")
    assert found is not None
    assert found.model_fields_set == {"kind", "slug"}
    assert found.model_copy(update={"slug": None}).model_dump_json() == '{"kind":"team","slug":null}'
    assert await find(db, "b") is None
