"""Queries about tasks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    func,
    literal_column,
    or_,
    outerjoin,
    select,
    true,
    type_coerce,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of
from sqlalchemy.orm import aliased

from generated import models
from generated.models import TaskSort, TaskStatus
from persistence.authorization import (
    Caller,
    Roles,
    Room,
    Target,
    listed_everywhere,
    listed_in,
    read_changed,
    read_page,
    read_placed,
    read_visible,
    seen_by,
)
from persistence.engine.keyset import After, Order, read_item
from persistence.engine.statements import Shape, Sql, one_of, present_members, query, when
from persistence.queries.audit import Entry, insert_after
from persistence.queries.due import INSTANT, SHOWN, changed_due, new_due
from persistence.queries.task_filters import Filters
from persistence.search.vectors import DESCRIPTION, TITLE, changed_vector, moved_vector, whole_vector
from persistence.tables import DUE_DATE_PRIORITY, PRIORITY_DUE_DATE, Organization, Task, User

AUTHOR = aliased(User, name="author")
HERE: ColumnElement[Any] = literal_column("tasks.user_id", Task.user_id.type)  # RETURNING correlates no column
AUTHOR_PARTS = [part for name in models.TaskAuthor.model_fields for part in (name, getattr(AUTHOR, name))]
ADDED = {"author": func.json_build_object(*AUTHOR_PARTS, type_=JSON), "shown_version": AUTHOR.version.expression}
"""What a task shows of its author; null when that account is gone."""


def task_columns(*names: str) -> list[Any]:
    """The columns of the contract's Task, or those of what else is told of one, by their names."""
    of_author = {
        name: select(part).where(AUTHOR.id == HERE).scalar_subquery().label(name) for name, part in ADDED.items()
    }
    return [of_author[name] if name in of_author else own(name) for name in names]


def own(name: str) -> Any:
    """A column of the contract's Task that is the task's own."""
    return SHOWN if name == "due_date" else getattr(Task, name)


TAGGED = task_columns(*models.Task.model_fields, "shown_version")
WRITER = select(ADDED["author"].label("author")).where(AUTHOR.id == Task.user_id).limit(1).lateral("writer")
"""The author, looked up once for all tasks of a page that one wrote: PostgreSQL remembers joins, not scalar subqueries.

The limit keeps it from reading all users to join them at once.
"""
STORED = [column for column in Task.__table__.c if column.computed is None]
LAST: ColumnElement[Any] = func.coalesce(Task.due_date, literal_column("'infinity'"), type_=INSTANT)
FIRST: ColumnElement[Any] = func.coalesce(Task.due_date, literal_column("'-infinity'"), type_=INSTANT)
TITLE_KEY: ColumnElement[Any] = func.coalesce(Task.title_key, Task.title, type_=Text).collate("C")
ORDERS: dict[TaskSort, Order] = {
    TaskSort.created_at_ascending: Order(Task.created_at.expression),
    TaskSort.created_at_descending: Order(Task.created_at.expression, descending=True),
    TaskSort.updated_at_ascending: Order(Task.updated_at.expression),
    TaskSort.updated_at_descending: Order(Task.updated_at.expression, descending=True),
    TaskSort.due_date_ascending: Order(LAST),
    TaskSort.due_date_descending: Order(FIRST, descending=True),
    TaskSort.priority_ascending: Order(Task.priority_rank.expression),
    TaskSort.priority_descending: Order(Task.priority_rank.expression, descending=True),
    TaskSort.title_ascending: Order(TITLE_KEY),
    TaskSort.title_descending: Order(TITLE_KEY, descending=True),
    TaskSort.priority_descending_due_date_ascending: Order(literal_column(PRIORITY_DUE_DATE, BigInteger())),
    TaskSort.due_date_ascending_priority_descending: Order(literal_column(DUE_DATE_PRIORITY, BigInteger())),
}


def select_tasks(*more: ColumnElement[Any]) -> Select[Any]:
    """Tasks as the contract shows them in a list, and `more` of each."""
    columns = [WRITER.c.author if name == "author" else own(name) for name in models.Task.model_fields]
    return select(*columns, *more).select_from(outerjoin(Task, WRITER, true()))


@query(read_visible(read_item))
def find(task_id: UUID, *, by: Caller) -> Sql:
    return seen_by(by, select(*TAGGED).where(Task.id == task_id), within=Task.organization_id)


@query(read_page)
def list_in(
    organization_id: UUID | MISSING,
    *,
    by: Caller,
    filters: Filters | MISSING,
    sort: Shape[TaskSort],
    after: After | MISSING,
    limit: int,
    total: Shape[bool] = False,
) -> Sql:
    """A page of an organization's tasks; MISSING: of those of all that the caller is a member of.

    MISSING filters keep everything, in the cheapest way.
    """
    order = ORDERS[sort]
    matching = [] if filters is MISSING else [filters.match(), *filters.ends(order.column)]
    rows, counted = select_tasks().where(*matching), select(Task.id).where(*matching) if total else None
    if organization_id is MISSING:
        within = Task.organization_id
        return listed_everywhere(
            rows, Task.id, within=within, by=by, order=order, after=after, limit=limit, counted=counted
        )
    here = Task.organization_id == organization_id
    rows, counted = rows.where(here), None if counted is None else counted.where(here)
    return listed_in(organization_id, rows, Task.id, by=by, order=order, after=after, limit=limit, counted=counted)


@query(read_placed)
def insert(
    task_id: UUID,
    task: models.TaskCreate,
    *,
    vector: str | MISSING,
    title_key: str | MISSING = MISSING,
    organization_id: UUID,
    by: Caller,
    roles: Shape[Roles],
    room: Room | MISSING = MISSING,
) -> Sql:
    """A task as the contract's `TaskCreate` says it; its status and priority must be there.

    `vector` and `title_key` are made of its texts.
    """
    target = organization(organization_id, by, roles, room)
    now = func.statement_timestamp()  # as far as PostgreSQL can tell it for a row that does not exist yet
    values = present_members(task) | {
        "id": task_id,
        "organization_id": organization_id,
        "user_id": by.id,
        "completed_at": case((is_completed(task.status), now)),
        "search_vector": whole_vector(vector, organization_id),
        "created_at": now,
        "updated_at": now,
    }
    values |= new_due(values)
    values |= {} if title_key is MISSING else {"title_key": title_key}
    return target.after(target.insert(Task, **values).returning(*TAGGED))


@query(read_changed)
def update(
    task_id: UUID,
    patch: models.TaskPatch,
    *,
    vector: str | MISSING,
    title_key: str | MISSING = MISSING,
    versions: Sequence[int] | MISSING,
    by: Caller,
    roles: Shape[Roles],
) -> Sql:
    """The task with what is given. `vector`, `title_key`: of the texts that are."""
    return apply_patch(target(task_id, by, roles), patch, vector, title_key, versions=versions)


@query(read_changed)
def update_to_move(
    task_id: UUID,
    patch: models.TaskPatch,
    *,
    vector: str | MISSING,
    title_key: str | MISSING = MISSING,
    versions: Sequence[int] | MISSING,
    by: Caller,
    roles: Shape[Roles],
    destination: UUID,
) -> Sql:
    """As `update`, of a task that then moves to the destination, unless it is there: its version grows by the move."""
    mine, is_there = target(task_id, by, roles), Task.organization_id == destination
    return apply_patch(mine, patch, vector, title_key, versions=versions, grows=is_there)


def apply_patch(
    mine: Target,
    patch: models.TaskPatch,
    vector: str | MISSING,
    title_key: str | MISSING,
    *,
    versions: Sequence[int] | MISSING,
    grows: ColumnElement[bool] | None = None,
) -> Sql:
    values = present_members(patch)
    values |= changed_due(values)
    found_by = {"search_vector": found_by_texts(values, vector)} if values.keys() & {"title", "description"} else {}
    found_by |= {} if title_key is MISSING else {"title_key": type_coerce(title_key, Task.title_key.type)}
    return change(mine, versions, values, found_by, grows)


def found_by_texts(values: dict[str, Any], vector: str | MISSING) -> ColumnElement[Any]:
    if "title" not in values:
        return changed_vector(vector, kept=TITLE)
    if "description" not in values:
        return changed_vector(vector, kept=DESCRIPTION)
    return whole_vector(vector, Task.organization_id)


@query(read_placed)
def move(
    task_id: UUID,
    *,
    source: UUID,
    destination: UUID,
    version: int,
    by: Caller,
    roles: Shape[Roles],
    left: Entry,
    arrived: Entry,
    room: Room | MISSING = MISSING,
) -> Sql:
    """The task at this version in another organization, where it is a row anew; it must be locked already.

    Both organizations have an audit log of it.
    """
    target = organization(destination, by, roles, room)
    here = Task.id == task_id, Task.organization_id == source, target.allowed, target.has_room
    gone = delete_from(Task).where(*here).returning(*STORED).cte("gone")
    values: dict[str, Any] = {column.name: gone.c[column.name] for column in STORED} | {
        "organization_id": type_coerce(destination, Task.organization_id.type),
        "version": type_coerce(version, Task.version.type),
        "search_vector": moved_vector(gone.c.search_vector, source, destination),
        "updated_at": func.clock_timestamp(),
    }
    moved = insert_into(Task).from_select(list(values), select(*[value.label(n) for n, value in values.items()]))
    return target.after(moved.returning(*TAGGED), lambda gone: [insert_after(gone, each) for each in (left, arrived)])


@query(read_changed)
def set_completed(
    task_id: UUID,
    *,
    completed: Shape[bool | MISSING],
    versions: Sequence[int] | MISSING,
    by: Caller,
    roles: Shape[Roles],
) -> Sql:
    """Completed, not completed, or the other of the two. A task that is not completed keeps its status when told so."""
    if completed is MISSING:
        status: Any = case((Task.completed, TaskStatus.pending.value), else_=TaskStatus.completed.value)
    elif completed:
        status = TaskStatus.completed.value
    else:
        status = case((Task.completed, TaskStatus.pending.value), else_=Task.status)
    return change(target(task_id, by, roles), versions, {"status": status})


@query(read_changed)
def delete(task_id: UUID, *, versions: Sequence[int] | MISSING, by: Caller, roles: Shape[Roles], entry: Entry) -> Sql:
    """The task as it was. Its organization has an audit log of it."""
    mine = target(task_id, by, roles)
    gone = delete_from(Task).where(*select_versions(mine, versions)).returning(*TAGGED)
    return mine.after(gone, lambda gone: [insert_after(gone, entry, organization_id=gone.c.organization_id)])


@query(lambda records: (records[0]["count"], records[0]["last"]))
def count_some(organization_id: UUID, *, after: UUID, most: int) -> Sql:
    """How many tasks follow this one, `most` at most, and the id of the last of them."""
    some = select(Task.id).where(Task.organization_id == organization_id, Task.id > after)
    ids = some.order_by(Task.id).limit(most).cte()
    last = select(ids.c.id).order_by(ids.c.id.desc()).limit(1).scalar_subquery()
    return select(func.count().label("count"), last.label("last")).select_from(ids)


def organization(organization_id: UUID, by: Caller, roles: Roles, room: Room | MISSING) -> Target:
    """Where a task shall be, if there is room."""
    keys = select(Organization.id).where(Organization.id == organization_id)
    target = Target(keys, within=Organization.id, by=by, roles=roles)
    target.limit(select(Task.id).where(Task.organization_id == organization_id), room)
    return target


def target(task_id: UUID, by: Caller, roles: Roles) -> Target:
    """The task, locked until the statement ends."""
    keys = select(Task.organization_id, Task.id, Task.version, *task_columns("shown_version")).where(Task.id == task_id)
    return Target(keys.with_for_update(of=Task, key_share=True), within=Task.organization_id, by=by, roles=roles)


def select_versions(mine: Target, versions: Sequence[int] | MISSING) -> list[ColumnElement[bool]]:
    return [mine.is_(Task, "organization_id", "id"), when(versions, lambda versions: one_of(Task.version, versions))]


def change(
    mine: Target,
    versions: Sequence[int] | MISSING,
    values: dict[str, Any],
    derived: dict[str, ColumnElement[Any]] | None = None,
    grows: ColumnElement[bool] | None = None,
) -> Sql:
    """The task with these values. Its version grows when one of them is new; otherwise everything stays as it is.

    `grows`: only then.
    """
    typed: dict[str, ColumnElement[Any]] = {
        name: type_coerce(value, getattr(Task, name).type) for name, value in values.items()
    }
    differs = or_(
        literal_column("false"), *[getattr(Task, name).is_distinct_from(value) for name, value in typed.items()]
    )
    now: Any = func.clock_timestamp()  # the row is locked by now
    if "status" in typed:
        now = select(select(now.label("now")).cte("moment").c.now).scalar_subquery()  # one moment for both
        typed["completed_at"] = case((is_completed(typed["status"]), func.coalesce(Task.completed_at, now)))
    grown = {
        "version": case((differs if grows is None else and_(differs, grows), Task.version + 1), else_=Task.version),
        "updated_at": case((differs, now), else_=Task.updated_at),
    }
    return mine.after(
        update_of(Task)
        .where(*select_versions(mine, versions))
        .values(typed | grown | (derived or {}))
        .returning(*TAGGED)
    )


def is_completed(status: Any) -> ColumnElement[bool]:
    return type_coerce(status, Task.status.type) == TaskStatus.completed.value
