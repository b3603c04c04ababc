"""Moving a task to another organization: who may, what it keeps, and what happens at the same time."""

import asyncio
from uuid import UUID

import pytest

from persistence.engine.pool import Pool
from tests.client import ApiClient
from tests.factories import Factory
from tests.waiting import somebody_waits


@pytest.mark.parametrize("verb", ["patch", "put"])
async def test_a_moved_task_keeps_its_id_and_grows_by_one_version(api: ApiClient, make: Factory, verb: str) -> None:
    ada = await make.user()
    team = await make.team(admin=ada)
    task_id = await make.task(ada.id, ada, title="Before")
    who = api.as_(ada)

    moved = await getattr(who, verb)(f"/tasks/{task_id}", {"title": "After", "organization_id": str(team)})

    assert (moved["id"], moved["organization_id"], moved["title"]) == (str(task_id), str(team), "After")
    assert (moved["version"], moved.headers["etag"]) == (2, '"2.1"')
    assert (await who.get(f"/tasks/{task_id}")).body == moved.body
    assert (await who.get("/tasks"))["items"] == []
    assert (await who.get("/tasks", organization_id=str(team)))["items"] == [moved.body]


async def test_a_task_is_found_by_its_words_where_it_has_gone(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    task_id = await make.task(ada.id, ada, title="Pelican", status="completed")

    moved = await api.as_(ada).patch(f"/tasks/{task_id}", {"organization_id": str(team)})

    found = await api.as_(ada).get("/tasks/search", q="pelican", organization_id=str(team))
    assert [task["id"] for task in found["items"]] == [str(task_id)]
    assert (moved["completed"], moved["version"]) == (True, 2)


async def test_to_move_a_task_to_where_it_is_changes_nothing(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    task_id = await make.task(ada.id, ada)

    assert (await api.as_(ada).patch(f"/tasks/{task_id}", {"organization_id": str(ada.id)}))["version"] == 1


@pytest.mark.parametrize(
    ("source", "destination", "status"),
    [("member", "owner", 403), ("owner", "member", 403), ("owner", None, 404), (None, "owner", 404)],
)
async def test_who_may_not_write_in_both_moves_nothing(
    api: ApiClient, make: Factory, source: str | None, destination: str | None, status: int
) -> None:
    ada, bob = await make.user(), await make.user()
    places: list[UUID] = []
    for role in (source, destination):
        place = await make.team(owner=bob)
        if role:
            await make.member(place, ada.id, role)
        places.append(place)
    task_id = await make.task(places[0], bob, title="Before")

    body = {"title": "After", "organization_id": str(places[1])}
    await api.as_(ada).patch(f"/tasks/{task_id}", body, expect=status)

    task = await api.as_(bob).get(f"/tasks/{task_id}")
    assert (task["title"], task["organization_id"], task["version"]) == ("Before", str(places[0]), 1)


async def test_a_stale_version_moves_nothing(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team = await make.team(owner=ada)
    task_id = await make.task(ada.id, ada)
    stale = api.as_(ada).with_headers(If_Match='"7"')

    assert (await stale.patch(f"/tasks/{task_id}", {"organization_id": str(team)}, expect=412)).headers[
        "etag"
    ] == '"1.1"'


@pytest.mark.usefixtures("patient")
async def test_of_a_move_and_a_deletion_at_once_the_deletion_finds_the_task_wherever_it_is(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    team = await commit.team(owner=ada)
    one, other = [api.as_(ada) for api in pair]
    for _ in range(10):
        task_id = await commit.task(ada.id, ada)
        body = {"organization_id": str(team)}
        move = one.http.patch(
            f"/api/v1/tasks/{task_id}",
            json=body,
            headers={**one.headers, "Content-Type": "application/merge-patch+json"},
        )
        gone = other.http.delete(f"/api/v1/tasks/{task_id}", headers=other.headers)
        moved, deleted = await asyncio.gather(move, gone)

        rows = await fresh.fetch("SELECT organization_id FROM tasks WHERE id = $1", [task_id])
        left = [record["organization_id"] for record in rows]
        assert (moved.status_code, deleted.status_code, left) in [(404, 204, []), (200, 204, [])]


@pytest.mark.usefixtures("patient")
async def test_of_many_moves_at_once_each_finds_the_task_wherever_it_is(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool
) -> None:
    ada = await commit.user()
    places = [ada.id, await commit.team(owner=ada), await commit.team(owner=ada)]
    task_id = await commit.task(ada.id, ada)
    headers = {**pair[0].as_(ada).headers, "Content-Type": "application/merge-patch+json"}

    answers = await asyncio.gather(
        *[
            pair[n % 2].http.patch(
                f"/api/v1/tasks/{task_id}", json={"organization_id": str(places[n % 3])}, headers=headers
            )
            for n in range(12)
        ]
    )

    assert [answer.status_code for answer in answers] == [200] * 12
    assert len(await fresh.fetch("SELECT FROM tasks WHERE id = $1", [task_id])) == 1


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("change", [{"title": "After"}, {"status": "completed"}, {"organization_id": None}])
async def test_a_task_is_stamped_when_it_is_written_not_when_that_was_asked_for(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Pool, change: dict[str, str | None]
) -> None:
    """Who polls with the newest that was seen finds what waited for a lock meanwhile."""
    ada = await commit.user()
    team, task_id = await commit.team(owner=ada), await commit.task(ada.id, ada)
    body = {name: value or str(team) for name, value in change.items()}
    one, other = [api.as_(ada) for api in pair]
    async with fresh.transaction() as holding:
        await holding.fetch("SELECT FROM tasks WHERE id = $1 FOR UPDATE", [task_id])
        writing = asyncio.create_task(one.patch(f"/tasks/{task_id}", body))
        await somebody_waits(fresh)
        seen = await other.post("/tasks", {"title": "Seen meanwhile"})

    changed = await writing

    assert changed["updated_at"] > seen["updated_at"]
    newer = await other.get("/tasks", scope="all", updated_after=seen["updated_at"])
    assert str(task_id) in {task["id"] for task in newer["items"]}
