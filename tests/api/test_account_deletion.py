"""Accounts that are deleted: who may not go, what goes with them, and that nothing of the person stays behind."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from persistence.engine.pool import Pool
from persistence.tables import Row
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory
from tests.waiting import somebody_waits

Pair = tuple[ApiClient, ApiClient]
ADA = {"email": "ada.lovelace@example.com", "username": "countess", "full_name": "Augusta King"}


async def test_it_needs_a_recent_sign_in(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    old = replace(ada, session_id=await make.session(ada.id, authenticated_at=NOW - timedelta(minutes=11)))

    problem = await api.as_(old).with_headers(If_Match='"2"').delete("/users/me", expect=401)
    await api.as_(ada).with_headers(If_Match='"2"').delete("/users/me", expect=412)
    await api.as_(ada).delete("/users/me")

    assert problem["code"] == "reauthentication_required"
    assert (await api.as_(ada).get("/users/me", expect=401))["code"] == "token_revoked"


async def test_the_last_superuser_stays(api: ApiClient, make: Factory) -> None:
    root = await make.user(is_superuser=True)

    assert (await api.as_(root).delete("/users/me", expect=409))["code"] == "last_superuser"


async def test_the_only_owner_of_a_team_stays_until_there_is_another(api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=ada)

    assert (await api.as_(ada).delete("/users/me", expect=409))["code"] == "last_owner"
    await make.member(team, bob.id, "owner")
    await api.as_(ada).delete("/users/me")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("kind", ["superusers", "owners"])
async def test_of_the_last_two_who_leave_at_once_one_remains(
    pair: Pair, commit: Factory, fresh: Pool, kind: str
) -> None:
    for _ in range(10):
        await fresh.fetch("UPDATE users SET is_superuser = false", [])
        two = [await commit.user(is_superuser=kind == "superusers") for _ in range(2)]
        if kind == "owners":
            team = await commit.team(owner=two[0])
            await commit.member(team, two[1].id, "owner")

        answers = await asyncio.gather(
            *[
                api.http.delete("/api/v1/users/me", headers=api.as_(who).headers)
                for api, who in zip(pair, two, strict=True)
            ]
        )

        assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_tasks_in_teams_stay_without_an_author(api: ApiClient, make: Factory, db: Bench) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=bob, admin=ada)
    theirs, own = await make.task(team, ada), await make.task(ada.id, ada)
    before = datetime.now(UTC)

    await api.as_(ada).delete("/users/me")

    task = await api.as_(bob).get(f"/tasks/{theirs}")
    assert (task["user_id"], task["version"]) == (None, 2)
    assert await db.fetch("SELECT FROM tasks WHERE id = $1", [own]) == []
    organization = await api.as_(bob).get(f"/organizations/{team}")
    assert organization["version"] == 2
    assert before <= min(datetime.fromisoformat(one["updated_at"]) for one in (organization, task))


async def test_who_asks_for_what_was_changed_hears_of_tasks_that_lost_their_author(
    api: ApiClient, make: Factory, db: Bench
) -> None:
    ada, bob = await make.user(), await make.user()
    team = await make.team(owner=bob, admin=ada)
    theirs, later = await make.task(team, ada), await make.task(team, ada)
    await make.task(team, bob)
    await db.fetch("UPDATE tasks SET updated_at = updated_at + interval '100 years' WHERE id = $1", [later])
    [late] = await db.fetch("SELECT updated_at FROM tasks WHERE id = $1", [later])
    before = datetime.now(UTC).isoformat()

    await api.as_(ada).delete("/users/me")

    page = await api.as_(bob).get("/tasks", organization_id=team, updated_after=before, sort="updated_at")
    assert [(task["id"], task["user_id"]) for task in page["items"]] == [(str(theirs), None), (str(later), None)]
    assert datetime.fromisoformat(page["items"][1]["updated_at"]) == late["updated_at"]  # it never goes back


@pytest.mark.proves("ASVS 5.0 14.2.7", "After a deletion no column of any table has the e-mail or a name of the person")
@pytest.mark.parametrize("by", ["oneself", "a superuser", "bulk"])
async def test_no_column_of_any_table_has_the_e_mail_or_a_name_afterwards(
    api: ApiClient, make: Factory, db: Bench, by: str
) -> None:
    root = await make.user(is_superuser=True)
    await api.post("/auth/register", ADA | {"password": PASSWORD})
    tokens = await api.post("/auth/login", {"email": ADA["email"], "password": PASSWORD}, expect=200)
    await api.post("/auth/login", {"email": ADA["email"], "password": "wrong"}, expect=401)
    ada = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
    user_id = (await ada.get("/users/me"))["id"]
    await ada.post("/tasks", {"title": "What Augusta King wants"})
    await ada.patch("/users/me", {"username": "lady-lovelace"})
    assert len(await find_traces(db)) > 3

    if by == "oneself":
        await ada.delete("/users/me")
    elif by == "a superuser":
        await api.as_(root).delete(f"/users/{user_id}")
    else:
        await api.as_(root).post("/users/bulk", {"action": "delete", "user_ids": [user_id]}, expect=200)

    assert await find_traces(db) == []
    named = {name for name in await tables_with(db, user_id) if name != "audit_logs"}
    assert named == set()


async def find_traces(db: Bench) -> list[str]:
    """The tables that have the e-mail or a name, by each row."""
    found = []
    for table in Row.metadata.sorted_tables:
        rows = await db.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table.name} t", [])  # noqa: S608 - a name of ours
        for record in rows:
            text = record["row"].casefold()
            found += [table.name for word in ("lovelace", "countess", "augusta") if word in text]
    return found


async def tables_with(db: Bench, user_id: str) -> list[str]:
    """The tables that have the id anywhere."""
    found = []
    for table in Row.metadata.sorted_tables:
        sql = f"SELECT FROM {table.name} t WHERE to_jsonb(t)::text LIKE '%' || $1 || '%'"
        found += [table.name for _ in await db.fetch(sql, [user_id])]
    return found


@pytest.mark.usefixtures("patient")
async def test_requests_during_which_their_user_goes_are_done_before_or_told_that_the_session_is_over(
    pair: Pair, commit: Factory, fresh: Pool
) -> None:
    for _ in range(5):
        ada = await commit.user()
        headers = pair[0].as_(ada).headers
        http = [api.http for api in pair]

        answers = await asyncio.gather(
            *[http[n % 2].post("/api/v1/tasks", json={"title": "A task"}, headers=headers) for n in range(8)],
            http[0].delete("/api/v1/users/me", headers=headers),
            *[http[n % 2].get("/api/v1/users/me", headers=headers) for n in range(8)],
        )

        assert answers[8].status_code == 204
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 401, 404}
        assert await fresh.fetch("SELECT FROM tasks WHERE organization_id = $1", [ada.id]) == []


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", ["delete", "patch", "put", "profile"])
async def test_who_changes_or_deletes_an_own_account_that_goes_meanwhile_is_told_that_the_session_is_over(
    pair: Pair, commit: Factory, fresh: Pool, how: str
) -> None:
    ada = await commit.user(email="ada@example.com")
    api = pair[0].as_(ada)
    async with fresh.transaction() as going:
        await going.fetch("SELECT FROM users WHERE id = $1 FOR UPDATE", [ada.id])
        if how == "delete":
            request = api.delete("/users/me", expect=401)
        elif how == "put":
            request = api.put(f"/users/{ada.id}", {"email": "ada@example.com", "full_name": "Ada"}, expect=401)
        else:
            path = "/users/me" if how == "profile" else f"/users/{ada.id}"
            request = api.patch(path, {"full_name": "Ada"}, expect=401)
        waiting = asyncio.create_task(request)
        await somebody_waits(fresh)
        await going.fetch("DELETE FROM users WHERE id = $1", [ada.id])

    assert (await waiting)["code"] == "token_revoked"
