"""Lists against a plain Python model of what the contract says of filters, sorts and pages."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated.models import TaskPriority, TaskSort, TaskStatus
from persistence.queries.due import end_of_day
from persistence.search.sorting import write_sort_key
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory

EXAMPLES = 40
Rows = list[dict[str, Any]]
MOMENTS = st.integers(0, 5).map(lambda hours: NOW + timedelta(hours=hours))
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.sampled_from(["a", "b", "B", "ä", "10"]),
            "status": st.sampled_from([each.value for each in TaskStatus]),
            "priority": st.sampled_from([each.value for each in TaskPriority]),
            "due_date": st.none() | MOMENTS,
            "due_on": st.none() | st.integers(-1, 1).map(lambda days: NOW.date() + timedelta(days=days)),
            "user_id": st.sampled_from(["ada", "bob", None]),
            "created_at": MOMENTS,
            "updated_at": MOMENTS,
        }
    ),
    max_size=12,
)
INSTANTS = {f"{name}_{end}": MOMENTS for name in ("due", "created", "updated") for end in ("before", "after")}
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.lists(st.sampled_from(["open", *TaskStatus]), min_size=1, max_size=3) | st.just(["all"]),
        "priority": st.lists(st.sampled_from(list(TaskPriority)), min_size=1, max_size=4),
        "completed": st.booleans(),
        "user_id": st.sampled_from(["ada", "bob"]),
        "time_zone": st.sampled_from(["Pacific/Kiritimati", "Europe/Berlin", "Etc/GMT+12"]),
        **INSTANTS,
    },
)
COLUMNS = {"due": "due_date", "created": "created_at", "updated": "updated_at"}
RANKS = list(TaskPriority)


Value: TypeAlias = datetime | str | list[str] | bool  # of a filter


def keeps(task: Mapping[str, Any], name: str, value: Value, zone: str) -> bool:
    if name == "time_zone":
        return True
    if name == "user_id":
        return bool(task["user_id"] == value)
    if name == "completed":
        return (task["status"] == "completed") is value
    if isinstance(value, list):
        opened: dict[str, list[str]] = {"open": ["pending", "in_progress"], "all": list(TaskStatus)}
        return task[name] in [wanted for one in value for wanted in opened.get(one, [one])]
    assert isinstance(value, datetime)
    column, _, end = name.partition("_")
    moment = task[COLUMNS[column]]
    bound: date = value
    if column == "due" and task["due_on"]:
        moment, bound = task["due_on"], value.astimezone(ZoneInfo(zone)).date()
    return moment is not None and (moment < bound if end == "before" else moment >= bound)


def key_of(sort: str) -> Callable[[Mapping[str, Any]], Any]:
    if "," in sort:
        return lambda task: (
            *[key_of(one)(task)[0] for one in sort.replace("-priority", "rank").split(",")],
            task["id"].bytes,
        )
    name, descending = sort.removeprefix("-"), sort.startswith("-")

    def key(task: Mapping[str, Any]) -> Any:
        if name == "rank":
            return -RANKS.index(task["priority"]), b""
        value: Any = RANKS.index(task["priority"]) if name == "priority" else task[name]
        if name == "due_date":
            value = ((value is None) is not descending, value or NOW)  # what has no date comes last
        return write_sort_key(value).encode() if name == "title" else value, task["id"].bytes

    return key


def write_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {}
    for name, value in filters.items():
        text[name] = value.isoformat() if isinstance(value, datetime) else value
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in text.items()}


async def pages(who: ApiClient, meanwhile: Callable[[], Any], **parameters: Any) -> list[str]:
    """The ids of all pages; between two of them somebody writes."""
    found: list[str] = []
    more: dict[str, Any] = {}
    while more.get("cursor", "") is not None:
        page = await who.get("/tasks", **parameters, **more)
        assert len(page["items"]) <= parameters["limit"]
        assert page["total_count"] is not None
        found += [task["id"] for task in page["items"]]
        more = {"cursor": page["next_cursor"]}
        await meanwhile()
    return found


LISTS = st.fixed_dictionaries(
    {
        "tasks": TASKS,
        "filters": FILTERS,
        "sort": st.sampled_from(list(TaskSort)),
        "limit": st.integers(1, 5),
        "everywhere": st.booleans(),
        "writes": st.booleans(),
    }
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LISTS)
async def test_pages_hold_what_the_model_says_in_its_order(
    api: ApiClient, make: Factory, db: Bench, drawn: dict[str, Any]
) -> None:
    await check(api, make, **drawn)


async def check(
    api: ApiClient,
    make: Factory,
    *,
    tasks: Rows,
    filters: dict[str, Any],
    sort: TaskSort,
    limit: int,
    everywhere: bool,
    writes: bool,
) -> None:
    ada = await make.user()
    authors = {"ada": ada.id, "bob": (await make.user()).id, None: None}
    tasks = [task | {"user_id": authors[task["user_id"]]} for task in tasks]
    tasks = [task | ({"due_date": end_of_day(task["due_on"])} if task["due_on"] else {}) for task in tasks]
    if "user_id" in filters:
        filters = filters | {"user_id": authors[filters["user_id"]]}
    team = await make.team(member=ada)
    places = [ada.id, team] if everywhere else [ada.id]
    rows = [task | {"id": await make.task(places[i % len(places)], ada, **task)} for i, task in enumerate(tasks)]
    zone = filters.get("time_zone", "UTC")
    kept = [task for task in rows if all(keeps(task, name, value, zone) for name, value in filters.items())]
    expected = [
        str(task["id"]) for task in sorted(kept, key=key_of(sort), reverse=sort.startswith("-") and "," not in sort)
    ]
    added: set[str] = set()

    async def meanwhile() -> None:
        if writes and len(added) < 3:
            added.add(str(await make.task(ada.id, ada, title="c", created_at=NOW, updated_at=NOW)))

    scope = {"scope": "all"} if everywhere else {}
    found = await pages(
        api.as_(ada), meanwhile, sort=sort.value, limit=limit, include_total="true", **scope, **write_filters(filters)
    )

    assert len(set(found)) == len(found)
    assert [one for one in found if one not in added] == expected
