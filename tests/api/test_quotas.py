"""Quotas: how many tasks an organization has at most, organizations a user makes, and members there are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from persistence.engine.pool import Pool
from persistence.queries import tasks
from server.dispatch import task_counts
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import Factory

Start: TypeAlias = Callable[..., Awaitable[ApiClient]]
TASK = {"title": "One more"}


@pytest.fixture
async def start(settings: Settings, db: Bench) -> AsyncIterator[Start]:
    """Starts a server with these quotas upon the database of the test."""
    async with AsyncExitStack() as stack:

        async def start_with(**quotas: int) -> ApiClient:
            return await stack.enter_async_context(serving(settings.model_copy(update=quotas), db))

        yield start_with


def is_refused(answer: Answer, limit: int) -> bool:
    return (answer.status, answer["code"], answer["limit"]) == (403, "quota_exceeded", limit)


def team_named(slug: str) -> dict[str, str]:
    return {"name": "A team", "slug": slug}


class TestTasks:
    @pytest.mark.proves("ASVS 5.0 2.3.2, ASVS 5.0 2.4.1", "An organization has so many tasks and no more")
    async def test_there_are_so_many_and_no_more(self, start: Start, make: Factory) -> None:
        ada = (await start(quota_tasks=3)).as_(await make.user())
        first, *_ = [await ada.post("/tasks", TASK) for _ in range(3)]

        for _ in range(2):
            assert is_refused(await ada.post("/tasks", TASK, expect=403), 3)

        await ada.delete(f"/tasks/{first['id']}")
        await ada.post("/tasks", TASK)
        assert is_refused(await ada.post("/tasks", TASK, expect=403), 3)

    async def test_those_of_before_count(self, start: Start, make: Factory) -> None:
        """Of a server that has just started, too."""
        ada = await make.user()
        team_id = await make.team(owner=ada)
        for _ in range(2):
            await make.task(team_id, ada)

        answer = await (
            (await start(quota_tasks=2)).as_(ada).post("/tasks", TASK | {"organization_id": str(team_id)}, expect=403)
        )

        assert is_refused(answer, 2)

    async def test_each_organization_has_room_of_its_own(self, start: Start, make: Factory) -> None:
        caller = await make.user()
        ada, team_id = (await start(quota_tasks=1)).as_(caller), str(await make.team(owner=caller))

        for place in ({}, {"organization_id": team_id}):
            await ada.post("/tasks", TASK | place)
            assert is_refused(await ada.post("/tasks", TASK | place, expect=403), 1)

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    async def test_what_moves_there_counts(self, start: Start, make: Factory, method: str) -> None:
        caller = await make.user()
        ada, team_id = (await start(quota_tasks=1)).as_(caller), str(await make.team(owner=caller))
        here, there = await ada.post("/tasks", TASK), await ada.post("/tasks", TASK | {"organization_id": team_id})

        change = getattr(ada, method.lower())
        answer = await change(f"/tasks/{here['id']}", TASK | {"organization_id": team_id}, expect=403)
        assert is_refused(answer, 1)
        assert (await ada.get(f"/tasks/{here['id']}")).body == here.body

        await change(f"/tasks/{there['id']}", {"title": "As it is", "organization_id": team_id})
        await ada.delete(f"/tasks/{there['id']}")
        await change(f"/tasks/{here['id']}", TASK | {"organization_id": team_id})
        await ada.post("/tasks", TASK)

    async def test_who_may_not_write_there_is_told_nothing_of_it(self, start: Start, make: Factory) -> None:
        owner, member, stranger = [await make.user() for _ in range(3)]
        team_id = await make.team(owner=owner, member=member)
        await make.task(team_id, owner)
        api, one = await start(quota_tasks=1), TASK | {"organization_id": str(team_id)}

        assert is_refused(await api.as_(owner).post("/tasks", one, expect=403), 1)
        assert (await api.as_(member).post("/tasks", one, expect=403))["code"] == "permission_denied"
        assert (await api.as_(stranger).post("/tasks", one, expect=404))["code"] == "not_found"
        answer = await api.http.post("/api/v1/tasks", json=one)
        assert answer.status_code == 401

    async def test_a_superuser_has_no_more_room_there(self, start: Start, make: Factory, db: Bench) -> None:
        owner, root = await make.user(), await make.user(is_superuser=True)
        team_id = await make.team(owner=owner)
        await make.task(team_id, owner)

        api = (await start(quota_tasks=1)).as_(root)

        assert is_refused(await api.post("/tasks", TASK | {"organization_id": str(team_id)}, expect=403), 1)
        [entry] = await db.fetch("SELECT action, outcome FROM audit_logs", [])
        assert tuple(entry) == ("organization.accessed", "failure")

    async def test_a_request_that_was_answered_is_answered_again(self, start: Start, make: Factory) -> None:
        ada = (await start(quota_tasks=1)).as_(await make.user())
        keyed = ada.with_headers(Idempotency_Key="once")
        first = await keyed.post("/tasks", TASK)

        again = await keyed.post("/tasks", TASK)

        assert (again.body, again.headers["idempotency-replayed"]) == (first.body, "true")
        assert is_refused(await ada.with_headers(Idempotency_Key="twice").post("/tasks", TASK, expect=403), 1)

    async def test_parallel_requests_pass_it_by_themselves_at_most(
        self, settings: Settings, fresh: Pool, commit: Factory
    ) -> None:
        async with serving(settings.model_copy(update={"quota_tasks": 5}), fresh) as api:
            ada = api.as_(await commit.user())
            sent = [ada.http.post("/api/v1/tasks", json=TASK, headers=ada.headers) for _ in range(10)]
            made = [answer.status_code for answer in await asyncio.gather(*sent)].count(201)

            assert 5 <= made <= 10
            assert is_refused(await ada.post("/tasks", TASK, expect=403), 5)


@pytest.fixture
def at_a_small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks are more than the statement of a creation counts, and than one statement counts beside."""
    monkeypatch.setattr(task_counts, "LOOKED_AT", 2)
    monkeypatch.setattr(task_counts, "BATCH", 2)


@pytest.mark.usefixtures("at_a_small_scale")
class TestManyTasks:
    @pytest.fixture
    async def full(self, commit: Factory) -> tuple[Any, UUID]:
        """The owner of a team that has five tasks."""
        ada = await commit.user()
        team_id = await commit.team(owner=ada)
        for _ in range(5):
            await commit.task(team_id, ada)
        return ada, team_id

    @asynccontextmanager
    async def server(self, settings: Settings, fresh: Pool, quota: int) -> AsyncIterator[ApiClient]:
        async with serving(settings.model_copy(update={"quota_tasks": quota}), fresh) as api:
            yield api

    async def test_they_are_counted_beside_the_request(
        self, settings: Settings, fresh: Pool, full: tuple[Any, UUID]
    ) -> None:
        """Of a server that has just started the first one passes, without a wait."""
        one = TASK | {"organization_id": str(full[1])}
        async with self.server(settings, fresh, 7) as api:
            ada = api.as_(full[0])
            made = 0
            while (await ada.http.post("/api/v1/tasks", json=one, headers=ada.headers)).status_code == 201:
                made += 1

            assert made >= 2
            assert is_refused(await ada.post("/tasks", one, expect=403), 7)
            [row] = await fresh.fetch("SELECT count(*) FROM tasks", [])
            assert row[0] == 5 + made

    async def test_a_count_that_refuses_is_made_anew(
        self, settings: Settings, fresh: Pool, full: tuple[Any, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = TASK | {"organization_id": str(full[1])}
        async with self.server(settings, fresh, 5) as api:
            ada = api.as_(full[0])
            while (await ada.http.post("/api/v1/tasks", json=one, headers=ada.headers)).status_code == 201:
                pass
            await fresh.fetch("DELETE FROM tasks", [])
            monkeypatch.setattr(task_counts, "REFRESH", 0)

            while (await ada.http.post("/api/v1/tasks", json=one, headers=ada.headers)).status_code == 403:
                pass

            await ada.post("/tasks", one)

    async def test_a_count_that_fails_refuses_nothing(
        self, settings: Settings, fresh: Pool, full: tuple[Any, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = asyncio.Event()

        async def count_some(*_arguments: object, **_named: object) -> None:
            failed.set()
            raise TimeoutError

        monkeypatch.setattr(tasks, "count_some", count_some)
        one = TASK | {"organization_id": str(full[1])}
        async with self.server(settings, fresh, 5) as api:
            ada = api.as_(full[0])
            await ada.post("/tasks", one)
            await failed.wait()
            await ada.post("/tasks", one)


class TestOrganizations:
    @pytest.mark.proves("ASVS 5.0 2.3.2, ASVS 5.0 2.4.1", "A user makes so many organizations and no more")
    async def test_a_user_makes_so_many(self, start: Start, make: Factory) -> None:
        api = await start(quota_organizations=2)
        ada, bob = api.as_(await make.user()), api.as_(await make.user())
        first, _ = [await ada.post("/organizations", team_named(f"team-{number}")) for number in range(2)]

        assert is_refused(await ada.post("/organizations", team_named("team-3"), expect=403), 2)

        await bob.post("/organizations", team_named("team-3"))
        await ada.delete(f"/organizations/{first['id']}")
        await ada.post("/organizations", team_named("team-4"))

    async def test_those_that_others_made_do_not_count(self, start: Start, make: Factory) -> None:
        ada = await make.user()
        await make.team(owner=ada)

        await (await start(quota_organizations=1)).as_(ada).post("/organizations", team_named("mine"))

    async def test_one_that_its_maker_has_left_still_counts(self, start: Start, make: Factory) -> None:
        caller, other = await make.user(), await make.user(email="bob@example.com")
        ada = (await start(quota_organizations=1)).as_(caller)
        team = await ada.post("/organizations", team_named("mine"))
        members = f"/organizations/{team['id']}/members"
        await make.member(UUID(team["id"]), other.id, "owner")
        await ada.delete(f"{members}/{caller.id}")

        assert is_refused(await ada.post("/organizations", team_named("another"), expect=403), 1)
        assert (await ada.http.get(f"/api/v1/organizations/{team['id']}", headers=ada.headers)).status_code == 404
        assert other.id != caller.id

    async def test_it_outlives_its_maker(self, start: Start, make: Factory, db: Bench) -> None:
        caller, other = await make.user(), await make.user(email="bob@example.com")
        api = await start()
        ada = api.as_(caller)
        team = await ada.post("/organizations", team_named("mine"))
        await make.member(UUID(team["id"]), other.id, "owner")
        await ada.delete("/users/me")

        await api.as_(other).get(f"/organizations/{team['id']}")
        [row] = await db.fetch("SELECT created_by FROM organizations WHERE kind = 'team'", [])
        assert row["created_by"] is None

    async def test_a_request_that_was_answered_is_answered_again(self, start: Start, make: Factory) -> None:
        ada = (await start(quota_organizations=1)).as_(await make.user()).with_headers(Idempotency_Key="once")
        first = await ada.post("/organizations", team_named("mine"))

        assert (await ada.post("/organizations", team_named("mine"))).body == first.body

    async def test_a_session_that_is_over_is_told_so(self, start: Start, make: Factory, db: Bench) -> None:
        ada = (await start(quota_organizations=1)).as_(await make.user())
        await db.fetch("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", [])

        assert (await ada.post("/organizations", team_named("mine"), expect=401))["code"] == "token_revoked"


class TestMembers:
    @pytest.mark.proves("ASVS 5.0 2.3.2", "An organization has so many members and no more")
    async def test_an_organization_has_so_many(self, start: Start, make: Factory) -> None:
        caller, bob, eve = await make.user(), await make.user(), await make.user()
        team_id = await make.team(owner=caller)
        api = await start(quota_members=2)
        ada, path = api.as_(caller), f"/organizations/{team_id}/invitations"
        invitation = await ada.post(path, {"user_id": str(bob.id)})

        assert is_refused(await ada.post(path, {"user_id": str(eve.id)}, expect=403), 2)
        await api.as_(bob).send("POST", f"/invitations/{invitation['id']}/accept", expect=201)
        assert is_refused(await ada.post(path, {"user_id": str(eve.id)}, expect=403), 2)

        await ada.delete(f"/organizations/{team_id}/members/{bob.id}")
        await ada.post(path, {"user_id": str(eve.id)})

    async def test_who_accepts_when_it_is_full_by_now_is_refused(self, start: Start, make: Factory) -> None:
        caller, bob = await make.user(), await make.user()
        team_id = await make.team(owner=caller)
        invitation = await make.invitation(team_id, user_id=bob.id)
        await make.member(team_id, (await make.user()).id, "member")
        api = await start(quota_members=2)

        assert is_refused(await api.as_(bob).send("POST", f"/invitations/{invitation}/accept", expect=403), 2)
        await api.as_(caller).get(f"/organizations/{team_id}/members/{bob.id}", expect=404)

    async def test_who_may_not_add_one_is_told_nothing_of_it(self, start: Start, make: Factory) -> None:
        owner, member = await make.user(), await make.user()
        team_id = await make.team(owner=owner, member=member)
        api, body = await start(quota_members=1), {"email": "eve@example.com"}

        answer = await api.as_(member).post(f"/organizations/{team_id}/invitations", body, expect=403)

        assert answer["code"] == "permission_denied"
