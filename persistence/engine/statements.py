"""SQLAlchemy writes the SQL.

A query is a function that returns a SQLAlchemy statement. It is called once for each shape of its arguments, with
placeholders where the values will be, and its SQL is kept; a call then picks the values and runs a prepared statement.
Dataclasses and models are spread over their fields. MISSING and `Shape[...]` arguments reach the function as they are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import update_wrapper
from inspect import signature
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Generic, ParamSpec, TypeAlias, TypeVar, get_args, get_type_hints

from asyncpg import Record
from pydantic import MISSING, BaseModel
from sqlalchemy import ClauseElement, ColumnElement, Select, any_, bindparam, case, false, true, type_coerce
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import UserDefinedType
from typing_extensions import override

from persistence.engine.pool import Database

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Shape: TypeAlias = Annotated[T, "shape"]
Sql: TypeAlias = ClauseElement
Pick: TypeAlias = Callable[[Any], tuple[Any, ...]]
Rows: TypeAlias = Select[*tuple[Any, ...]]


class Compiler(PGCompiler_asyncpg):
    """Writes constants into the SQL, where the planner and partial indexes see them."""

    @override
    def visit_bindparam(self, bindparam: Any, *args: Any, **kwargs: Any) -> Any:
        literal = {"literal_binds": not bindparam.required}
        return super().visit_bindparam(bindparam, *args, **kwargs | literal)  # type: ignore[no-untyped-call]


class Dialect(PGDialect_asyncpg):
    """PostgreSQL as asyncpg speaks it."""

    statement_compiler = Compiler


class PgType(UserDefinedType[Any]):
    """A type of PostgreSQL's own, by its name."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    @override
    def get_col_spec(self, **_: Any) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query: a value, a shape, or something spread over `fields`, of which `optional` may be MISSING.

    `may_miss`: so may the value itself.
    """

    name: str
    default: object
    shape: bool
    fields: tuple[str, ...]
    optional: tuple[str, ...]
    may_miss: bool

    @classmethod
    def from_hint(cls, name: str, hint: Any, default: object) -> "Parameter":
        shape = "shape" in getattr(hint, "__metadata__", ())
        spread = [
            t for t in (hint, *get_args(hint)) if isinstance(t, type) and (is_dataclass(t) or issubclass(t, BaseModel))
        ]
        fields: dict[str, Any] = get_type_hints(spread[0]) if spread and not shape else {}
        fields.pop("model_config", None)
        optional = [field for field, hint in fields.items() if MISSING in get_args(hint)]
        return cls(name, default, shape, tuple(fields), tuple(optional), MISSING in get_args(hint))

    @property
    def sources(self) -> Iterator[tuple[str, str]]:
        """The placeholders of its fields."""
        return ((f"{self.name}_{field}", field) for field in self.fields)

    def stand_in(self, value: Any) -> Any:
        """What the function sees in place of the value."""
        if self.shape or value is MISSING:
            return value
        if not self.fields:
            return bindparam(self.name)
        placeholders: dict[str, Any] = {
            field: bindparam(name) if getattr(value, field) is not MISSING else MISSING for name, field in self.sources
        }
        return value.model_construct(**placeholders) if isinstance(value, BaseModel) else type(value)(**placeholders)


class Query(Generic[P, T]):
    """`await find(db, task_id)`: runs what `write` wrote and answers what `read` makes of the records.

    A call lays its arguments out in a row, and behind them the fields of those that are spread: by their places there
    it finds what decides about the SQL, and the values of the placeholders.
    """

    def __init__(self, write: Callable[P, Sql], read: Callable[[list[Record]], T]) -> None:
        update_wrapper(self, write)
        hints = get_type_hints(write, include_extras=True)
        self.write, self.read = write, read
        self.parameters = [
            Parameter.from_hint(p.name, hints[p.name], p.default) for p in signature(write).parameters.values()
        ]
        self.places = {p.name: place for place, p in enumerate(self.parameters)}
        self.spread: list[tuple[int, Pick, tuple[Any, ...]]] = []
        """Of each parameter that is spread its place, what reads its fields, and those of a missing one."""
        self.shapes = [place for place, p in enumerate(self.parameters) if p.shape]
        self.optional = [place for place, p in enumerate(self.parameters) if p.may_miss and not p.shape]
        for place, p in enumerate(self.parameters):
            if p.fields:
                self.spread.append((place, several(attrgetter, p.fields), (MISSING,) * len(p.fields)))
                first = len(self.places)
                self.places |= {name: first + at for at, (name, _) in enumerate(p.sources)}
                self.optional += [self.places[f"{p.name}_{field}"] for field in p.optional]
        self.defaults = [(p.name, p.default) for p in self.parameters]
        self.kept: dict[tuple[object, ...], tuple[str, Pick]] = {}

    async def __call__(self, db: Database, *args: P.args, **kwargs: P.kwargs) -> T:
        sql, values = self.bind(*args, **kwargs)
        return self.read(await db.fetch(sql, values))

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> tuple[str, tuple[object, ...]]:
        """The SQL for these arguments, and the values of its placeholders."""
        row: list[Any] = [*args, *[kwargs.get(name, default) for name, default in self.defaults[len(args) :]]]
        for place, read, missing in self.spread:
            value = row[place]
            row += missing if value is MISSING else read(value)
        shape = (*[row[place] for place in self.shapes], *[row[place] is MISSING for place in self.optional])
        sql, pick = self.kept.get(shape) or self.keep(shape, row)
        return sql, pick(row)

    def keep(self, shape: tuple[object, ...], row: Sequence[Any]) -> tuple[str, Pick]:
        write: Callable[..., Sql] = self.write
        stand_ins = {p.name: p.stand_in(value) for p, value in zip(self.parameters, row, strict=False)}
        compiled: Any = write(**stand_ins).compile(dialect=Dialect())  # type: ignore[no-untyped-call]
        self.kept[shape] = str(compiled), several(itemgetter, [self.places[name] for name in compiled.positiontup])
        return self.kept[shape]


def several(getter: Callable[..., Callable[[Any], Any]], keys: Sequence[Any]) -> Pick:
    """What picks these out of something, as a tuple however many there are."""
    if len(keys) > 1:
        return getter(*keys)
    return lambda whole: tuple([getter(key)(whole) for key in keys])


def query(read: Callable[[list[Record]], T]) -> Callable[[Callable[P, Sql]], Query[P, T]]:
    """Make a query of a function that writes SQL."""
    return lambda write: Query(write, read)


def when(value: T | MISSING, condition: Callable[[T], ColumnElement[bool]]) -> ColumnElement[bool]:
    """The condition on a value that may be missing, and then is no condition."""
    return true() if value is MISSING else condition(value)


def fence_planner(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, in a CASE: PostgreSQL sees no index for it there, and guesses that it keeps one half."""
    return case((condition, true()), else_=false())


def one_of(column: InstrumentedAttribute[T], values: Sequence[T]) -> ColumnElement[bool]:
    """True where the column is one of the values: one array, so the SQL does not depend on how many there are."""
    placeholder: Any = values
    return column == any_(placeholder)


def present_members(values: BaseModel) -> dict[str, Any]:
    """The members of a model that are there."""
    return {name: value for name, value in values.__dict__.items() if value is not MISSING}


def column_values(table: Any, values: Mapping[str, Any]) -> dict[str, ColumnElement[Any]]:
    """Values for columns of the table, each as the type of its column."""
    return {name: type_coerce(value, getattr(table, name).type).label(name) for name, value in values.items()}


def construct_model(model: type[M]) -> Callable[[Record], M]:
    """Makes a contract model of a record that starts with its fields; the database's constraints have validated it."""
    names = tuple(model.model_fields)
    everything = set(names)

    def make(record: Record) -> M:
        instance = model.__new__(model)
        object.__setattr__(instance, "__dict__", dict(zip(names, record, strict=False)))
        object.__setattr__(instance, "__pydantic_fields_set__", everything)
        object.__setattr__(instance, "__pydantic_extra__", None)
        object.__setattr__(instance, "__pydantic_private__", None)
        return instance

    return make


def one(make: Callable[[Record], T]) -> Callable[[list[Record]], T | None]:
    """What is made of the first record, if there is one."""
    return lambda records: make(records[0]) if records else None
