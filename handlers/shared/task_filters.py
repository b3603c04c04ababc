"""What narrows a list of tasks: where to look, and which tasks to keep."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import MISSING

from contract.types import Fault
from generated.models import TaskPriority, TaskScope, TaskStatus, TaskStatusFilter
from generated.operations import ValidationFailed
from handlers.shared.pagination import present
from persistence.queries.task_filters import Filters

OPEN = (TaskStatus.pending, TaskStatus.in_progress)
BESIDE_SCOPE = Fault("query", "/organization_id", "unknown_parameter", "Is no parameter beside `scope`")


def place(caller_id: UUID, organization_id: UUID | MISSING, scope: TaskScope | MISSING) -> UUID | MISSING:
    """The organization to look in; MISSING: every one that the caller is a member of. Raises ValidationFailed."""
    if scope is MISSING:
        return caller_id if organization_id is MISSING else organization_id
    if organization_id is not MISSING:
        raise ValidationFailed(detail="`scope` and `organization_id` exclude each other.", errors=[BESIDE_SCOPE])
    return MISSING


def filters(given: Mapping[str, Any], sort: str = "") -> Filters | MISSING:
    """What the parameters, by their names, keep of a list in that order. MISSING: everything."""
    kept = present(given)
    if "status" in kept:
        kept["status"] = statuses(kept["status"])
    column = "" if "," in sort else sort.removeprefix("-").partition("_")[0]
    first, last = kept.get(f"{column}_after", MISSING), kept.get(f"{column}_before", MISSING)
    return Filters(**kept, first=first, last=last) if kept else MISSING


def meaning(given: Mapping[str, Any], where: UUID | MISSING, **more: Any) -> dict[str, Any]:
    """What the parameters mean, for the cursor: a filter that keeps everything is none."""
    kept = present(given)
    if "status" in kept:
        kept["status"] = statuses(kept["status"])
    for name, kinds in (("status", TaskStatus), ("priority", TaskPriority)):
        if name in kept and (kept[name] is None or set(kept[name]) == set(kinds)):
            del kept[name]
    return kept | {"where": where} | more


def statuses(given: Sequence[TaskStatusFilter]) -> list[TaskStatus] | None:
    """The states that a filter keeps; None: all of them."""
    if TaskStatusFilter.all in given:
        return None
    chosen = [TaskStatus(one) for one in given if one is not TaskStatusFilter.open]
    return [*chosen, *OPEN] if TaskStatusFilter.open in given else chosen
