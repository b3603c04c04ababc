"""The operations tagged `tasks`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import MISSING
from uuid_utils.compat import uuid7

from contract.types import EntityTags, Json
from generated import models
from generated.models import AuditAction, AuditOutcome, TaskPriority, TaskScope, TaskStatus, TaskStatusFilter
from generated.operations import (
    CreateTask201,
    DeleteTask204,
    GetTask200,
    ListTasks200,
    QuotaExceeded,
    ReplaceTask200,
    SearchTasks200,
    ToggleTaskCompletion200,
    UpdateTask200,
)
from handlers.shared import audit_trail, pagination, task_filters
from handlers.shared.audit_trail import entry_of
from handlers.shared.call import Call
from handlers.shared.permissions import ROLES, Action
from handlers.shared.preconditions import versions, write_etag
from persistence.authorization import Caller, Full, NotVisible, Room
from persistence.engine.keyset import Item
from persistence.engine.pool import Database
from persistence.queries import search, tasks
from persistence.search.sorting import write_sort_key
from persistence.search.vectors import write_vector

WRITERS = ROLES[Action.write_tasks]
SUCCESS = AuditOutcome.success
USUAL = {"status": TaskStatus.pending, "priority": TaskPriority.medium}
"""What a new task has where it is not told."""
FULL = "The organization has as many tasks as it may have."
Written = TypeVar("Written")


class Place(Protocol):
    """Puts a task into an organization, if there is room."""

    async def __call__(self, *, room: Room | MISSING) -> Item: ...


async def list_tasks(
    call: Call,
    /,
    *,
    limit: int,
    cursor: str | MISSING,
    sort: models.TaskSort,
    status: list[TaskStatusFilter] | MISSING,
    completed: bool | MISSING,
    priority: list[TaskPriority] | MISSING,
    due_before: datetime | MISSING,
    due_after: datetime | MISSING,
    time_zone: str | MISSING,
    created_before: datetime | MISSING,
    created_after: datetime | MISSING,
    updated_before: datetime | MISSING,
    updated_after: datetime | MISSING,
    user_id: UUID | MISSING,
    has_due_date: bool | MISSING,
    has_description: bool | MISSING,
    has_author: bool | MISSING,
    organization_id: UUID | MISSING,
    scope: TaskScope | MISSING,
    include_total: bool,
) -> ListTasks200:
    narrowed = {
        "status": status,
        "completed": completed,
        "priority": priority,
        "due_before": due_before,
        "due_after": due_after,
        "created_before": created_before,
        "created_after": created_after,
        "updated_before": updated_before,
        "updated_after": updated_after,
        "user_id": user_id,
        "has_due_date": has_due_date,
        "has_description": has_description,
        "has_author": has_author,
    }
    where = task_filters.place(call.caller.id, organization_id, scope)
    zone = await task_filters.zone_of_days(call, narrowed, time_zone)
    asked = narrowed | {"time_zone": time_zone, "organization_id": organization_id, "scope": scope, "sort": sort}
    meant = task_filters.meaning(narrowed, where, zone, sort=sort)
    listing = pagination.Listing("/api/v1/tasks", asked, call.caller.id, meant)
    page = await tasks.list_in(
        call.db,
        where,
        by=call.caller,
        filters=task_filters.filters(narrowed, zone, sort),
        sort=sort,
        after=listing.after(cursor, call.process.cursors),
        limit=limit,
        total=include_total,
    )
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.TaskPage] = Json(pagination.counted_body(page, following))
    return ListTasks200(body=body, link=listing.link(following, limit, include_total=include_total or MISSING))


async def search_tasks(
    call: Call,
    /,
    *,
    q: str,
    limit: int,
    cursor: str | MISSING,
    status: list[TaskStatusFilter] | MISSING,
    completed: bool | MISSING,
    priority: list[TaskPriority] | MISSING,
    due_before: datetime | MISSING,
    due_after: datetime | MISSING,
    time_zone: str | MISSING,
    created_before: datetime | MISSING,
    created_after: datetime | MISSING,
    updated_before: datetime | MISSING,
    updated_after: datetime | MISSING,
    user_id: UUID | MISSING,
    has_due_date: bool | MISSING,
    has_description: bool | MISSING,
    has_author: bool | MISSING,
    organization_id: UUID | MISSING,
    scope: TaskScope | MISSING,
) -> SearchTasks200:
    narrowed = {
        "status": status,
        "completed": completed,
        "priority": priority,
        "due_before": due_before,
        "due_after": due_after,
        "created_before": created_before,
        "created_after": created_after,
        "updated_before": updated_before,
        "updated_after": updated_after,
        "user_id": user_id,
        "has_due_date": has_due_date,
        "has_description": has_description,
        "has_author": has_author,
    }
    where = task_filters.place(call.caller.id, organization_id, scope)
    zone = await task_filters.zone_of_days(call, narrowed, time_zone)
    asked = narrowed | {"time_zone": time_zone, "organization_id": organization_id, "scope": scope, "q": q}
    wanted = search.write_wanted(q)
    meant = task_filters.meaning(narrowed, where, zone, q=[wanted.match, wanted.rank])
    listing = pagination.Listing("/api/v1/tasks/search", asked, call.caller.id, meant)
    page = await search.search_in(
        call.db,
        where,
        wanted,
        by=call.caller,
        filters=task_filters.filters(narrowed, zone),
        after=listing.after(cursor, call.process.cursors),
        limit=limit,
    )
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.TaskSearchPage] = Json(pagination.body(page, following))
    return SearchTasks200(body=body, link=listing.link(following, limit))


async def create_task(call: Call, /, *, body: models.TaskCreate) -> CreateTask201:
    where = call.caller.id if body.organization_id is MISSING else body.organization_id
    left_out = {name: value for name, value in USUAL.items() if getattr(body, name) is MISSING}
    whole = body.model_copy(update=left_out) if left_out else body
    insert = partial(tasks.insert, call.db, uuid7(), whole, organization_id=where, by=call.caller, roles=WRITERS)
    task = await place_task(
        call, where, partial(insert, vector=write_vector(whole), title_key=write_sort_key(body.title))
    )
    return CreateTask201(body=task_json(task), location=f"/api/v1/tasks/{task.id}", etag=etag(task))


async def get_task(call: Call, /, *, task_id: UUID) -> GetTask200:
    task = await tasks.find(call.db, task_id, by=call.caller)
    return GetTask200(body=task_json(task), etag=etag(task))


async def replace_task(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskReplace
) -> ReplaceTask200:
    whole = models.TaskPatch(
        title=body.title,
        description=None if body.description is MISSING else body.description,
        status=TaskStatus.pending if body.status is MISSING else body.status,
        priority=TaskPriority.medium if body.priority is MISSING else body.priority,
        due_date=None if body.due_date is MISSING else body.due_date,
        due_on=None if body.due_on is MISSING else body.due_on,
    )
    task = await apply_patch(call, task_id, whole, if_match, body.organization_id)
    return ReplaceTask200(body=task_json(task), etag=etag(task))


async def update_task(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskPatch
) -> UpdateTask200:
    destination = body.organization_id
    patch = body if destination is MISSING else body.model_copy(update={"organization_id": MISSING})
    task = await apply_patch(call, task_id, patch, if_match, destination)
    return UpdateTask200(body=task_json(task), etag=etag(task))


async def apply_patch(
    call: Call, task_id: UUID, patch: models.TaskPatch, if_match: EntityTags | MISSING, destination: UUID | MISSING
) -> Item:
    """The task with the patch, in the organization that it shall be in."""
    wanted, by = versions(if_match), call.caller
    vector = write_vector(patch)
    title_key = MISSING if patch.title is MISSING else write_sort_key(patch.title)
    given: dict[str, Any] = {
        "patch": patch,
        "vector": vector,
        "title_key": title_key,
        "versions": wanted,
        "by": by,
        "roles": WRITERS,
    }
    if destination is MISSING:
        return await retry_if_moved(call.db, task_id, by, partial(tasks.update, **given))
    async with call.db.transaction() as db:
        task = await retry_if_moved(db, task_id, by, partial(tasks.update_to_move, destination=destination, **given))
        if task.organization_id == destination:
            return task
        source, target, moved = task.organization_id, audit_trail.task(task_id), AuditAction.task_moved
        left = entry_of(db, call, moved, SUCCESS, target=target, organization_id=source)
        arrived = entry_of(db, call, moved, SUCCESS, target=target, organization_id=destination)
        move = partial(tasks.move, db, task_id, source=source, destination=destination, by=by, roles=WRITERS)
        return await place_task(call, destination, partial(move, version=task.version + 1, left=left, arrived=arrived))


async def toggle_task_completion(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskCompletion | MISSING
) -> ToggleTaskCompletion200:
    completed = MISSING if body is MISSING else body.completed
    wanted, by = versions(if_match), call.caller
    write = partial(tasks.set_completed, completed=completed, versions=wanted, by=by, roles=WRITERS)
    task = await retry_if_moved(call.db, task_id, by, write)
    return ToggleTaskCompletion200(body=task_json(task), etag=etag(task))


async def delete_task(call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING) -> DeleteTask204:
    wanted, by = versions(if_match), call.caller
    entry = entry_of(call.db, call, AuditAction.task_deleted, SUCCESS, target=audit_trail.task(task_id))
    await retry_if_moved(
        call.db, task_id, by, partial(tasks.delete, versions=wanted, by=by, roles=WRITERS, entry=entry)
    )
    return DeleteTask204()


async def retry_if_moved(
    db: Database, task_id: UUID, by: Caller, write: Callable[[Database, UUID], Awaitable[Written]]
) -> Written:
    """What the write tells of the task. Who waited for it while somebody moved it tries again where it is now.

    Raises what the write does; NotVisible when the task is not to be seen anywhere.
    """
    while True:
        try:
            return await write(db, task_id)
        except NotVisible:
            await tasks.find(db, task_id, by=by)


async def place_task(call: Call, organization_id: UUID, write: Place) -> Item:
    """The task that the write puts into the organization. Raises QuotaExceeded when it is full."""
    counts = call.process.quotas.tasks
    try:
        task = await write(room=counts.room(organization_id))
    except Full:
        raise QuotaExceeded("quota_exceeded", FULL, limit=counts.quota) from None
    counts.learn(organization_id, task.counted)
    return task


def task_json(task: Item) -> Json[models.Task]:
    return Json(task.text)


def etag(task: Item) -> str:
    """It changes with the task and with its author."""
    return write_etag(task.version, task.shown_version)
