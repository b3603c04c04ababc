"""Organizations while several people change them at once, with real commits. Each count is exact."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from itertools import cycle
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from generated.models import OrganizationCreate, OrganizationRole, TaskCreate, TaskPriority, TaskStatus
from handlers.shared.permissions import ROLES, Action
from persistence.authorization import Caller, NotAllowed, NotVisible, SessionOver
from persistence.engine.pool import Pool
from persistence.queries import idempotency, members, organizations, tasks
from persistence.queries.accounts import deletions
from persistence.search.vectors import write_vector
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.client import ApiClient
from tests.factories import NOW, Factory, SignedIn
from tests.waiting import somebody_waits

pytestmark = pytest.mark.usefixtures("patient")
ROUNDS, MANY = 5, 10
TYPE: dict[str, dict[str, str]] = {
    "POST": {"Content-Type": "application/json"},
    "PUT": {"Content-Type": "application/json"},
    "PATCH": {"Content-Type": "application/merge-patch+json"},
    "DELETE": {},
}
TASK = TaskCreate(title="Mine", status=TaskStatus.pending, priority=TaskPriority.medium)
WRITERS = ROLES[Action.write_tasks]


@pytest.fixture
async def live(settings: Settings, fresh: Pool) -> AsyncIterator[ApiClient]:
    async with serving(settings, fresh) as api:
        yield api


async def statuses(api: ApiClient, calls: list[tuple[Caller, str, str, object]]) -> Counter[int]:
    """How often each status was answered to calls made at once."""
    requests = [
        api.http.request(method, f"/api/v1{path}", json=body, headers=api.as_(who).headers)
        for who, method, path, body in calls
    ]
    return Counter(answer.status_code for answer in await asyncio.gather(*requests))


async def version(db: Pool, team: UUID) -> int:
    return int((await db.fetch("SELECT version FROM organizations WHERE id = $1", [team]))[0][0])


async def owners(db: Pool, team: UUID) -> int:
    sql = "SELECT FROM organization_members WHERE organization_id = $1 AND role = 'owner'"
    return len(await db.fetch(sql, [team]))


@pytest.mark.proves("ASVS 5.0 15.4.1", "Of the last two owners who leave at once, one stays")
async def test_of_the_last_two_owners_who_leave_at_once_one_stays(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    for _ in range(ROUNDS):
        team, people = await commit.organization({"ada": "owner", "bob": "owner", "eve": "member"})
        path = f"/organizations/{team}/members"

        seen = await statuses(
            live, [(who, "DELETE", f"{path}/{who.id}", None) for who in (people["ada"], people["bob"])]
        )

        assert seen == {204: 1, 409: 1}
        assert await version(fresh, team) == 2
        assert await owners(fresh, team) == 1


@pytest.mark.proves("ASVS 5.0 15.4.1", "An owner who leaves while the other deletes his account leaves an owner behind")
async def test_of_an_owner_who_leaves_and_one_who_deletes_his_account_one_stays(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    for _ in range(ROUNDS):
        team, people = await commit.organization({"ada": "owner", "bob": "owner"})
        ada, bob = people["ada"], people["bob"]

        seen = await statuses(
            live, [(ada, "DELETE", f"/organizations/{team}/members/{ada.id}", None), (bob, "DELETE", "/users/me", None)]
        )

        assert seen == {204: 1, 409: 1}
        assert await owners(fresh, team) == 1


async def test_who_is_going_is_made_an_owner_of_nothing(live: ApiClient, commit: Factory, fresh: Pool) -> None:
    team, _ = await commit.organization({"ada": "owner"})
    bob, root = await commit.user(), await commit.user(is_superuser=True)
    async with fresh.transaction() as going:
        await deletions.hold(going, bob.id)
        await deletions.hold_teams(going, bob.id)
        addition = asyncio.create_task(
            statuses(live, [(root, "PUT", f"/organizations/{team}/members/{bob.id}", {"role": "owner"})])
        )
        await somebody_waits(fresh)
        assert not await deletions.is_sole_owner(going, bob.id)
        await organizations.delete(going, bob.id)
        await deletions.delete(going, bob.id)

    assert await addition == {404: 1}
    assert await owners(fresh, team) == 1


async def everybody_goes(apis: Sequence[ApiClient], commit: Factory, fresh: Pool, dice: random.Random) -> Counter[int]:
    """The answers to the owners of a team who go at once, by every way there is, while one more comes and goes."""
    team, people = await commit.organization({str(number): "owner" for number in range(4)})
    guest, root = await commit.user(), await commit.user(is_superuser=True)
    members = f"/organizations/{team}/members"
    calls: list[tuple[Caller, str, str, object]] = [
        (root, "PUT", f"{members}/{guest.id}", {"role": "owner"}),
        (guest, "DELETE", "/users/me", None),
    ]
    for who in people.values():
        demotion = (who, "PATCH", f"{members}/{who.id}", {"role": "member"})
        ways = [(who, "DELETE", f"{members}/{who.id}", None), (who, "DELETE", "/users/me", None), demotion]
        calls.append(dice.choice(ways))
    dice.shuffle(calls)

    answers: list[httpx.Response] = await asyncio.gather(
        *[
            api.http.request(
                method,
                f"/api/v1{path}",
                content=json.dumps(body) if body else None,
                headers={**api.as_(who).headers, **TYPE[method]},
            )
            for (who, method, path, body), api in zip(calls, cycle(apis), strict=False)
        ]
    )

    assert await owners(fresh, team) >= 1
    return Counter(answer.status_code for answer in answers)


@pytest.mark.proves("ASVS 5.0 15.4.2", "However the owners of a team go at once, an owner stays")
async def test_however_the_owners_go_one_stays(pair: Sequence[ApiClient], commit: Factory, fresh: Pool) -> None:
    dice = random.Random(1)  # noqa: S311 - nothing here is to be kept secret
    for _ in range(20):
        assert await everybody_goes(pair, commit, fresh, dice)


@pytest.mark.proves("ASVS 5.0 15.4.2", "Who deletes an account leaves no team that it joins at this moment")
async def test_a_team_that_takes_in_somebody_who_is_going_is_left_only_when_it_is_held(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    team, _ = await commit.organization({"ada": "owner"})
    bob, root = await commit.user(), await commit.user(is_superuser=True)
    async with fresh.transaction() as going:
        held = await deletions.hold_teams(going, bob.id)
        await live.as_(root).put(f"/organizations/{team}/members/{bob.id}", {"role": "owner"}, expect=201)
        assert held == await deletions.leave_teams(going, bob.id, held) == []
        assert await deletions.hold_teams(going, bob.id) == [team]

    assert await owners(fresh, team) == 2


async def test_who_founds_a_team_while_his_account_goes_stays_with_it(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    bob = await commit.user()
    async with fresh.transaction() as founding:
        team = await organizations.insert(founding, uuid4(), OrganizationCreate(name="New", slug="new"), by=bob, most=1)
        going = asyncio.create_task(statuses(live, [(bob, "DELETE", "/users/me", None)]))
        await somebody_waits(fresh)

    assert await going == {409: 1}
    assert await owners(fresh, team.id) == 1


async def test_what_somebody_writes_in_a_team_while_his_account_goes_has_no_author_then(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    team, people = await commit.organization({"ada": "owner", "bob": "admin"})
    async with fresh.transaction() as writing:
        task = await tasks.insert(
            writing, uuid4(), TASK, vector=write_vector(TASK), organization_id=team, by=people["bob"], roles=WRITERS
        )
        going = asyncio.create_task(statuses(live, [(people["bob"], "DELETE", "/users/me", None)]))
        await somebody_waits(fresh)

    assert await going == {204: 1}
    left = await live.as_(people["ada"]).get(f"/tasks/{task.id}")
    assert (left["user_id"], left["version"]) == (None, 2)


async def test_a_deletion_that_waits_for_a_team_keeps_nobody_waiting_there(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    team, people = await commit.organization({"ada": "owner"})
    bob = await commit.user(email="bob@example.com")
    await commit.member(team, bob.id, "admin")

    async with fresh.transaction() as adding:
        await organizations.lock(adding, team)
        going = asyncio.create_task(statuses(live, [(bob, "DELETE", "/users/me", None)]))
        await somebody_waits(fresh)
        task = {"title": "The last one", "organization_id": str(team)}
        assert await statuses(live, [(bob, "POST", "/tasks", task)]) == {201: 1}
        with pytest.raises(asyncpg.UniqueViolationError):
            await members.insert(adding, team, bob.id, OrganizationRole.member, by=people["ada"])

    assert await going == {204: 1}
    [left] = await fresh.fetch("SELECT user_id, version FROM tasks WHERE organization_id = $1", [team])
    assert (left["user_id"], left["version"]) == (None, 2)


async def test_a_request_with_a_key_waits_for_a_deletion_of_its_user_before_the_deletion_waits_for_it(
    live: ApiClient, commit: Factory, fresh: Pool
) -> None:
    team, people = await commit.organization({"ada": "owner", "bob": "admin"})
    bob = people["bob"]

    async def write_with_a_key() -> None:
        async with fresh.transaction() as writing:
            await idempotency.reserve(writing, "once", fingerprint=b"", old=NOW, by=bob)
            await tasks.insert(
                writing, uuid4(), TASK, vector=write_vector(TASK), organization_id=team, by=bob, roles=WRITERS
            )

    async with fresh.transaction() as referring:  # to the account, for which the deletion waits, when it has left teams
        await referring.fetch("SELECT FROM users WHERE id = $1 FOR KEY SHARE", [bob.id])
        going = asyncio.create_task(statuses(live, [(bob, "DELETE", "/users/me", None)]))
        await somebody_waits(fresh)
        writing = asyncio.create_task(write_with_a_key())
        await somebody_waits(fresh, 2)

    with pytest.raises(SessionOver):
        await writing
    assert await going == {204: 1}


async def test_a_slug_is_given_to_one_of_many(live: ApiClient, commit: Factory, fresh: Pool) -> None:
    everybody = [await commit.user() for _ in range(MANY)]
    for number in range(ROUNDS):
        body = {"name": "Ours", "slug": f"slug-{number}"}
        seen = await statuses(live, [(who, "POST", "/organizations", body) for who in everybody])

        assert seen == {201: 1, 409: MANY - 1}
    assert len(await fresh.fetch("SELECT FROM organizations WHERE kind = 'team'", [])) == ROUNDS


async def test_a_member_is_added_once(live: ApiClient, commit: Factory, fresh: Pool) -> None:
    team, _ = await commit.organization({"ada": "owner"})
    root = await commit.user(is_superuser=True)
    for number in range(ROUNDS):
        guest = await commit.user()
        add: tuple[Caller, str, str, object] = (root, "PUT", f"/organizations/{team}/members/{guest.id}", {})

        assert await statuses(live, [add] * MANY) == {201: 1, 409: MANY - 1}
        assert await version(fresh, team) == number + 2


async def write_until_refused(api: ApiClient, who: Caller, team: UUID) -> tuple[int, int]:
    """How many tasks were made, and with which status the first was not."""
    body = {"title": "Mine", "organization_id": str(team)}
    made = 0
    while True:
        answer = await api.http.post("/api/v1/tasks", json=body, headers=api.as_(who).headers)
        if not answer.is_success:
            return made, answer.status_code
        made += 1


@pytest.mark.proves("ASVS 5.0 8.3.2", "Nothing is written after the removal or demotion of its writer")
@pytest.mark.parametrize(("patch", "refusal"), [(None, 404), ({"role": "member"}, 403)], ids=["removed", "demoted"])
async def test_nothing_is_written_after_a_removal_or_demotion(
    live: ApiClient, commit: Factory, fresh: Pool, patch: dict[str, str] | None, refusal: int
) -> None:
    team, people = await commit.organization({"ada": "owner", "bob": "admin"})
    count = "SELECT count(*) FROM tasks WHERE organization_id = $1"
    writers = [asyncio.create_task(write_until_refused(live, people["bob"], team)) for _ in range(4)]
    async with asyncio.timeout(30):
        while (await fresh.fetch(count, [team]))[0][0] < 20:
            pass
    path = f"/organizations/{team}/members/{people['bob'].id}"
    ada = live.as_(people["ada"])

    await (ada.delete(path) if patch is None else ada.patch(path, patch))
    then = (await fresh.fetch(count, [team]))[0][0]
    ended = await asyncio.gather(*writers)

    assert {status for _, status in ended} == {refusal}
    assert then == sum(made for made, _ in ended) == (await fresh.fetch(count, [team]))[0][0]


def write(db: Pool, team: UUID, by: SignedIn) -> Awaitable[object]:
    return tasks.insert(db, uuid4(), TASK, vector=write_vector(TASK), organization_id=team, by=by, roles=WRITERS)


async def test_who_removes_a_member_waits_for_what_he_writes(commit: Factory, fresh: Pool) -> None:
    team, people = await commit.organization({"ada": "owner", "bob": "admin"})
    async with fresh.transaction() as writing:
        await tasks.insert(
            writing, uuid4(), TASK, vector=write_vector(TASK), organization_id=team, by=people["bob"], roles=WRITERS
        )
        removal = asyncio.create_task(members.delete(fresh, team, people["bob"].id))
        await somebody_waits(fresh)
        assert not removal.done()
    await removal

    with pytest.raises(NotVisible):
        await write(fresh, team, people["bob"])


@pytest.mark.parametrize(("demoted", "refusal"), [(False, NotVisible), (True, NotAllowed)], ids=["removed", "demoted"])
async def test_what_is_written_while_a_member_is_removed_or_demoted_sees_it(
    commit: Factory, fresh: Pool, *, demoted: bool, refusal: type[Exception]
) -> None:
    team, people = await commit.organization({"ada": "owner", "bob": "admin"})
    bob = people["bob"]
    async with fresh.transaction() as changing:
        if demoted:
            await members.set_role(changing, team, bob.id, OrganizationRole.member)
        else:
            await members.delete(changing, team, bob.id)
        writing = asyncio.ensure_future(write(fresh, team, bob))
        await somebody_waits(fresh)

    with pytest.raises(refusal):
        await writing
    assert await fresh.fetch("SELECT FROM tasks", []) == []
