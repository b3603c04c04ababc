"""What narrows a list of tasks: where to look, and which tasks to keep."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import MISSING

from contract.types import Fault
from generated.models import TaskPriority, TaskScope, TaskStatus, TaskStatusFilter
from generated.operations import ValidationFailed
from handlers.shared.call import Call
from handlers.shared.pagination import present
from handlers.shared.time_zones import demand_zone, read_zone
from persistence.queries.accounts import users
from persistence.queries.due import end_of_day
from persistence.queries.task_filters import Filters

OPEN = (TaskStatus.pending, TaskStatus.in_progress)
ENDS = ("after", "before")
DUE = ("due_after", "due_before")
BESIDE_SCOPE = Fault("query", "/organization_id", "unknown_parameter", "Is no parameter beside `scope`")


def place(caller_id: UUID, organization_id: UUID | MISSING, scope: TaskScope | MISSING) -> UUID | MISSING:
    """The organization to look in; MISSING: every one that the caller is a member of. Raises ValidationFailed."""
    if scope is MISSING:
        return caller_id if organization_id is MISSING else organization_id
    if organization_id is not MISSING:
        raise ValidationFailed(detail="`scope` and `organization_id` exclude each other.", errors=[BESIDE_SCOPE])
    return MISSING


async def zone_of_days(call: Call, given: Mapping[str, Any], name: str | MISSING) -> str | MISSING:
    """The zone in which the parameters compare days, by its name; MISSING: they compare none.

    Raises ValidationFailed.
    """
    demand_zone(name, "query")
    if all(given[due] is MISSING for due in DUE):
        return MISSING
    return await users.find_my_time_zone(call.db, by=call.caller) if name is MISSING else name


def filters(given: Mapping[str, Any], zone: str | MISSING, sort: str = "") -> Filters | MISSING:
    """What the parameters, by their names, keep of a list in that order. MISSING: everything."""
    kept = present(given)
    if "status" in kept:
        kept["status"] = statuses(kept["status"])
    column = "" if "," in sort else sort.removeprefix("-").partition("_")[0]
    if zone is not MISSING:
        days = {name: kept[name].astimezone(read_zone(zone)).date() for name in DUE if name in kept}
        kept |= {f"{name}_day": end_of_day(day) for name, day in days.items()}
    after, before = (
        [kept[name] for name in (f"{column}_{end}", f"{column}_{end}_day") if name in kept] for end in ENDS
    )
    return Filters(**kept, first=min(after, default=MISSING), last=max(before, default=MISSING)) if kept else MISSING


def meaning(
    given: Mapping[str, object], where: UUID | MISSING, zone: str | MISSING, **more: object
) -> dict[str, object]:
    """What the parameters mean, for the cursor: a filter that keeps everything is none."""
    kept = present(given)
    if "status" in kept:
        kept["status"] = statuses(kept["status"])
    for name, kinds in (("status", TaskStatus), ("priority", TaskPriority)):
        if name in kept and (kept[name] is None or set(kept[name]) == set(kinds)):
            del kept[name]
    return kept | {"where": where, "zone": zone} | more


def statuses(given: Sequence[TaskStatusFilter]) -> list[TaskStatus] | None:
    """The states that a filter keeps; None: all of them."""
    if TaskStatusFilter.all in given:
        return None
    chosen = [TaskStatus(one) for one in given if one is not TaskStatusFilter.open]
    return [*chosen, *OPEN] if TaskStatusFilter.open in given else chosen
