"""Lists of tasks: orders, filters, pages, and cursors that belong to one list."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from generated.models import TaskSort
from tests.client import ApiClient, titles
from tests.conftest import Bench
from tests.factories import NOW, Factory

NEXT = re.compile(r'<(/api/v1/tasks\?[^>]+)>; rel="next"')
ORDERS: dict[str, list[str]] = {
    "created_at": ["c", "a", "d", "b"],
    "updated_at": ["b", "d", "a", "c"],
    "due_date": ["d", "b", "a", "c"],
    "-due_date": ["b", "d", "c", "a"],  # who has none comes last in either direction
    "priority": ["b", "a", "c", "d"],
    "title": ["a", "b", "c", "d"],
    "-priority,due_date": ["d", "c", "a", "b"],
    "due_date,-priority": ["d", "b", "c", "a"],
}
ORDERS |= {
    f"-{sort}": titles[::-1]
    for sort, titles in ORDERS.items()
    if f"-{sort}" not in ORDERS and not {"-", ","} & set(sort)
}


async def pages(ada: ApiClient, first: str) -> AsyncIterator[Any]:
    """The pages from this one on, as `Link` tells: its URL is sent as it is."""
    url = first
    while url:
        page = await ada.send("GET", f"/{url}", expect=200)
        yield page
        following = NEXT.fullmatch(page.headers.get("link", ""))
        assert (following is not None) == page["has_more"] == (page["next_cursor"] is not None)
        url = following[1] if following else ""


@pytest.fixture
async def four(api: ApiClient, make: Factory) -> ApiClient:
    """One who has four tasks that every order puts otherwise; two have no due date."""
    ada = await make.user()
    tasks: dict[str, Mapping[str, Any]] = {
        "c": {"created": 1, "updated": 4, "priority": "high", "id": UUID(int=2)},
        "a": {"created": 2, "updated": 3, "priority": "medium", "id": UUID(int=1)},
        "d": {"created": 3, "updated": 2, "priority": "urgent", "due_date": NOW + timedelta(days=1)},
        "b": {"created": 4, "updated": 1, "priority": "low", "due_date": NOW + timedelta(days=2)},
    }
    for title, values in tasks.items():
        moments = {f"{name}_at": NOW + timedelta(hours=values[name]) for name in ("created", "updated")}
        plain = {name: value for name, value in values.items() if name not in ("created", "updated")}
        await make.task(ada.id, ada, title=title, **moments, **plain)
    return api.as_(ada)


@pytest.mark.parametrize("sort", [each.value for each in TaskSort])
async def test_every_order_holds_from_page_to_page(four: ApiClient, sort: str) -> None:
    whole = await four.get("/tasks", sort=sort)
    by_one = [titles(page) async for page in pages(four, f"/api/v1/tasks?sort={sort}&limit=1")]

    assert titles(whole) == ORDERS[sort]
    assert by_one == [[title] for title in ORDERS[sort]]


async def test_the_newest_first_is_the_order_when_none_is_said(four: ApiClient) -> None:
    assert titles(await four.get("/tasks")) == ORDERS["-created_at"]


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (["pending"], ["pending"]),
        (["open"], ["in_progress", "pending"]),
        (["all"], ["cancelled", "completed", "in_progress", "pending"]),
        (["completed", "cancelled"], ["cancelled", "completed"]),
        (["open", "pending", "completed"], ["completed", "in_progress", "pending"]),
        (["pending", "pending"], ["pending"]),
    ],
    ids="+".join,
)
async def test_the_states_named_are_kept(api: ApiClient, make: Factory, status: list[str], kept: list[str]) -> None:
    ada = await make.user()
    for each in ("pending", "in_progress", "completed", "cancelled"):
        await make.task(ada.id, ada, title=each, status=each)

    assert titles(await api.as_(ada).get("/tasks", status=status, sort="title")) == kept


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"limit": "0"}, "/limit", "minimum"),
        ({"limit": "-1"}, "/limit", "minimum"),
        ({"limit": "201"}, "/limit", "maximum"),
        ({"limit": "9" * 5000}, "/limit", "maximum"),
        ({"limit": "abc"}, "/limit", "type"),
        ({"limit": "1.5"}, "/limit", "type"),
        ({"limit": "05"}, "/limit", "type"),
        ({"limit": ""}, "/limit", "type"),
        ({"limit": ["1", "2"]}, "/limit", "repeated"),
        ({"sort": "colour"}, "/sort", "enum"),
        ({"sort": ""}, "/sort", "enum"),
        ({"status": "done"}, "/status/0", "enum"),
        ({"status": ["all", "open"]}, "/status", "max_items"),
        ({"status": ["pending"] * 7}, "/status", "max_items"),
        ({"cursor": ""}, "/cursor", "min_length"),
        ({"cursor": "x" * 2401}, "/cursor", "max_length"),
        ({"organization_id": "17"}, "/organization_id", "format"),
        ({"completed": "1"}, "/completed", "type"),
        ({"completed": ["true", "true"]}, "/completed", "repeated"),
        ({"include_total": "yes"}, "/include_total", "type"),
        ({"priority": "some"}, "/priority/0", "enum"),
        ({"priority": ["low"] * 5}, "/priority", "max_items"),
        ({"due_after": "1899-12-31T23:59:59Z"}, "/due_after", "pattern"),
        ({"created_before": "2026-02-30T00:00:00Z"}, "/created_before", "format"),
        ({"user_id": "me"}, "/user_id", "format"),
        ({"scope": "mine"}, "/scope", "enum"),
        ({"scope": "all", "organization_id": str(UUID(int=1))}, "/organization_id", "unknown_parameter"),
        ({"colour": "red"}, "/colour", "unknown_parameter"),
    ],
    ids=str,
)
async def test_a_query_that_breaks_the_contract_is_told_where(
    api: ApiClient, make: Factory, query: dict[str, Any], pointer: str, code: str
) -> None:
    problem = await api.as_(await make.user()).get("/tasks", expect=422, **query)

    assert problem["code"] == "validation_error"
    assert [(fault["in"], fault["pointer"], fault["code"]) for fault in problem["errors"]] == [("query", pointer, code)]


async def test_every_wrong_parameter_is_told_at_once(api: ApiClient, make: Factory) -> None:
    problem = await api.as_(await make.user()).get("/tasks", expect=422, limit=0, sort="colour", page=2)

    assert {fault["pointer"] for fault in problem["errors"]} == {"/limit", "/sort", "/page"}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_follow_to_the_end_and_none_is_empty(api: ApiClient, make: Factory, limit: int) -> None:
    ada = await make.user()
    for number in range(7):
        await make.task(ada.id, ada, title=f"{number}")

    found = [titles(page) async for page in pages(api.as_(ada), f"/api/v1/tasks?limit={limit}&sort=title")]

    assert found == [[f"{number}" for number in range(7)][start : start + limit] for start in range(0, 7, limit)]


async def test_a_page_holds_50_unless_more_are_asked_for(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    for _ in range(51):
        await make.task(ada.id, ada)

    assert len((await api.as_(ada).get("/tasks"))["items"]) == 50


async def test_a_link_carries_filters_sort_and_organization(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    for number in range(5):
        await make.task(team, ada, title=f"{number}", status="pending" if number % 2 else "completed")
    query = f"status=completed&status=cancelled&sort=-title&organization_id={team}&limit=1"

    found = [titles(page) async for page in pages(api.as_(ada), f"/api/v1/tasks?{query}")]

    assert found == [["4"], ["2"], ["0"]]


async def test_tasks_that_come_and_go_meanwhile_move_nobody_to_another_page(four: ApiClient) -> None:
    first = await four.get("/tasks", sort="title", limit=2)
    await four.delete(f"/tasks/{first['items'][0]['id']}")
    await four.post("/tasks", {"title": "aa"})

    rest = await four.get("/tasks", sort="title", limit=2, cursor=first["next_cursor"])

    assert titles(rest) == ["c", "d"]


@pytest.mark.parametrize(
    "other",
    [
        {"sort": "-title"},
        {"status": "open"},
        {"status": ["pending", "completed"], "sort": "title"},
        {"organization_id": "00000000-0000-4000-8000-000000000000"},
        {"scope": "all"},
        {"completed": "false"},
        {"due_after": "2026-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_a_cursor_of_another_list_is_refused(four: ApiClient, other: dict[str, Any]) -> None:
    first = await four.get("/tasks", sort="title", limit=1)

    problem = await four.get("/tasks", expect=400, **{"sort": "title", "cursor": first["next_cursor"]} | other)

    assert problem["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("status=open", "status=in_progress&status=pending"),
        ("status=pending&status=completed", "status=completed&status=pending"),
        ("", "status=all"),
        ("", "priority=low&priority=high&priority=urgent&priority=medium"),
        ("priority=low&priority=high&priority=medium", "priority=medium&priority=low&priority=high&priority=low"),
        ("created_after=2000-01-01T00:00:00Z", "created_after=2000-01-01T01:00:00.0%2B01:00"),
        ("has_author=true", "has_author=true&sort=-created_at"),
    ],
)
async def test_a_cursor_is_bound_to_what_filters_mean(four: ApiClient, one: str, same: str) -> None:
    first = await four.send("GET", f"//api/v1/tasks?limit=1&{one}", expect=200)

    await four.send("GET", f"//api/v1/tasks?limit=1&{same}&cursor={first['next_cursor']}", expect=200)


async def test_a_cursor_knows_the_personal_organization_by_either_name(four: ApiClient) -> None:
    first = await four.get("/tasks", limit=1)

    await four.get("/tasks", cursor=first["next_cursor"], organization_id=first["items"][0]["organization_id"])


@pytest.mark.parametrize("release", ["this", "the one before"])
async def test_titles_are_sorted_as_people_read_them(api: ApiClient, make: Factory, db: Bench, release: str) -> None:
    ada = await make.user()
    who = api.as_(ada)
    wanted = [
        "apfel",
        "\u00c4pfel",
        "apple",
        "Banana",
        "Stra\u00dfe",
        "STRASSE 2",
        "Zebra",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u4f60\u597d",
    ]
    for title in reversed(wanted):
        if release == "this":
            task = await who.post("/tasks", {"title": "x"})
            await who.patch(f"/tasks/{task['id']}", {"title": title})
        else:
            await make.task(ada.id, ada, title=title, title_key=None)

    ascending = [title async for page in pages(who, "/api/v1/tasks?sort=title&limit=2") for title in titles(page)]
    descending = [title async for page in pages(who, "/api/v1/tasks?sort=-title&limit=2") for title in titles(page)]

    assert ascending == descending[::-1] == (wanted if release == "this" else sorted(wanted))


@pytest.mark.parametrize(("name", "with_it"), [("has_due_date", ["b", "d"]), ("has_description", ["e"])])
async def test_what_has_no_value_can_be_asked_for(four: ApiClient, name: str, with_it: list[str]) -> None:
    await four.post("/tasks", {"title": "e", "description": "Told"})

    asked = [{"sort": "title", name: value} for value in ("true", "false")]
    found = [await four.send("GET", "/tasks", expect=200, params=one) for one in asked]

    assert [titles(page) for page in found] == [with_it, [one for one in "abcde" if one not in with_it]]


async def test_tasks_whose_author_is_gone_can_be_asked_for(four: ApiClient, db: Bench) -> None:
    await db.fetch("UPDATE tasks SET user_id = NULL WHERE title = 'c'", [])

    assert titles(await four.get("/tasks", has_author="false")) == ["c"]
    assert titles(await four.get("/tasks", has_author="true", sort="title")) == ["a", "b", "d"]
    assert titles(await four.get("/tasks/search", q="c or d", has_author="false")) == ["c"]


async def test_a_cursor_serves_any_limit(four: ApiClient) -> None:
    first = await four.get("/tasks", sort="title", limit=1)

    assert titles(await four.get("/tasks", sort="title", limit=9, cursor=first["next_cursor"])) == ["b", "c", "d"]


async def test_a_cursor_of_another_user_is_refused(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada, member=bob)
    for _ in range(2):
        await make.task(team, ada)
    first = await api.as_(ada).get("/tasks", organization_id=str(team), limit=1)

    problem = await api.as_(bob).get(
        "/tasks", expect=400, organization_id=str(team), limit=1, cursor=first["next_cursor"]
    )

    assert problem["code"] == "invalid_cursor"


async def test_a_cursor_with_any_character_changed_is_refused(four: ApiClient) -> None:
    cursor = (await four.get("/tasks", limit=1))["next_cursor"]
    changed = [f"{cursor[:at]}{'A' if cursor[at] != 'A' else 'B'}{cursor[at + 1 :]}" for at in range(len(cursor))]

    for wrong in [*changed, cursor[:-1], cursor + "=", cursor + "A", "A", "ü", "%00"]:
        assert (await four.get("/tasks", expect=400, cursor=wrong))["code"] == "invalid_cursor"


@pytest.mark.parametrize("role", ["owner", "admin", "member"])
async def test_who_belongs_to_a_team_lists_its_tasks(api: ApiClient, make: Factory, role: str) -> None:
    ada = await make.user()
    team = await make.team(**{role: ada})
    task_id = await make.task(team, ada)
    await make.task(ada.id, ada)

    page = await api.as_(ada).get("/tasks", organization_id=str(team))

    assert [task["id"] for task in page["items"]] == [str(task_id)]


async def test_a_team_is_not_there_for_who_does_not_belong_to_it(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada)
    await make.task(team, ada)

    for unseen in (team, uuid4(), ada.id):
        assert (await api.as_(bob).get("/tasks", expect=404, organization_id=str(unseen)))["code"] == "not_found"


MOMENTS = {"due": "due_date", "created": "created_at", "updated": "updated_at"}


@pytest.mark.parametrize("sort", ["title", "created_at", "-updated_at", "due_date", "-due_date"])
@pytest.mark.parametrize("name", MOMENTS)
async def test_from_an_instant_on_up_to_another(api: ApiClient, make: Factory, name: str, sort: str) -> None:
    ada = await make.user()
    for number in range(5):
        await make.task(ada.id, ada, title=f"{number}", **{MOMENTS[name]: NOW + timedelta(microseconds=number)})
    await make.task(
        ada.id, ada, title="without", created_at=NOW - timedelta(days=1), updated_at=NOW - timedelta(days=1)
    )

    async def list_titles(**bounds: int) -> list[str]:
        moments: dict[str, Any] = {
            f"{name}_{end}": (NOW + timedelta(microseconds=at)).isoformat() for end, at in bounds.items()
        }
        return sorted(titles(await api.as_(ada).get("/tasks", sort=sort, **moments)))

    assert await list_titles(after=3) == ["3", "4"]
    assert await list_titles(before=2) == (["0", "1"] if name == "due" else ["0", "1", "without"])
    assert await list_titles(after=1, before=3) == ["1", "2"]
    assert await list_titles(after=3, before=3) == []
    assert await list_titles(after=3, before=1) == []


async def test_priorities_authors_and_completion_are_kept_as_named(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada, admin=bob)
    await make.task(team, ada, title="a", priority="low", status="completed")
    await make.task(team, bob, title="b", priority="high")
    await make.task(team, bob, title="c", priority="urgent", status="cancelled")

    async def kept(**filters: Any) -> list[str]:
        return titles(await api.as_(ada).get("/tasks", organization_id=str(team), sort="title", **filters))

    assert await kept(completed="true") == ["a"]
    assert await kept(completed="false") == ["b", "c"]
    assert await kept(priority=["low", "high"]) == ["a", "b"]
    assert await kept(user_id=str(bob.id)) == ["b", "c"]
    assert await kept(user_id=str(uuid4())) == []
    assert await kept(user_id=str(bob.id), priority="urgent", completed="false", status="cancelled") == ["c"]
    assert await kept(status="all", completed="true", priority="urgent") == []


async def test_everywhere_is_where_the_caller_is_a_member(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user(is_superuser=True)
    team, other = await make.team(owner=bob, member=ada), await make.team(owner=bob)
    for where, title in ((ada.id, "a"), (team, "b"), (other, "c"), (bob.id, "d"), (team, "e")):
        await make.task(where, bob, title=title)

    async def everything(who: ApiClient) -> list[list[str]]:
        return [titles(page) async for page in pages(who, "/api/v1/tasks?scope=all&sort=title&limit=2")]

    assert await everything(api.as_(ada)) == [["a", "b"], ["e"]]
    assert await everything(api.as_(bob)) == [["b", "c"], ["d", "e"]]


@pytest.mark.parametrize("sort", [each.value for each in TaskSort])
async def test_pages_of_several_organizations_follow_each_other(api: ApiClient, make: Factory, sort: str) -> None:
    ada = await make.user()
    places = [ada.id, await make.team(owner=ada), await make.team(member=ada)]
    for number in range(9):
        due = None if number % 4 == 0 else NOW + timedelta(days=number % 2)
        moment = NOW + timedelta(hours=number // 2)
        await make.task(
            places[number % 3], ada, title=f"{number % 5}", due_date=due, created_at=moment, updated_at=moment
        )
    who = api.as_(ada)
    whole = await who.get("/tasks", scope="all", sort=sort)

    by_two = [page["items"] async for page in pages(who, f"/api/v1/tasks?scope=all&sort={sort}&limit=2")]

    assert len(whole["items"]) == 9
    assert [task for page in by_two for task in page] == whole["items"]


async def test_a_total_is_told_to_who_asks(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    for where in (ada.id, ada.id, ada.id, team):
        await make.task(where, ada, status="pending" if where == team else "completed")
    who = api.as_(ada)

    async def total(**filters: Any) -> object:
        return (await who.get("/tasks", limit=1, include_total="true", **filters))["total_count"]

    assert (await who.get("/tasks"))["total_count"] is None
    assert await total() == 3
    assert await total(status="pending") == 0
    assert await total(scope="all") == 4
    assert await total(scope="all", status="pending") == 1
    assert await total(organization_id=str(team)) == 1


async def test_every_page_tells_the_same_total_and_its_cursor_serves_who_does_not_ask(four: ApiClient) -> None:
    found = [page async for page in pages(four, "/api/v1/tasks?include_total=true&limit=3")]

    assert [page["total_count"] for page in found] == [4, 4]
    assert titles(await four.get("/tasks", cursor=found[0]["next_cursor"])) == titles(found[1])
