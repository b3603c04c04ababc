"""The event log: what changes write into it, by any caller, and in which order."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from persistence.engine.pool import Database, Pool, Transaction
from persistence.queries import event_log
from server.database import event_keeping
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import Factory

RENAME = "UPDATE tasks SET title = $2, version = version + 1, updated_at = clock_timestamp() WHERE id = $1"
EVENTS = "SELECT * FROM events WHERE feed_id = $1 OR subject_id = $1 ORDER BY xid, seq"


async def list_events(db: Database, thing: UUID) -> list[tuple[str, UUID, int | None]]:
    """Type, feed and version of the events of a feed, or of a subject."""
    return [(row["type"], row["feed_id"], row["version"]) for row in await db.fetch(EVENTS, [thing])]


async def test_each_change_of_a_task_is_an_event(db: Bench, api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    team, client = await make.team(owner=ada), api.as_(ada)
    task = (await client.post("/tasks", {"title": "Ship it", "due_on": "2026-05-01"})).body
    path = f"/tasks/{task['id']}"
    await client.patch(path, {"title": "Ship it now"})
    await client.patch(path, {"title": "Ship it now"})  # changes nothing
    await client.patch(f"{path}/complete", {"completed": True})
    await client.patch(path, {"organization_id": str(team), "priority": "high"})
    await client.delete(path)

    assert await list_events(db, UUID(task["id"])) == [
        ("task.created", ada.id, 1),
        ("task.updated", ada.id, 2),
        ("task.updated", ada.id, 3),
        ("task.deleted", ada.id, 4),
        ("task.created", team, 4),
        ("task.deleted", team, 5),
    ]


async def test_an_event_has_the_row_and_its_cause(db: Bench, api: ApiClient, make: Factory) -> None:
    ada = await make.user(full_name="Ada Lovelace")
    client = api.as_(ada).with_headers(X_Request_ID="the-request")
    task = (await client.post("/tasks", {"title": "Ship it", "due_on": "2026-05-01"})).body
    await client.patch(f"/tasks/{task['id']}", {"organization_id": str(await make.team(owner=ada))})

    created, *moved = await db.fetch(EVENTS, [UUID(task["id"])])
    data = json.loads(created["data"])
    assert {row["caused_by"] for row in (created, *moved)} == {f"{ada.id} the-request"}
    plain = data.keys() - {"created_at", "updated_at"}
    assert plain | {"created_at", "updated_at"} == task.keys() - {
        "id",
        "organization_id",
        "author",
        "completed",
        "version",
    }
    assert {name: data[name] for name in plain} == {name: task[name] for name in plain}
    assert b"Lovelace" not in created["data"]


async def test_each_change_of_a_team_is_an_event(db: Bench, api: ApiClient, make: Factory) -> None:
    ada, bob = await make.user(), await make.user(email="bob@example.com")
    client = api.as_(ada)
    team = UUID((await client.post("/organizations", {"name": "Team", "slug": "a-team"})).body["id"])
    people = f"/organizations/{team}/members"
    await make.member(team, bob.id, "member")
    await client.patch(f"{people}/{bob.id}", {"role": "admin"})
    await client.patch(f"/organizations/{team}", {"name": "The team"})
    await client.delete(f"{people}/{bob.id}")

    of_team = await list_events(db, team)
    assert [kind for kind, feed, _ in of_team if feed == team] == [
        "organization.created",
        "member.created",
        "member.created",
        "member.updated",
        "organization.updated",
        "organization.updated",
        "member.deleted",
        "organization.updated",
    ]
    assert [version for kind, _, version in await list_events(db, bob.id) if kind.startswith("member.")] == [1, 2, 3]
    assert [kind for kind, feed, _ in of_team if feed == bob.id] == ["organization.joined", "organization.left"]


async def test_a_deleted_team_tells_its_members_and_nothing_else(db: Bench, api: ApiClient, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "bob": "member"})
    await make.task(team, people["ada"])
    before = len([feed for _, feed, _ in await list_events(db, team) if feed == team])

    await api.as_(people["ada"]).delete(f"/organizations/{team}")

    after = await list_events(db, team)
    assert len([feed for _, feed, _ in after if feed == team]) == before
    for person in people.values():
        assert (await list_events(db, person.id))[-1] == ("organization.deleted", person.id, None)


async def test_nothing_is_left_of_a_deleted_account_but_ids(db: Bench, api: ApiClient, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "bob": "admin"})
    bob = people["bob"]
    await make.task(bob.id, bob, title="A secret")
    await make.task(team, bob)

    await api.as_(bob).send(
        "DELETE", "/users/me", expect=204, json={"current_password": "a pelican reads the timetable"}
    )

    assert {feed for _, feed, _ in await list_events(db, bob.id)} == {team}
    assert [kind for kind, *_ in await list_events(db, team)][-2:] == ["member.deleted", "organization.updated"]
    assert b"A secret" not in b"".join(row["data"] or b"" for row in await db.fetch("SELECT data FROM events", []))


async def test_a_new_name_is_an_event_of_the_membership(db: Bench, api: ApiClient, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "bob": "member"})

    await api.as_(people["bob"]).patch("/users/me", {"full_name": "Robert"})

    row = (await db.fetch(EVENTS, [team]))[-1]
    assert (row["type"], row["subject_id"]) == ("member.updated", people["bob"].id)
    assert b"Robert" not in row["data"]


async def test_what_no_handler_writes_is_logged_too(db: Bench, make: Factory) -> None:
    team, people = await make.organization({"ada": "owner", "bob": "member"})
    tasks = [await make.task(team, people["ada"]) for _ in range(3)]
    await db.fetch("UPDATE tasks SET version = version + 1 WHERE organization_id = $1", [team])
    await db.fetch("DELETE FROM tasks WHERE id = $1", [tasks[0]])
    assert [kind for kind, *_ in await list_events(db, tasks[0])] == ["task.created", "task.updated", "task.deleted"]

    await db.fetch("DELETE FROM organizations WHERE id = $1", [team])

    assert [kind for kind, *_ in await list_events(db, tasks[1])] == ["task.created", "task.updated"]
    assert (await list_events(db, people["bob"].id))[-1] == ("organization.deleted", people["bob"].id, None)


async def test_a_restore_and_what_grows_nothing_write_no_events(db: Bench, make: Factory) -> None:
    ada = await make.user()
    await db.fetch("UPDATE tasks SET search_vector = NULL", [])
    before = await db.fetch("SELECT count(*) FROM events", [])
    await db.fetch("SELECT set_config('docket.restore', 'on', true)", [])

    team = await make.team(owner=ada)
    await make.task(team, ada)

    assert await db.fetch("SELECT count(*) FROM events", []) == before
    assert (await db.fetch("SELECT joined_after FROM organization_members WHERE organization_id = $1", [team]))[0][
        0
    ] is None


@pytest.mark.parametrize("table", ["tasks", "organization_members", "organizations", "users"])
async def test_truncate_is_refused(db: Bench, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="TRUNCATE of"):
        await db.fetch(f"TRUNCATE {table} CASCADE", [])


async def test_versions_are_in_order_whichever_transaction_began_first(fresh: Pool) -> None:
    make = Factory(fresh)
    ada = await make.user()
    task = await make.task(ada.id, ada)
    async with fresh.transaction() as older:
        await older.fetch("SELECT pg_current_xact_id()", [])
        async with fresh.transaction() as oldest_but_one:
            await oldest_but_one.fetch("SELECT pg_current_xact_id()", [])
            await fresh.fetch(RENAME, [task, "second"])  # by a transaction that is younger than both
            await oldest_but_one.fetch(RENAME, [task, "third"])
        await older.fetch(RENAME, [task, "fourth"])

    rows = await fresh.fetch(EVENTS, [task])
    assert [row["version"] for row in rows] == [1, 2, 3, 4]
    assert [row["transaction"] for row in rows] != sorted(row["transaction"] for row in rows)


async def test_days_are_made_ahead_and_dropped_when_they_are_old(fresh: Pool, fresh_url: str) -> None:
    today = event_log.today()
    await event_log.make_days(fresh)  # since the template was made
    await fresh.fetch(f"DROP TABLE {event_log.name_of(today + timedelta(days=9))}", [])
    assert await event_log.days_ahead(fresh) == 8

    assert await event_log.make_days(fresh) == 1
    assert await event_log.make_days(fresh) == 0
    assert await event_log.days_ahead(fresh) == event_log.DAYS_AHEAD

    connection = await asyncpg.connect(fresh_url)
    old = [day for day in await event_log.days_of(fresh) if day < today]
    assert len(old) == await event_log.drop_days(connection, today) > 0
    assert await connection.fetchval("SELECT first_day FROM event_log") == today
    await connection.close()
    assert (await event_log.days_of(fresh))[0] == today


async def test_a_copy_of_a_database_has_an_epoch_of_its_own(fresh: Pool) -> None:
    async def epoch() -> Any:
        return (await fresh.fetch("SELECT epoch FROM event_log", []))[0][0]

    before = await epoch()
    assert not await event_log.is_same(fresh)
    assert await event_keeping.look_after(fresh) == event_keeping.EVERY
    assert await event_log.is_same(fresh)
    assert (after := await epoch()) != before
    await event_keeping.look_after(fresh)
    assert await epoch() == after


@pytest.mark.proves("", "Of many who find the event log in another place at once, one begins a new epoch")
async def test_of_many_who_see_another_place_one_begins_an_epoch(fresh: Pool) -> None:
    await event_keeping.look_after(fresh)
    await fresh.fetch("UPDATE event_log SET identity = 'elsewhere'", [])

    begun = await asyncio.gather(*[event_log.renew_elsewhere(fresh) for _ in range(8)])

    assert sorted(begun) == [False] * 7 + [True]


async def test_a_day_whose_end_was_cut_short_is_dropped(fresh: Pool, fresh_url: str) -> None:
    """Who is killed between the two statements leaves a table behind, with what people wrote."""
    today = event_log.today()
    connection = await asyncpg.connect(fresh_url)
    before, kept = event_log.name_of(today - timedelta(days=40)), event_log.name_of(today - timedelta(days=3))
    for name in (before, kept):
        await connection.execute(f"CREATE TABLE {name} (LIKE events INCLUDING ALL)")

    assert await event_log.drop_days(connection, today - timedelta(days=30)) == 1
    assert await connection.fetchval("SELECT to_regclass($1)", before) is None
    assert await connection.fetchval("SELECT to_regclass($1)", kept) is not None
    await connection.close()


async def test_without_room_for_today_who_writes_is_told_to_try_again(settings: Settings, fresh: Pool) -> None:
    """It is no fault of who writes, and a minute later there is room again."""
    ada = await Factory(fresh).user()
    await fresh.fetch(f"DROP TABLE {event_log.name_of(event_log.today())}", [])
    async with serving(settings, fresh) as api:
        answer = await api.as_(ada).post("/tasks", {"title": "Buy milk"}, expect=503)
        assert answer["code"] == "service_unavailable"
        assert await event_keeping.look_after(fresh) <= 60

        await api.as_(ada).post("/tasks", {"title": "Buy milk"})


async def test_a_renewal_waits_for_those_who_write(fresh: Pool, fresh_url: str) -> None:
    make = Factory(fresh)
    ada = await make.user()
    connection = await asyncpg.connect(fresh_url, server_settings={"lock_timeout": "10ms"})
    async with fresh.transaction() as writing:
        await Factory(writing).task(ada.id, ada)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await event_log.renew(Transaction(connection))
    await event_log.renew(Transaction(connection))
    await connection.close()


async def test_what_keeps_followers_waiting_is_measured(fresh: Pool) -> None:
    assert await event_log.measure_delay(fresh) >= 0
    async with fresh.transaction() as writing:
        await Factory(writing).user()

        assert await event_log.measure_delay(fresh) > 0
