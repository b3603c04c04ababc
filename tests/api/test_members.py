"""Members: who may add, promote and remove which others, how one leaves, and that an owner stays."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from persistence.authorization import Caller
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import Factory

PEOPLE = {"owner": "owner", "other": "owner", "admin": "admin", "second": "admin", "member": "member"}


class Team:
    """A team with two owners, two admins and a member."""

    def __init__(self, api: ApiClient, root: Caller, team_id: UUID, people: Mapping[str, Caller]) -> None:
        self.api, self.root, self.id, self.people = api, root, team_id, dict(people)

    async def change(self, who: str, target: str, role: str, expect: int = 200) -> Answer:
        return await self.api.as_(self.people[who]).patch(self.path(target), {"role": role}, expect=expect)

    async def remove(self, who: str, target: str, expect: int = 204) -> Answer:
        return await self.api.as_(self.people[who]).delete(self.path(target), expect=expect)

    async def place(self, target: str, role: str = "member", expect: int = 201) -> Answer:
        """A superuser puts somebody into the team."""
        return await self.api.as_(self.root).put(self.path(target), {"role": role}, expect=expect)

    async def get(self, target: str) -> Answer:
        return await self.api.as_(self.people["owner"]).get(self.path(target))

    async def version(self) -> int:
        return int((await self.api.as_(self.people["owner"]).get(f"/organizations/{self.id}"))["version"])

    def path(self, target: str) -> str:
        return f"/organizations/{self.id}/members/{self.people[target].id}"


@pytest.fixture
async def team(api: ApiClient, make: Factory) -> Team:
    return Team(api, await make.user(is_superuser=True), *await make.organization(PEOPLE))


async def entries(db: Bench) -> list[tuple[Any, ...]]:
    found = await db.fetch(
        "SELECT action, target_id, changes FROM audit_logs WHERE outcome = 'success' ORDER BY id", []
    )
    return [tuple(record) for record in found]


class TestReading:
    async def test_members_are_listed_in_the_order_in_which_they_joined(self, team: Team, db: Bench) -> None:
        await db.fetch(
            "UPDATE organization_members SET created_at = created_at - interval '1 day' WHERE user_id = $1",
            [team.people["member"].id],
        )
        member = team.api.as_(team.people["member"])
        first = await member.get(f"/organizations/{team.id}/members", limit=4)
        rest = await member.get(f"/organizations/{team.id}/members", limit=4, cursor=first["next_cursor"])

        found = [item["user"]["id"] for item in [*first["items"], *rest["items"]]]
        assert found[0] == str(team.people["member"].id)
        assert (len(found), set(found)) == (5, {str(one.id) for one in team.people.values()})
        assert (rest["has_more"], rest["next_cursor"]) == (False, None)
        assert first["items"][0] == (await member.get(team.path("member"))).body

    async def test_the_tag_of_a_member_changes_with_the_role_and_with_the_account(self, team: Team, db: Bench) -> None:
        assert (await team.get("member")).headers["etag"] == '"1.1"'
        await db.fetch("UPDATE users SET version = 7 WHERE id = $1", [team.people["member"].id])
        assert (await team.get("member")).headers["etag"] == '"1.7"'
        await team.change("owner", "member", "admin")
        assert (await team.get("member")).headers["etag"] == '"2.7"'
        who = team.api.as_(team.people["admin"]).with_headers(If_None_Match='"2.7"')
        await who.get(team.path("member"), expect=304)

    async def test_a_tag_of_a_member_who_left_is_not_that_of_the_same_one_later(self, team: Team) -> None:
        owner, path = team.api.as_(team.people["owner"]), team.path("member")
        await team.change("owner", "member", "admin")
        seen = (await owner.get(path)).headers["etag"]
        await owner.delete(path)
        added = await team.place("member")

        assert seen == '"2.1"'
        assert (await owner.with_headers(If_None_Match=seen).get(path))["role"] == "member"
        await owner.with_headers(If_Match=seen).delete(path, expect=412)
        assert (added.headers["etag"], await team.version()) == ('"4.1"', 4)

    async def test_who_is_no_member_is_not_found(self, team: Team, make: Factory) -> None:
        ada = await make.user()
        owner = team.api.as_(team.people["owner"])

        for user_id in (ada.id, uuid4(), "none"):
            await owner.get(f"/organizations/{team.id}/members/{user_id}", expect=404)
        for path in (team.path("owner"), f"/organizations/{team.id}/members"):
            await team.api.as_(ada).get(path, expect=404)


class TestPlacing:
    @pytest.mark.parametrize("role", ["owner", "admin", "member"])
    async def test_whom_a_superuser_puts_there_is_a_member_at_once(
        self, team: Team, make: Factory, db: Bench, role: str
    ) -> None:
        team.people["ada"] = ada = await make.user(email="ada@example.com")

        placed = await team.place("ada", role)

        assert (placed["role"], placed["user"]["email"], placed.headers["etag"]) == (role, "ada@example.com", '"2.1"')
        assert placed.headers["location"] == f"/api/v1{team.path('ada')}"
        found = await team.api.as_(ada).get(f"/organizations/{team.id}")
        assert (found["member_count"], found["my_role"], found["version"]) == (6, role, 2)
        assert await entries(db) == [("organization.member_added", ada.id, ["role"])]

    async def test_what_invited_a_new_member_is_open_no_more(self, team: Team, make: Factory) -> None:
        team.people["ada"] = ada = await make.user(email="ada@example.com", email_verified=True)
        others = await make.team(owner=await make.user())
        by_id = await make.invitation(team.id, user_id=ada.id)
        by_address = await make.invitation(team.id, email="ada@example.com")
        elsewhere = await make.invitation(others, user_id=ada.id)
        stranger = await make.invitation(team.id, email="eve@example.com")

        await team.place("ada")

        asked = [one["id"] for one in (await team.api.as_(ada).get("/invitations"))["items"]]
        assert asked == [str(elsewhere)]
        path = f"/organizations/{team.id}/invitations"
        left = [one["id"] for one in (await team.api.as_(team.people["owner"]).get(path))["items"]]
        assert left == [str(stranger)], (by_id, by_address)

    async def test_nobody_else_puts_anybody_anywhere(self, team: Team, make: Factory) -> None:
        team.people["ada"] = await make.user()

        for who in ("owner", "admin", "member", "ada"):
            await team.api.as_(team.people[who]).put(team.path("ada"), {}, expect=403)
        assert await team.version() == 1

    async def test_an_unknown_or_inactive_account_or_team_is_not_found(self, team: Team, make: Factory) -> None:
        root = team.api.as_(team.root)
        gone = await make.user(is_active=False)

        for user_id in (gone.id, uuid4()):
            await root.put(f"/organizations/{team.id}/members/{user_id}", {}, expect=404)
        await root.put(f"/organizations/{uuid4()}/members/{team.root.id}", {}, expect=404)
        assert await team.version() == 1

    async def test_nobody_is_there_twice_and_a_personal_organization_has_one(self, team: Team) -> None:
        problem = await team.place("member", "admin", expect=409)
        personal = f"/organizations/{team.root.id}/members/{team.people['member'].id}"
        other = await team.api.as_(team.root).put(personal, {}, expect=409)

        assert (problem["code"], other["code"]) == ("already_member", "personal_organization")
        assert ((await team.get("member"))["role"], await team.version()) == ("member", 1)


class TestRoles:
    @pytest.mark.parametrize(
        ("who", "target", "role", "status"),
        [
            ("owner", "member", "owner", 200),
            ("owner", "other", "member", 200),
            ("admin", "member", "admin", 200),
            ("admin", "second", "member", 200),
            ("admin", "admin", "member", 200),
            ("admin", "member", "owner", 403),
            ("admin", "admin", "owner", 403),
            ("admin", "owner", "member", 403),
            ("admin", "owner", "owner", 403),
            ("member", "member", "admin", 403),
            ("member", "admin", "member", 403),
        ],
    )
    @pytest.mark.proves("ASVS 5.0 8.2.1", "Admins manage members, and only owners what concerns owners")
    async def test_who_may_make_whom_what(
        self, team: Team, db: Bench, *, who: str, target: str, role: str, status: int
    ) -> None:
        await team.change(who, target, role, status)

        done = status == 200
        assert (await team.get("member"))["version"] == (2 if done and target == "member" else 1)
        assert await team.version() == (2 if done else 1)
        expected = [("organization.member_updated", team.people[target].id, ["role"])] if done else []
        assert await entries(db) == expected

    async def test_the_same_role_changes_nothing(self, team: Team, db: Bench) -> None:
        answer = await team.change("admin", "member", "member")
        empty = await team.api.as_(team.people["admin"]).patch(team.path("member"), {})

        assert (answer.headers["etag"], empty.body, await team.version()) == ('"1.1"', answer.body, 1)
        assert await entries(db) == []

    async def test_a_stale_change_or_removal_is_refused(self, team: Team) -> None:
        stale = team.api.as_(team.people["owner"]).with_headers(If_Match='"2.1", "2", "1x"')

        for problem in (
            await stale.patch(team.path("member"), {"role": "admin"}, expect=412),
            await stale.delete(team.path("member"), expect=412),
        ):
            assert problem.headers["etag"] == '"1.1"'
        fresh = team.api.as_(team.people["owner"]).with_headers(If_Match='"1.1"')
        await fresh.patch(team.path("member"), {"role": "admin"})

    async def test_if_match_takes_the_version_of_a_list_and_of_a_tag_the_first_number(
        self, team: Team, db: Bench
    ) -> None:
        owner = team.api.as_(team.people["owner"])
        listed = await owner.get(f"/organizations/{team.id}/members")
        [member] = [one for one in listed["items"] if one["user"]["id"] == str(team.people["member"].id)]
        guarded = owner.with_headers(If_Match=f'"{member["version"]}"')
        await db.fetch("UPDATE users SET version = 7 WHERE id = $1", [team.people["member"].id])

        changed = await guarded.patch(team.path("member"), {"role": "admin"})
        await owner.with_headers(If_Match='"2.1"').patch(team.path("member"), {"role": "member"})

        assert changed.headers["etag"] == '"2.7"'
        await guarded.delete(team.path("member"), expect=412)

    async def test_who_has_left_is_still_named_as_the_author(self, team: Team) -> None:
        author = team.api.as_(team.people["admin"])
        await author.patch("/users/me", {"username": "grace", "full_name": "Grace Hopper"})
        task = await author.post("/tasks", {"title": "Stays", "organization_id": str(team.id)})
        owner = team.api.as_(team.people["owner"])

        await owner.delete(team.path("admin"))

        named = {"id": str(team.people["admin"].id), "username": "grace", "full_name": "Grace Hopper"}
        assert (await owner.get(f"/tasks/{task['id']}"))["author"] == named
        listed = await owner.get("/tasks", organization_id=str(team.id))
        found = await owner.get("/tasks/search", organization_id=str(team.id), q="stays")
        assert [page["items"][0]["author"] for page in (listed, found)] == [named, named]

    async def test_a_superuser_has_the_rights_of_an_owner(self, team: Team, make: Factory) -> None:
        root = team.api.as_(await make.user(is_superuser=True))

        await root.patch(team.path("owner"), {"role": "member"})
        await root.delete(team.path("owner"))


class TestRemoval:
    @pytest.mark.parametrize(
        ("who", "target", "status"),
        [
            ("member", "member", 204),
            ("admin", "admin", 204),
            ("admin", "second", 204),
            ("admin", "member", 204),
            ("owner", "other", 204),
            ("owner", "owner", 204),
            ("admin", "owner", 403),
            ("member", "admin", 403),
        ],
    )
    async def test_who_may_remove_whom(self, team: Team, db: Bench, who: str, target: str, status: int) -> None:
        await team.remove(who, target, status)

        rows = await db.fetch("SELECT version FROM organizations WHERE id = $1", [team.id])
        assert rows[0][0] == (2 if status == 204 else 1)
        await team.api.as_(team.people[target]).get(f"/organizations/{team.id}", expect=404 if status == 204 else 200)

    async def test_the_tasks_of_who_was_removed_stay(self, team: Team, make: Factory) -> None:
        task = await make.task(team.id, team.people["admin"])

        await team.remove("owner", "admin")

        found = await team.api.as_(team.people["owner"]).get(f"/tasks/{task}")
        assert found["user_id"] == str(team.people["admin"].id)
        await team.api.as_(team.people["admin"]).get(f"/tasks/{task}", expect=404)


class TestLastOwner:
    @pytest.mark.proves("", "The last owner of an organization neither leaves nor steps down")
    async def test_the_last_owner_stays(self, team: Team) -> None:
        await team.remove("other", "other")

        answers = [await team.remove("owner", "owner", 409), await team.change("owner", "owner", "admin", 409)]

        assert {answer["code"] for answer in answers} == {"last_owner"}
        assert (await team.get("owner"))["role"] == "owner"

    async def test_an_owner_hands_over_and_steps_down(self, team: Team) -> None:
        await team.remove("other", "other")

        await team.change("owner", "member", "owner")
        await team.change("owner", "owner", "admin")

        await team.change("owner", "member", "admin", 403)
        await team.remove("member", "owner")

    async def test_a_superuser_removes_no_last_owner_either(self, team: Team, make: Factory) -> None:
        await team.remove("other", "other")
        root = team.api.as_(await make.user(is_superuser=True))

        problem = await root.delete(team.path("owner"), expect=409)

        assert problem["code"] == "last_owner"
