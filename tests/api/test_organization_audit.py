"""What happened in an organization, for those who administer it."""

from typing import Any
from uuid import UUID

import pytest

from tests.client import Answer, ApiClient
from tests.factories import Factory


def ids(page: Answer) -> list[str]:
    return [entry["id"] for entry in page["items"]]


async def test_admins_read_what_was_done_and_what_was_refused_there(api: ApiClient, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "bob": "admin", "eve": "member"})
    other = await make.team(owner=people["ada"])
    ada, bob, eve = (api.as_(people[name]) for name in ("ada", "bob", "eve"))
    await ada.patch(f"/organizations/{team}", {"name": "Engines"})
    await ada.patch(f"/organizations/{other}", {"name": "Others"})
    await eve.delete(f"/organizations/{team}/members/{people['bob'].id}", expect=403)
    await bob.delete(f"/organizations/{team}/members/{people['eve'].id}")

    page = await bob.get(f"/organizations/{team}/audit-logs")

    assert [(entry["action"], entry["outcome"], entry["reason"]) for entry in page["items"]] == [
        ("organization.member_removed", "success", None),
        ("access.denied", "denied", "removeMember"),
        ("organization.updated", "success", None),
    ]
    assert {entry["organization_id"] for entry in page["items"]} == {str(team)}
    assert page["items"][0]["target"] == {"type": "user", "id": str(people["eve"].id)}
    assert page["items"][2]["changes"] == ["name"]


async def test_tasks_that_a_member_was_refused_to_write_are_in_the_log_of_their_organization(
    api: ApiClient, make: Factory
) -> None:
    team, people = await make.organization({"ada": "owner", "eve": "member"})
    ada, eve = api.as_(people["ada"]), api.as_(people["eve"])
    task, own = await make.task(team, people["ada"]), await make.task(people["eve"].id, people["eve"])
    here = {"organization_id": str(team)}
    away = {"organization_id": str(people["eve"].id)}

    await eve.post("/tasks", {"title": "New", **here}, expect=403)
    await eve.with_headers(Idempotency_Key="once").post("/tasks", {"title": "New", **here}, expect=403)
    await eve.patch(f"/tasks/{task}", {"title": "Other"}, expect=403)
    await eve.patch(f"/tasks/{task}", away, expect=403)
    await eve.patch(f"/tasks/{own}", here, expect=403)
    await eve.send("PATCH", f"/tasks/{task}/complete", expect=403)
    await eve.delete(f"/tasks/{task}", expect=403)
    await api.as_(await make.user()).delete(f"/tasks/{task}", expect=404)

    page = await ada.get(f"/organizations/{team}/audit-logs", action="access.denied")
    targets = [entry["target"] and entry["target"]["id"] for entry in page["items"]]
    assert [entry["reason"] for entry in page["items"]] == [
        "deleteTask",
        "toggleTaskCompletion",
        *["updateTask"] * 3,
        *["createTask"] * 2,
    ]
    assert targets == [*[str(task)] * 2, str(own), *[str(task)] * 2, None, None]


@pytest.mark.parametrize("by", ["oneself", "a superuser", "bulk"])
async def test_who_leaves_by_deleting_the_account_is_in_the_log_of_each_team(
    api: ApiClient, make: Factory, by: str
) -> None:
    ada, eve, root = await make.user(), await make.user(), await make.user(is_superuser=True)
    teams = [await make.team(owner=ada, member=eve) for _ in range(2)]
    await make.team(owner=ada)

    if by == "oneself":
        await api.as_(eve).delete("/users/me")
    elif by == "a superuser":
        await api.as_(root).delete(f"/users/{eve.id}")
    else:
        await api.as_(root).post("/users/bulk", {"action": "delete", "user_ids": [str(eve.id)]}, expect=200)

    actor = {"type": "user", "id": str(eve.id if by == "oneself" else root.id)}
    for team in teams:
        [entry] = (await api.as_(ada).get(f"/organizations/{team}/audit-logs"))["items"]
        assert (entry["action"], entry["outcome"]) == ("organization.member_removed", "success")
        assert (entry["actor"], entry["target"]) == (actor, {"type": "user", "id": str(eve.id)})
        assert (entry["reason"], entry["changes"]) == (None, [])
    entries = (await api.as_(root).get("/audit-logs", target_id=str(eve.id)))["items"]
    assert [entry["action"] for entry in entries] == ["user.deleted", *["organization.member_removed"] * 2]


@pytest.mark.proves("ASVS 5.0 16.4.2", "Only owners and admins read the audit log of their organization")
async def test_nobody_else_reads_them(api: ApiClient, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "eve": "member"})
    path = f"/organizations/{team}/audit-logs"

    await api.as_(people["eve"]).get(path, expect=403)
    await api.as_(await make.user()).get(path, expect=404)
    await api.as_(await make.user(is_superuser=True)).get(f"/organizations/{people['ada'].id}/audit-logs", expect=404)
    page = await api.as_(await make.user(is_superuser=True)).get(path)
    assert [entry["action"] for entry in page["items"]] == ["access.denied"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, [0, 1, 2]),
        ({"action": "organization."}, [0, 1]),
        ({"action": "access.denied"}, [2]),
        ({"actor_id": str(UUID(int=7))}, [1]),
        ({"outcome": "denied"}, [2]),
        ({"target_id": str(UUID(int=8))}, [0]),
        ({"occurred_before": "2000-01-01T00:00:00Z"}, []),
    ],
    ids=str,
)
async def test_filters_and_pages_are_those_of_all_audit_logs(
    api: ApiClient, make: Factory, given: dict[str, Any], kept: list[int]
) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    values: list[dict[str, Any]] = [
        {"action": "organization.updated", "target_type": "user", "target_id": UUID(int=8)},
        {"action": "organization.member_added", "actor_id": UUID(int=7)},
        {"action": "access.denied", "outcome": "denied"},
    ]
    made = [str(await make.audit_log(organization_id=team, **each)) for each in values]
    for each in values:
        await make.audit_log(organization_id=ada.id, **each)
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await api.as_(ada).get(f"/organizations/{team}/audit-logs", limit=1, **given, **cursor)
        found += ids(page)
        if not page["has_more"]:
            break
        assert page.headers["link"].startswith(f"</api/v1/organizations/{team}/audit-logs?cursor=")
        cursor = {"cursor": page["next_cursor"]}

    assert sorted(found) == sorted(made[at] for at in kept)


async def test_a_cursor_of_another_organization_is_refused(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    one, other = await make.team(owner=ada), await make.team(owner=ada)
    for _ in range(2):
        await make.audit_log(organization_id=one)
    page = await api.as_(ada).get(f"/organizations/{one}/audit-logs", limit=1)

    await api.as_(ada).get(f"/organizations/{other}/audit-logs", cursor=page["next_cursor"], expect=400)
