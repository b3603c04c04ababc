"""The operations tagged `tasks`."""

from uuid import UUID

from pydantic import MISSING
from uuid_utils.compat import uuid7

from contract.vocabulary import EntityTags, Json
from generated import models
from generated.models import TaskPriority, TaskStatus, TaskStatusFilter
from generated.operations import (
    CreateTask201,
    DeleteTask204,
    GetTask200,
    ListTasks200,
    ReplaceTask200,
    ToggleTaskCompletion200,
    UpdateTask200,
)
from handlers import lists
from handlers.call import Call
from handlers.policy import ROLES, Action
from handlers.versions import etag, versions
from persistence import tasks
from persistence.tasks import Filters

WRITERS = ROLES[Action.write_tasks]
OPEN = [TaskStatus.pending, TaskStatus.in_progress]


async def list_tasks(
    call: Call,
    /,
    *,
    limit: int,
    cursor: str | MISSING,
    sort: models.TaskSort,
    status: list[TaskStatusFilter] | MISSING,
    organization_id: UUID | MISSING,
) -> ListTasks200:
    where = call.caller.id if organization_id is MISSING else organization_id
    chosen = statuses(status)
    listing = lists.Listing(
        "/api/v1/tasks", {"sort": sort, "status": status, "organization_id": organization_id}, call.caller.id
    )
    page = await tasks.list_in(
        call.db,
        where,
        by=call.caller,
        filters=Filters(status=chosen),
        sort=sort,
        after=listing.after(cursor, call.process.cursors),
        limit=limit,
    )
    following = listing.cursor(page, call.process.cursors)
    body: Json[models.TaskPage] = Json(lists.body(page, following))
    return ListTasks200(body=body, link=listing.link(following, limit))


async def create_task(call: Call, /, *, body: models.TaskCreate) -> CreateTask201:
    where = call.caller.id if body.organization_id is MISSING else body.organization_id
    body.status = TaskStatus.pending if body.status is MISSING else body.status
    body.priority = TaskPriority.medium if body.priority is MISSING else body.priority
    task = await tasks.insert(call.db, uuid7(), body, organization_id=where, by=call.caller, roles=WRITERS)
    return CreateTask201(body=task, location=f"/api/v1/tasks/{task.id}", etag=etag(task))


async def get_task(call: Call, /, *, task_id: UUID) -> GetTask200:
    task = await tasks.find(call.db, task_id, by=call.caller)
    return GetTask200(body=task, etag=etag(task))


async def replace_task(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskReplace
) -> ReplaceTask200:
    whole = models.TaskPatch(
        title=body.title,
        description=None if body.description is MISSING else body.description,
        status=TaskStatus.pending if body.status is MISSING else body.status,
        priority=TaskPriority.medium if body.priority is MISSING else body.priority,
        due_date=None if body.due_date is MISSING else body.due_date,
    )
    task = await tasks.update(call.db, task_id, whole, versions=versions(if_match), by=call.caller, roles=WRITERS)
    return ReplaceTask200(body=task, etag=etag(task))


async def update_task(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskPatch
) -> UpdateTask200:
    task = await tasks.update(call.db, task_id, body, versions=versions(if_match), by=call.caller, roles=WRITERS)
    return UpdateTask200(body=task, etag=etag(task))


async def toggle_task_completion(
    call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING, body: models.TaskCompletion | MISSING
) -> ToggleTaskCompletion200:
    completed = MISSING if body is MISSING else body.completed
    task = await tasks.set_completed(
        call.db, task_id, completed=completed, versions=versions(if_match), by=call.caller, roles=WRITERS
    )
    return ToggleTaskCompletion200(body=task, etag=etag(task))


async def delete_task(call: Call, /, *, task_id: UUID, if_match: EntityTags | MISSING) -> DeleteTask204:
    await tasks.delete(call.db, task_id, versions=versions(if_match), by=call.caller, roles=WRITERS)
    return DeleteTask204()


def statuses(given: list[TaskStatusFilter] | MISSING) -> list[TaskStatus] | MISSING:
    """The states that a filter keeps; MISSING: all of them."""
    if given is MISSING or TaskStatusFilter.all in given:
        return MISSING
    chosen = [TaskStatus(one) for one in given if one is not TaskStatusFilter.open]
    return chosen + OPEN if TaskStatusFilter.open in given else chosen
