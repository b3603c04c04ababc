"""A superuser owns every team, and nothing that it does so goes unwritten."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from scripts.permissions import TEAM, YES, Cell, cells
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.api.test_permissions import answer, world
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import Factory, SignedIn

CELLS = [cell for cell in cells() if (cell.place, cell.caller, cell.answer) == (TEAM, "superuser", YES)]
NAMES = [cell.operation.id for cell in CELLS]
ACCESSED, IMPLIED = "organization.accessed", "implied_ownership"


async def entries(db: Bench, organization_id: UUID) -> list[dict[str, Any]]:
    """What is written about the organization."""
    rows = await db.fetch("SELECT * FROM audit_logs WHERE organization_id = $1 ORDER BY id", [organization_id])
    return [dict(row) for row in rows]


@pytest.fixture
async def root(make: Factory) -> SignedIn:
    return await make.user(is_superuser=True)


@pytest.fixture
async def owner(make: Factory) -> SignedIn:
    return await make.user()


@pytest.fixture
async def team(make: Factory, owner: SignedIn) -> UUID:
    return await make.team(owner=owner)


@pytest.fixture
async def unwritable(db: Bench) -> None:
    """No entry of an access can be written."""
    await db.fetch("ALTER TABLE audit_logs ADD CONSTRAINT no CHECK (action <> 'organization.accessed')", [])


@pytest.mark.proves("ASVS 5.0 16.3.2", "What a superuser does in a team that it is no member of is one audit log")
@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
async def test_every_operation_writes_one_entry(
    api: ApiClient, settings: Settings, db: Bench, make: Factory, cell: Cell
) -> None:
    there = await world(make, cell)
    said = await answer(api, settings, cell, there)

    assert said.is_success, said.text
    [entry] = await entries(db, UUID(str(there.ids["organization_id"])))
    assert (entry["actor_id"], entry["outcome"]) == (there.caller.id, "success")
    if entry["action"] == ACCESSED:
        assert entry["reason"] == cell.operation.id
    else:
        assert (cell.operation.method != "GET", entry["reason"]) == (True, IMPLIED)


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
async def test_who_is_a_member_whose_role_suffices_uses_its_own(
    api: ApiClient, settings: Settings, db: Bench, make: Factory, cell: Cell
) -> None:
    there = await world(make, cell)
    organization_id = UUID(str(there.ids["organization_id"]))
    await make.member(organization_id, there.caller.id, "owner")

    assert (await answer(api, settings, cell, there)).is_success
    told = [(entry["action"], entry["reason"]) for entry in await entries(db, organization_id)]
    assert [each for each in told if ACCESSED in each or IMPLIED in each] == []


async def test_who_is_a_member_whose_role_does_not_suffice_implies_ownership(
    api: ApiClient, db: Bench, make: Factory, *, root: SignedIn, owner: SignedIn, team: UUID
) -> None:
    await make.member(team, root.id, "member")
    task = await make.task(team, owner)
    who = api.as_(root)

    await who.get(f"/tasks/{task}")
    await who.patch(f"/tasks/{task}", {"title": "Other"})
    await who.patch(f"/organizations/{team}", {"name": "Other"})
    await who.patch(f"/organizations/{team}/members/{owner.id}", {"role": "owner"})

    assert [(entry["action"], entry["reason"]) for entry in await entries(db, team)] == [
        (ACCESSED, "updateTask"),
        ("organization.updated", IMPLIED),
        (ACCESSED, "updateMember"),
    ]


async def test_owners_and_admins_read_what_a_superuser_did(
    api: ApiClient, make: Factory, *, root: SignedIn, owner: SignedIn, team: UUID
) -> None:
    admin = await make.user()
    await make.member(team, admin.id, "admin")
    task = await make.task(team, owner)
    await api.as_(root).get(f"/tasks/{task}")
    await api.as_(root).get("/tasks", organization_id=str(team))

    for who in (owner, admin):
        listed, got = (await api.as_(who).get(f"/organizations/{team}/audit-logs"))["items"]
        assert (got["action"], got["reason"], got["outcome"]) == (ACCESSED, "getTask", "success")
        assert (got["actor"]["id"], got["target"]["id"]) == (str(root.id), str(task))
        assert (listed["reason"], listed["target"]) == ("listTasks", None)


@pytest.mark.proves("ASVS 5.0 16.3.2", "A superuser is answered 503 when what it does cannot be written down")
@pytest.mark.usefixtures("unwritable")
async def test_what_cannot_be_written_down_is_not_answered(
    api: ApiClient, db: Bench, make: Factory, *, root: SignedIn, owner: SignedIn, team: UUID
) -> None:
    task = await make.task(team, owner, title="Before")
    who = api.as_(root)

    for path in (f"/tasks/{task}", f"/organizations/{team}", f"/organizations/{team}/audit-logs"):
        assert "retry-after" in (await who.get(path, expect=503)).headers
    await who.get("/tasks", organization_id=str(team), expect=503)
    await who.patch(f"/tasks/{task}", {"title": "After"}, expect=503)
    await who.post("/tasks", {"title": "New", "organization_id": str(team)}, expect=503)

    assert [row["title"] for row in await db.fetch("SELECT title FROM tasks", [])] == ["Before"]
    await api.as_(owner).get(f"/tasks/{task}")


async def test_what_is_tried_in_vain_is_written_down(
    api: ApiClient, db: Bench, make: Factory, *, root: SignedIn, owner: SignedIn, team: UUID
) -> None:
    task = await make.task(team, owner)
    who = api.as_(root)

    await who.with_headers(If_Match='"7"').patch(f"/tasks/{task}", {"title": "Other"}, expect=412)
    await who.delete(f"/organizations/{team}/members/{owner.id}", expect=409)
    await who.with_headers(If_None_Match='"1.1"').get(f"/tasks/{task}", expect=304)

    assert [(entry["action"], entry["outcome"], entry["reason"]) for entry in await entries(db, team)] == [
        (ACCESSED, "failure", "updateTask"),
        (ACCESSED, "failure", "removeMember"),
        (ACCESSED, "success", "getTask"),
    ]


async def test_what_is_not_there_or_personal_is_not_written_down(
    api: ApiClient, db: Bench, make: Factory, *, root: SignedIn, owner: SignedIn
) -> None:
    task = await make.task(owner.id, owner)
    who = api.as_(root)

    for path in (f"/tasks/{task}", f"/tasks/{UUID(int=7)}", f"/organizations/{owner.id}"):
        await who.get(path, expect=404)
    await who.get("/tasks", organization_id=str(owner.id), expect=404)

    assert await db.fetch("SELECT FROM audit_logs", []) == []


async def test_a_request_that_is_sent_again_is_written_down_again(
    settings: Settings, db: Bench, make: Factory, *, root: SignedIn, team: UUID
) -> None:
    grace = await make.user()
    async with serving(settings, db) as api:
        who = api.as_(root).with_headers(Idempotency_Key="once")
        for _ in range(2):
            await who.post("/tasks", {"title": "New", "organization_id": str(team)})
        await api.as_(root).post(f"/organizations/{team}/invitations", {"user_id": str(grace.id)})

    assert [(entry["action"], entry["reason"]) for entry in await entries(db, team)] == [
        *[(ACCESSED, "createTask")] * 2,
        ("invitation.created", IMPLIED),
    ]


class TestTasksThatGo:
    async def test_a_deletion_is_written_down_whoever_does_it(
        self, api: ApiClient, db: Bench, make: Factory, *, owner: SignedIn, team: UUID
    ) -> None:
        task, own = await make.task(team, owner), await make.task(owner.id, owner)

        await api.as_(owner).with_headers(If_Match='"7"').delete(f"/tasks/{task}", expect=412)
        await api.as_(owner).delete(f"/tasks/{task}")
        await api.as_(owner).delete(f"/tasks/{own}")
        await api.as_(owner).delete(f"/tasks/{own}", expect=404)

        for place, which in ((team, task), (owner.id, own)):
            [entry] = await entries(db, place)
            assert (entry["action"], entry["outcome"], entry["reason"]) == ("task.deleted", "success", None)
            assert (entry["actor_id"], entry["target_type"], entry["target_id"]) == (owner.id, "task", which)

    async def test_a_move_is_written_down_in_both_organizations(
        self, api: ApiClient, db: Bench, make: Factory, *, owner: SignedIn, team: UUID
    ) -> None:
        task = await make.task(team, owner)

        await api.as_(owner).patch(f"/tasks/{task}", {"organization_id": str(team), "title": "Stays"})
        await api.as_(owner).patch(f"/tasks/{task}", {"organization_id": str(owner.id), "title": "Goes"})

        for place in (team, owner.id):
            [entry] = await entries(db, place)
            assert (entry["action"], entry["reason"], entry["target_id"]) == ("task.moved", None, task)

    async def test_a_move_that_a_superuser_makes_says_so_in_both(
        self, api: ApiClient, db: Bench, make: Factory, *, root: SignedIn, owner: SignedIn, team: UUID
    ) -> None:
        other = await make.team(owner=owner)
        task = await make.task(team, owner)

        await api.as_(root).patch(f"/tasks/{task}", {"organization_id": str(other)})

        for place in (team, other):
            [entry] = await entries(db, place)
            assert (entry["action"], entry["reason"], entry["actor_id"]) == ("task.moved", IMPLIED, root.id)

    async def test_an_organization_that_is_deleted_is_one_entry_with_the_number_of_its_tasks(
        self, api: ApiClient, db: Bench, make: Factory, *, owner: SignedIn, team: UUID
    ) -> None:
        for _ in range(3):
            await make.task(team, owner)

        await api.as_(owner).delete(f"/organizations/{team}")

        [entry] = await entries(db, team)
        assert (entry["action"], entry["task_count"]) == ("organization.deleted", 3)

    async def test_an_account_that_is_deleted_is_one_entry_with_the_number_of_its_tasks(
        self, api: ApiClient, make: Factory, *, root: SignedIn, owner: SignedIn
    ) -> None:
        ada = await make.user()
        team = await make.team(owner=owner, member=ada)
        for place in (ada.id, ada.id, team):
            await make.task(place, ada)

        await api.as_(root).delete(f"/users/{ada.id}")

        [entry] = (await api.as_(root).get("/audit-logs", action="user.deleted"))["items"]
        assert (entry["target"]["id"], entry["task_count"]) == (str(ada.id), 2)
        assert (await api.as_(root).get("/audit-logs", action="task."))["items"] == []


async def test_of_many_who_delete_a_task_at_once_one_is_written_down(
    pair: tuple[ApiClient, ApiClient], commit: Factory, fresh: Any
) -> None:
    ada, root = await commit.user(), await commit.user(is_superuser=True)
    team = await commit.team(owner=ada)
    task = await commit.task(team, ada)

    async def delete(api: ApiClient, who: SignedIn) -> int:
        said = await api.as_(who).http.delete(f"/api/v1/tasks/{task}", headers=api.as_(who).headers)
        return said.status_code

    done = await asyncio.gather(*[delete(api, who) for api in pair for who in (ada, root) for _ in range(3)])

    assert sorted(done) == [204, *[404] * 11]
    records = await fresh.fetch("SELECT action FROM audit_logs WHERE organization_id = $1", [team])
    assert [record["action"] for record in records] == ["task.deleted"]
