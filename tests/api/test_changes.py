"""`listChanges`: who sees what, in which order, and what becomes of a position."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from persistence.engine.pool import Pool
from persistence.queries import event_log
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.api.test_access_tokens import make_token
from tests.client import Answer, ApiClient
from tests.factories import Factory


@pytest.fixture
async def client(settings: Settings, fresh: Pool) -> AsyncIterator[ApiClient]:
    """A client of a server upon a database of its own: what is not committed is told to none."""
    await event_log.renew(fresh)
    async with serving(settings, fresh) as client:
        yield client


class Follower:
    """Reads what changes, from now on.

    Transactions of other tests, in other databases too, keep back what is told: so it is waited for.
    """

    def __init__(self, client: ApiClient, **asked: Any) -> None:
        self.client, self.asked = client, asked
        self.cursor: str | None = None

    async def begin(self) -> "Follower":
        first = await self.client.get("/changes", **self.asked)
        assert (first["items"], first["has_more"]) == ([], False)
        self.cursor = first["next_cursor"]
        return self

    def at(self, cursor: str | None) -> "Follower":
        self.cursor = cursor
        return self

    async def page(self, **more: Any) -> Answer:
        page = await self.client.get("/changes", cursor=self.cursor, **self.asked, **more)
        self.cursor = page["next_cursor"]
        return page

    async def follow(self) -> list[dict[str, Any]]:
        """All that changed until now: up to a task that is made now."""
        made = {"title": "The last one"} | self.asked
        last = (await self.client.post("/tasks", made))["id"]
        items: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while not items or items[-1]["subject"]["id"] != last:
                items += (await self.page(wait=5))["items"]
        return items[:-1]

    async def types(self) -> list[str]:
        return [item["type"] for item in await self.follow()]


async def settle(db: Pool) -> None:
    """Wait until what was made before is told no later than this: older transactions keep it back."""
    [made] = await db.fetch("SELECT pg_current_xact_id()::text::bigint", [])
    async with asyncio.timeout(60):
        oldest = made
        while oldest[0] <= made[0]:
            await asyncio.sleep(0.05)
            [oldest] = await db.fetch("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", [])


async def test_a_follower_is_told_what_a_task_went_through(client: ApiClient, fresh: Pool) -> None:
    ada = await Factory(fresh).user(full_name="Ada Lovelace")
    own = client.as_(ada).with_headers(X_Request_ID="the-request")
    follower = await Follower(own).begin()
    task = (await own.post("/tasks", {"title": "Ship it", "due_on": "2026-05-01"})).body
    changed = (await own.patch(f"/tasks/{task['id']}", {"status": "completed"})).body
    await own.delete(f"/tasks/{task['id']}")

    items = await follower.follow()

    created, updated, deleted = items
    assert [one["type"] for one in items] == ["task.created", "task.updated", "task.deleted"]
    assert [one["version"] for one in items] == [1, 2, 3]
    assert created["data"] == {name: task[name] for name in task if name != "author"}
    assert updated["data"] == {name: changed[name] for name in changed if name != "author"}
    assert deleted["data"] is None
    assert {one["request_id"] for one in items} == {"the-request"}
    assert {one["actor"]["id"] for one in items} == {str(ada.id)}
    assert {one["organization_id"] for one in items} == {str(ada.id)}
    assert len({one["id"] for one in items}) == 3
    assert "Lovelace" not in str(items)


async def test_pages_go_on_where_the_one_before_ended_and_ids_stay(client: ApiClient, fresh: Pool) -> None:
    own = client.as_(await Factory(fresh).user())
    follower = await Follower(own).begin()
    begin = follower.cursor
    titles = [f"Task {number}" for number in range(5)]
    for title in titles:
        await own.post("/tasks", {"title": title})

    assert len(await Follower(own).at(begin).follow()) == 5  # all is there to be read
    pages = [await follower.page(limit=2) for _ in range(3)]
    again = await own.get("/changes", cursor=begin)

    assert [page["has_more"] for page in pages] == [True, True, False]
    assert [one["data"]["title"] for page in pages for one in page["items"]] == [*titles, "The last one"]
    assert again["items"] == [one for page in pages for one in page["items"]]
    assert 'rel="next"' in pages[0].headers["link"]


async def test_only_members_are_told_and_only_since_they_joined(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob, root = await make.user(), await make.user(email="bob@example.com"), await make.user(is_superuser=True)
    own, team = client.as_(ada), await make.team(owner=ada)
    followers = [await Follower(client.as_(who)).begin() for who in (bob, root)]
    await own.post("/tasks", {"title": "Before", "organization_id": str(team)})
    assert [await follower.types() for follower in followers] == [[], []]

    await make.member(team, bob.id, "member")
    await own.post("/tasks", {"title": "After", "organization_id": str(team)})
    assert await followers[0].types() == ["organization.joined", "member.created", "task.created"]
    await own.delete(f"/organizations/{team}/members/{bob.id}")
    await own.post("/tasks", {"title": "Later", "organization_id": str(team)})

    assert await followers[0].types() == ["organization.left"]
    assert await followers[1].types() == []
    for who in (bob, root):
        await client.as_(who).get("/changes", organization_id=str(team), expect=404)


async def test_what_was_under_way_when_somebody_joined_is_told(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada)
    before = await make.task(team, ada)
    async with fresh.transaction() as writing:
        late = await Factory(writing).task(team, ada)
        await make.member(team, bob.id, "member")
        follower = await Follower(client.as_(bob)).begin()
        assert (await follower.page())["items"] == []

    told = await follower.follow()
    assert str(late) in {one["subject"]["id"] for one in told}
    assert str(before) not in {one["subject"]["id"] for one in told}


async def test_a_task_that_moves_is_told_to_each_as_it_sees_it(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob, eve = [await make.user() for _ in range(3)]
    here, there = await make.team(owner=ada, admin=bob), await make.team(owner=ada, admin=eve)
    task = await make.task(here, ada)
    await settle(fresh)
    people = {who: await Follower(client.as_(who)).begin() for who in (ada, bob, eve)}
    only = await Follower(client.as_(ada), organization_id=str(here)).begin()

    await client.as_(ada).patch(f"/tasks/{task}", {"organization_id": str(there)})

    [moved], [gone], [come] = [await people[who].follow() for who in (ada, bob, eve)]
    assert (moved["type"], moved["organization_id"]) == ("task.moved", str(there))
    assert (gone["type"], gone["organization_id"], gone["data"]) == ("task.deleted", str(here), None)
    assert (come["type"], come["organization_id"]) == ("task.created", str(there))
    assert moved["version"] == gone["version"] == come["version"] == 2
    assert str(there) not in str(gone)
    assert await only.types() == ["task.deleted"]


async def test_a_deleted_team_ends_with_one_change_for_each_member(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    team, people = await make.organization({"ada": "owner", "bob": "member"})
    await make.task(team, people["ada"])
    await settle(fresh)
    followers = [await Follower(client.as_(who)).begin() for who in people.values()]

    await client.as_(people["ada"]).delete(f"/organizations/{team}")

    for follower in followers:
        [ended] = await follower.follow()
        assert (ended["type"], ended["organization_id"]) == ("organization.deleted", None)
        assert ended["subject"] == {"type": "organization", "id": str(team)}


async def test_what_is_not_committed_waits_and_what_comes_after_it_too(client: ApiClient, fresh: Pool) -> None:
    ada = await Factory(fresh).user()
    follower = await Follower(client.as_(ada)).begin()
    async with fresh.transaction() as writing:
        first = await Factory(writing).task(ada.id, ada)
        second = await Factory(fresh).task(ada.id, ada)
        assert (await follower.page())["items"] == []

    told = await follower.follow()
    assert {one["subject"]["id"] for one in told} == {str(first), str(second)}


async def test_a_wait_ends_with_the_first_change_or_its_time(client: ApiClient, fresh: Pool) -> None:
    ada = await Factory(fresh).user()
    follower = await Follower(client.as_(ada)).begin()
    assert (await follower.page(wait=1))["items"] == []

    began = monotonic()
    waiting = asyncio.create_task(follower.page(wait=25))
    await asyncio.sleep(0)
    await Factory(fresh).task(ada.id, ada)
    page = await waiting

    assert [one["type"] for one in page["items"]] == ["task.created"]
    assert monotonic() - began < 25


async def test_a_session_that_ends_ends_the_wait_with_it(client: ApiClient, fresh: Pool) -> None:
    ada = await Factory(fresh).user()
    follower = await Follower(client.as_(ada)).begin()
    waiting = asyncio.create_task(client.as_(ada).get("/changes", cursor=follower.cursor, wait=2, expect=401))
    await fresh.fetch("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", [])

    assert (await waiting)["code"] == "token_revoked"


async def test_cursors_are_for_their_caller_and_organization(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    team, people = await make.organization({"ada": "owner", "bob": "member"})
    follower = await Follower(client.as_(people["ada"])).begin()

    asked: list[tuple[str, dict[str, str]]] = [("bob", {}), ("ada", {"organization_id": str(team)})]
    for who, more in asked:
        answer = await client.as_(people[who]).get("/changes", cursor=follower.cursor, expect=400, **more)
        assert answer["code"] == "invalid_cursor"


@pytest.mark.parametrize("reason", ["renewed", "pruned", "copied"])
async def test_a_position_that_says_nothing_any_more_is_gone(client: ApiClient, fresh: Pool, reason: str) -> None:
    ada = await Factory(fresh).user()
    follower = await Follower(client.as_(ada)).begin()
    if reason == "renewed":
        await event_log.renew(fresh)
    elif reason == "pruned":
        await fresh.fetch("UPDATE event_log SET first_day = $1", [event_log.today()])
    else:
        await fresh.fetch("UPDATE event_log SET identity = 'elsewhere'", [])

    answer = await follower.client.get("/changes", cursor=follower.cursor, expect=410)

    assert answer["code"] == "feed_expired"


async def test_a_copy_of_a_database_is_followed_from_its_own_beginning(client: ApiClient, fresh: Pool) -> None:
    ada = await Factory(fresh).user()
    await fresh.fetch("UPDATE event_log SET identity = 'elsewhere'", [])

    follower = await Follower(client.as_(ada)).begin()

    assert await event_log.is_same(fresh)
    await Factory(fresh).task(ada.id, ada)
    assert await follower.types() == ["task.created"]


async def test_the_activity_of_a_task_is_that_where_it_is_since_it_came(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob, root = await make.user(), await make.user(), await make.user(is_superuser=True)
    own, team = client.as_(ada), await make.team(owner=ada, member=bob)
    task = (await own.post("/tasks", {"title": "A secret"}))["id"]
    path = f"/tasks/{task}/activity"
    await client.as_(bob).get(path, expect=404)
    await own.patch(f"/tasks/{task}", {"title": "Ours", "organization_id": str(team)})
    for title in ("One", "Two"):
        await own.patch(f"/tasks/{task}", {"title": title})

    first = await client.as_(bob).get(path, limit=2)
    last = await client.as_(bob).get(path, limit=2, cursor=first["next_cursor"])

    items = first["items"] + last["items"]
    assert [one["version"] for one in items] == [4, 3, 2]
    assert [one["data"]["title"] for one in items] == ["Two", "One", "Ours"]
    assert (first["has_more"], last["has_more"], last["next_cursor"]) == (True, False, None)
    assert "A secret" not in str(items)
    assert len((await client.as_(root).get(path))["items"]) == 3


async def test_an_access_token_for_a_team_is_told_nothing_of_its_owner_alone(client: ApiClient, fresh: Pool) -> None:
    make = Factory(fresh)
    ada, bob = await make.user(), await make.user()
    team, left = await make.team(owner=ada), await make.team(owner=bob, member=ada)
    token = await make_token(client, ada, scopes=["changes:read", "tasks:write"], organization_id=str(team))
    follower = await Follower(client.with_headers(Authorization=f"Bearer {token['token']}")).begin()
    own = await Follower(client.as_(ada)).begin()

    await client.as_(bob).delete(f"/organizations/{left}/members/{ada.id}")
    task = (await client.as_(ada).post("/tasks", {"title": "A task", "organization_id": str(team)}))["id"]

    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not seen or seen[-1]["subject"]["id"] != task:
            seen += (await follower.page(wait=5))["items"]
    assert "organization.left" in await own.types()
    assert {one["organization_id"] for one in seen} == {str(team)}
