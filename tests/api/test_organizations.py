"""Organizations: who has which, what can be changed of them, and what of personal ones cannot."""

from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory

TEAM = {"name": "Analytical Engines", "slug": "analytical-engines"}


async def entries(db: Bench) -> list[tuple[Any, ...]]:
    """Action, organization, kind of target and changed members of what was done, oldest first."""
    found = await db.fetch(
        "SELECT action, organization_id, target_type, changes FROM audit_logs WHERE outcome = 'success' ORDER BY id", []
    )
    return [tuple(record) for record in found]


class TestCreation:
    async def test_who_creates_a_team_owns_it(self, api: ApiClient, make: Factory, db: Bench) -> None:
        ada = await make.user()

        team = await api.as_(ada).post("/organizations", TEAM)

        assert team.headers["location"] == f"/api/v1/organizations/{team['id']}"
        assert team.headers["etag"] == '"1"'
        assert {name: team[name] for name in ("kind", "description", "member_count", "my_role", "version")} == {
            "kind": "team",
            "description": None,
            "member_count": 1,
            "my_role": "owner",
            "version": 1,
        }
        assert (await api.as_(ada).get(f"/organizations/{team['id']}")).body == team.body
        [(action, where, kind, changes)] = await entries(db)
        assert (action, str(where), kind, changes) == ("organization.created", team["id"], "organization", [])

    async def test_a_slug_is_taken_once(self, api: ApiClient, make: Factory, db: Bench) -> None:
        await api.as_(await make.user()).post("/organizations", TEAM)

        problem = await api.as_(await make.user()).post("/organizations", TEAM | {"name": "Others"}, expect=409)

        assert problem["code"] == "slug_taken"
        assert len(await entries(db)) == 1

    @pytest.mark.parametrize("slug", ["a", "-a", "A-b", "a_b", "a" * 64, "\u00e4b", "a b", ""])
    async def test_a_slug_fits_into_an_address(self, api: ApiClient, make: Factory, slug: str) -> None:
        problem = await api.as_(await make.user()).post("/organizations", TEAM | {"slug": slug}, expect=422)

        assert [fault["pointer"] for fault in problem["errors"]] == ["/slug"] * len(problem["errors"])


class TestLists:
    async def test_one_lists_what_one_is_a_member_of_by_name(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user(is_superuser=True)
        theirs = [await make.team(owner=bob, member=ada), await make.team(owner=ada)]
        await make.team(owner=bob)

        page = await api.as_(ada).get("/organizations")

        found = {item["id"]: (item["my_role"], item["member_count"]) for item in page["items"]}
        assert found == {str(ada.id): ("owner", 1), str(theirs[0]): ("member", 2), str(theirs[1]): ("owner", 1)}
        assert all(one["name"] <= other["name"] for one, other in pairwise(page["items"]))

    async def test_pages_follow_to_the_end(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        teams = {str(await make.team(owner=ada)) for _ in range(4)} | {str(ada.id)}
        found: list[str] = []
        path: dict[str, Any] = {"limit": 2}
        while path:
            page = await api.as_(ada).get("/organizations", **path)
            found += [item["id"] for item in page["items"]]
            path = {"limit": 2, "cursor": page["next_cursor"]} if page["has_more"] else {}

        assert (len(found), set(found)) == (5, teams)

    @pytest.mark.parametrize("character", ["\u2003", '"', "\U0001f600"])
    async def test_the_longest_names_have_a_page_after_them(
        self, api: ApiClient, make: Factory, character: str
    ) -> None:
        ada = api.as_(await make.user())
        for number in range(2):
            await ada.post("/organizations", {"name": f"A{character * 253}Z", "slug": f"team-{number}"})

        first = await ada.get("/organizations", limit=1)
        second = await ada.get("/organizations", limit=1, cursor=first["next_cursor"])

        assert {page["items"][0]["slug"] for page in (first, second)} == {"team-0", "team-1"}


class TestReading:
    async def test_a_superuser_reads_a_team_without_a_role_of_his_own(self, api: ApiClient, make: Factory) -> None:
        team = await make.team(owner=await make.user())

        found = await api.as_(await make.user(is_superuser=True)).get(f"/organizations/{team}")

        assert (found["my_role"], found["member_count"]) == (None, 1)

    async def test_it_is_sent_once_while_it_stays_the_same(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        team = await make.team(owner=ada)

        await api.as_(ada).with_headers(If_None_Match='"1"').get(f"/organizations/{team}", expect=304)

    @pytest.mark.proves(
        "ASVS 5.0 8.2.2", "Personal organizations are there for their user alone, not even for superusers"
    )
    @pytest.mark.parametrize("superuser", [False, True])
    async def test_a_personal_one_is_there_for_nobody_else(
        self, api: ApiClient, make: Factory, *, superuser: bool
    ) -> None:
        ada, other = await make.user(), api.as_(await make.user(is_superuser=superuser))

        for path in (f"/organizations/{ada.id}", f"/organizations/{ada.id}/members", f"/organizations/{uuid4()}"):
            await other.get(path, expect=404)
        await other.patch(f"/organizations/{ada.id}", {"name": "Mine"}, expect=404)
        await other.delete(f"/organizations/{ada.id}", expect=404)


class TestChanges:
    async def test_an_owner_changes_what_is_said_and_nothing_else(
        self, api: ApiClient, make: Factory, db: Bench
    ) -> None:
        ada = await make.user()
        path = f"/organizations/{await make.team(owner=ada)}"
        before = await api.as_(ada).get(path)

        after = await api.as_(ada).patch(path, {"description": "Everything", "name": before["name"]})

        assert after.headers["etag"] == '"2"'
        assert after["updated_at"] > NOW.isoformat()
        same = {"version": 1, "description": None, "updated_at": before["updated_at"]}
        assert after.body | same == before.body
        assert (await entries(db))[0][3] == ["description"]

    @pytest.mark.parametrize("patch", [{}, {"description": None}, {"name": "Team"}])
    async def test_what_changes_nothing_leaves_the_version_alone(
        self, api: ApiClient, make: Factory, db: Bench, patch: dict[str, Any]
    ) -> None:
        ada = await make.user()

        answer = await api.as_(ada).patch(f"/organizations/{await make.team(owner=ada)}", patch)

        assert (answer["version"], answer.headers["etag"], await entries(db)) == (1, '"1"', [])

    async def test_a_slug_that_another_has_is_refused(self, api: ApiClient, make: Factory) -> None:
        ada = api.as_(await make.user())
        await ada.post("/organizations", TEAM)
        other = await ada.post("/organizations", TEAM | {"slug": "other"})

        problem = await ada.patch(f"/organizations/{other['id']}", {"slug": TEAM["slug"]}, expect=409)

        assert problem["code"] == "slug_taken"

    @pytest.mark.parametrize("who", ["admin", "member"])
    async def test_nobody_but_an_owner_changes_or_deletes_it(self, api: ApiClient, make: Factory, who: str) -> None:
        team, people = await make.organization({"ada": "owner", "bob": who})
        bob = api.as_(people["bob"])

        await bob.patch(f"/organizations/{team}", {"name": "Mine"}, expect=403)
        await bob.delete(f"/organizations/{team}", expect=403)

        assert (await bob.get(f"/organizations/{team}"))["version"] == 1

    async def test_a_stale_change_or_deletion_is_refused(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        path = f"/organizations/{await make.team(owner=ada)}"
        stale = api.as_(ada).with_headers(If_Match='"2"')

        for problem in (await stale.patch(path, {"name": "New"}, expect=412), await stale.delete(path, expect=412)):
            assert problem.headers["etag"] == '"1"'
        await api.as_(ada).with_headers(If_Match='"1"').delete(path)

    async def test_a_deleted_team_is_gone_with_its_tasks(self, api: ApiClient, make: Factory, db: Bench) -> None:
        ada = await make.user()
        team = await make.team(owner=ada)
        task = await make.task(team, ada)

        await api.as_(ada).delete(f"/organizations/{team}")

        await api.as_(ada).get(f"/tasks/{task}", expect=404)
        await api.as_(ada).delete(f"/organizations/{team}", expect=404)
        assert await db.fetch("SELECT FROM tasks", []) == []
        assert [entry[0] for entry in await entries(db)] == ["organization.deleted"]


class TestPersonal:
    async def test_of_a_personal_one_the_name_can_be_changed(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()

        after = await api.as_(ada).patch(f"/organizations/{ada.id}", {"name": "Home"})

        assert (after["name"], after["slug"], after["kind"], after["version"]) == ("Home", None, "personal", 2)

    async def test_nothing_else_can(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(email="ada@example.com"), await make.user(email="bob@example.com")
        me, home = api.as_(ada), f"/organizations/{ada.id}"

        answers = [
            await me.patch(home, {"slug": "home"}, expect=409),
            await me.patch(home, {"description": None}, expect=409),
            await me.delete(home, expect=409),
            await me.post(f"{home}/invitations", {"email": "bob@example.com"}, expect=409),
            await me.patch(f"{home}/members/{ada.id}", {"role": "member"}, expect=409),
            await me.delete(f"{home}/members/{ada.id}", expect=409),
        ]

        assert {answer["code"] for answer in answers} == {"personal_organization"}
        await me.delete(f"{home}/members/{bob.id}", expect=404)
