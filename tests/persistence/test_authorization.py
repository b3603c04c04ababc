"""Who may see and change what, for each caller and all that they can ask for."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from pydantic import MISSING

from generated.models import TaskCreate, TaskPatch, TaskPriority, TaskSort, TaskStatus
from persistence.authorization import Caller, NotAllowed, NotVisible, OwnershipImplied, SessionOver, Stale
from persistence.queries import tasks
from persistence.queries.accounts import users
from persistence.queries.task_filters import Filters
from persistence.search.vectors import write_vector
from tests.conftest import Bench
from tests.factories import NOW, WRITERS, Factory, deletion

NEW = TaskCreate(title="New", status=TaskStatus.pending, priority=TaskPriority.medium)
AFTER = TaskPatch(title="After")


@dataclass(frozen=True, slots=True)
class Place:
    """A task in an organization."""

    organization_id: UUID
    task_id: UUID


Action: TypeAlias = Callable[..., Awaitable[object]]
Versions: TypeAlias = Sequence[int] | MISSING


def find(db: Bench, place: Place, by: Caller) -> Awaitable[object]:
    return tasks.find(db, place.task_id, by=by)


def list_in(db: Bench, place: Place, by: Caller) -> Awaitable[object]:
    sort = TaskSort.created_at_ascending
    return tasks.list_in(db, place.organization_id, by=by, filters=Filters(), sort=sort, after=MISSING, limit=10)


def insert(db: Bench, place: Place, by: Caller) -> Awaitable[object]:
    return tasks.insert(
        db, uuid4(), NEW, vector=write_vector(NEW), organization_id=place.organization_id, by=by, roles=WRITERS
    )


def update(db: Bench, place: Place, by: Caller, versions: Versions = MISSING) -> Awaitable[object]:
    return tasks.update(db, place.task_id, AFTER, vector=write_vector(AFTER), versions=versions, by=by, roles=WRITERS)


def set_completed(db: Bench, place: Place, by: Caller, versions: Versions = MISSING) -> Awaitable[object]:
    return tasks.set_completed(db, place.task_id, completed=True, versions=versions, by=by, roles=WRITERS)


def delete(db: Bench, place: Place, by: Caller, versions: Versions = MISSING) -> Awaitable[object]:
    entry = deletion(by, place.task_id)
    return tasks.delete(db, place.task_id, versions=versions, by=by, roles=WRITERS, entry=entry)


READS: tuple[Action, ...] = (find, list_in)
CHANGES: tuple[Action, ...] = (insert, update, set_completed, delete)
ACTIONS = READS + CHANGES


@pytest.fixture
async def people(make: Factory) -> Mapping[str, Caller]:
    everybody = {name: await make.user() for name in ("owner", "admin", "member", "outsider")}
    root = await make.user(is_superuser=True)
    return everybody | {"root": root, "superuser": replace(root, as_superuser=True)}


@pytest.fixture
async def place(make: Factory, people: Mapping[str, Caller]) -> Place:
    """A task in a team that has an owner, an admin and a member."""
    team = await make.team(**{role: people[role] for role in ("owner", "admin", "member")})
    return Place(team, await make.task(team, people["owner"], title="Before"))


class TestRoles:
    @pytest.mark.parametrize(
        ("who", "action"),
        [*product(("owner", "admin", "superuser"), ACTIONS), *product(("member",), READS)],
        ids=lambda part: part if isinstance(part, str) else part.__name__,
    )
    async def test_allowed(
        self, db: Bench, place: Place, people: Mapping[str, Caller], who: str, action: Action
    ) -> None:
        assert await action(db, place, people[who])

    @pytest.mark.parametrize("action", CHANGES, ids=lambda action: action.__name__)
    async def test_a_member_may_change_nothing(
        self, db: Bench, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        with pytest.raises(NotAllowed):
            await action(db, place, people["member"])

        assert await is_unchanged(db, place)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_an_outsider_is_told_nothing(
        self, db: Bench, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        with pytest.raises(NotVisible):
            await action(db, place, people["outsider"])

        assert await is_unchanged(db, place)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_a_superuser_does_not_see_what_is_personal(
        self, db: Bench, make: Factory, people: Mapping[str, Caller], action: Action
    ) -> None:
        ada = people["owner"]
        personal = Place(ada.id, await make.task(ada.id, ada, title="Before"))

        with pytest.raises(NotVisible):
            await action(db, personal, people["superuser"])

        assert await is_unchanged(db, personal)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_a_superuser_who_does_not_ask_as_one_is_told_that_it_may(
        self, db: Bench, make: Factory, *, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        await make.member(place.organization_id, people["root"].id, "member")
        elsewhere = Place(await make.team(owner=people["owner"]), uuid4())

        for there in (place, elsewhere) if action in CHANGES else (elsewhere,):
            with pytest.raises(OwnershipImplied):
                await action(db, there, people["root"])

        assert await is_unchanged(db, place)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_who_asks_as_a_superuser_and_is_none_may_do_nothing_more(
        self, db: Bench, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        with pytest.raises(NotVisible):
            await action(db, place, replace(people["outsider"], as_superuser=True))

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_what_does_not_exist_is_like_what_one_may_not_see(
        self, db: Bench, people: Mapping[str, Caller], action: Action
    ) -> None:
        with pytest.raises(NotVisible):
            await action(db, Place(uuid4(), uuid4()), people["owner"])

    async def test_a_role_taken_away_counts_at_once(
        self, db: Bench, place: Place, people: Mapping[str, Caller]
    ) -> None:
        assert await update(db, place, people["admin"])
        await db.fetch(
            "UPDATE organization_members SET role = 'member' WHERE user_id = $1 AND role = 'admin'",
            [people["admin"].id],
        )
        with pytest.raises(NotAllowed):
            await update(db, place, people["admin"])
        await db.fetch("DELETE FROM organization_members WHERE role = 'member'", [])
        with pytest.raises(NotVisible):
            await update(db, place, people["admin"])

    async def test_a_caller_who_may_not_is_not_told_the_version(
        self, db: Bench, place: Place, people: Mapping[str, Caller]
    ) -> None:
        with pytest.raises(NotAllowed):
            await delete(db, place, people["member"], [7])
        with pytest.raises(NotVisible):
            await delete(db, place, people["outsider"], [7])


async def is_unchanged(db: Bench, place: Place) -> bool:
    """Whether the task is as it was, and alone."""
    records = await db.fetch("SELECT title, version FROM tasks WHERE organization_id = $1", [place.organization_id])
    return [tuple(record) for record in records] == [("Before", 1)]


class TestSessions:
    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    @pytest.mark.parametrize(
        "ended",
        [{"revoked_at": NOW, "revoke_reason": "logout"}, {"expires_at": NOW}],
        ids=["revoked", "expired"],
    )
    async def test_a_session_that_is_over_does_nothing(
        self,
        db: Bench,
        make: Factory,
        *,
        place: Place,
        people: Mapping[str, Caller],
        ended: dict[str, object],
        action: Action,
    ) -> None:
        ada = people["owner"]

        with pytest.raises(SessionOver):
            await action(db, place, replace(ada, session_id=await make.session(ada.id, **ended)))

        assert await is_unchanged(db, place)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_an_account_that_is_not_active_does_nothing(
        self, db: Bench, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [people["owner"].id])

        with pytest.raises(SessionOver):
            await action(db, place, people["owner"])

        assert await is_unchanged(db, place)

    @pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
    async def test_the_session_of_another_does_nothing(
        self, db: Bench, place: Place, people: Mapping[str, Caller], action: Action
    ) -> None:
        thief = replace(people["owner"], session_id=people["outsider"].session_id)

        with pytest.raises(SessionOver):
            await action(db, place, thief)

        assert await is_unchanged(db, place)

    async def test_a_session_lives_until_the_moment_it_expires(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        brief = replace(ada, session_id=await make.session(ada.id, expires_at=NOW + timedelta(microseconds=1)))

        assert (await users.find_me(db, by=brief)).id == ada.id
        with pytest.raises(SessionOver):
            await users.find_me(db, by=replace(brief, now=NOW + timedelta(microseconds=1)))


class TestVersions:
    @pytest.mark.parametrize("versions", [[1], [7, 1], MISSING])
    async def test_a_version_that_is_named_or_none_will_do(
        self, db: Bench, place: Place, people: Mapping[str, Caller], versions: Versions
    ) -> None:
        task = await tasks.update(
            db, place.task_id, AFTER, vector=write_vector(AFTER), versions=versions, by=people["owner"], roles=WRITERS
        )

        assert (json.loads(task.text)["title"], task.version) == ("After", 2)

    @pytest.mark.parametrize("versions", [[2], [], [0, 3]])
    @pytest.mark.parametrize("action", [update, set_completed, delete], ids=lambda action: action.__name__)
    async def test_another_version_is_refused_and_told(
        self, db: Bench, place: Place, *, people: Mapping[str, Caller], versions: list[int], action: Action
    ) -> None:
        with pytest.raises(Stale) as refused:
            await action(db, place, people["owner"], versions)

        assert refused.value.version == 1
        assert await is_unchanged(db, place)
