"""Access tokens of programs: made by who has just signed in, shown once, and over wherever they are ended."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import access_tokens
from persistence.engine.pool import Pool
from security.access_tokens import AccessTokens
from security.keys import Keys
from server.dispatch import authentication
from server.dispatch.uses import Uses
from server.settings.settings import Settings
from tests.api.conftest import serving
from tests.api.test_sessions import Pair
from tests.api.test_trips import Counted
from tests.client import Answer, ApiClient, titles
from tests.conftest import Bench
from tests.factories import NOW, Factory, SignedIn
from tests.programs import token_for, with_token

PATH = "/access-tokens"
WANTED: dict[str, Any] = {"name": "Command line", "scopes": ["tasks:read"]}


async def make_token(api: ApiClient, who: SignedIn, *, expect: int = 201, **wanted: Any) -> Answer:
    return await api.as_(who).post(PATH, WANTED | wanted, expect=expect)


class TestMaking:
    @pytest.mark.proves("ASVS 5.0 14.3.2", "An access token of a program is shown once, and kept as a hash")
    async def test_the_token_is_shown_once_and_a_hash_is_kept(self, api: ApiClient, make: Factory, db: Bench) -> None:
        ada = await make.user()

        answer = await make_token(api, ada)

        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["location"] == f"/api/v1/access-tokens/{answer['id']}"
        shown = {name: value for name, value in answer.body.items() if name != "token"}
        assert (await api.as_(ada).get(f"{PATH}/{answer['id']}")).body == shown
        assert (await api.as_(ada).get(PATH))["items"] == [shown]
        [row] = await db.fetch("SELECT * FROM access_tokens", [])
        assert answer["token"][-86:] not in str(dict(row))

    async def test_it_ends_in_90_days_or_when_it_was_told_to(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        told: list[tuple[int, dict[str, int]]] = [
            (90, {}),
            (1, {"expires_in_days": 1}),
            (365, {"expires_in_days": 365}),
        ]
        for days, wanted in told:
            answer = await make_token(api, ada, **wanted)
            lives = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(answer["created_at"])
            assert lives == timedelta(days=days)

    @pytest.mark.parametrize(
        ("wanted", "pointer"),
        [
            ({"expires_in_days": 366}, "/expires_in_days"),
            ({"expires_in_days": 0}, "/expires_in_days"),
            ({"scopes": []}, "/scopes"),
            ({"scopes": ["tasks:everything"]}, "/scopes/0"),
            ({"name": ""}, "/name"),
            ({"token": "dkt_mine"}, "/token"),
        ],
    )
    async def test_what_makes_no_sense_is_told(
        self, api: ApiClient, make: Factory, wanted: dict[str, Any], pointer: str
    ) -> None:
        problem = await make_token(api, await make.user(), expect=422, **wanted)

        assert {fault["pointer"] for fault in problem["errors"]} == {pointer}

    @pytest.mark.proves("ASVS 5.0 7.5.1", "A stolen token of a session makes no access token")
    async def test_who_signed_in_long_ago_makes_none(
        self, api: ApiClient, make: Factory, clock: SimpleNamespace
    ) -> None:
        ada = await make.user()
        clock.now += timedelta(minutes=11)

        problem = await make_token(api, ada, expect=401)

        assert problem["code"] == "reauthentication_required"
        assert (await api.as_(ada).get(PATH))["items"] == []

    async def test_an_access_token_makes_none(self, api: ApiClient, make: Factory, settings: Settings) -> None:
        ada = await make.user(is_superuser=True)
        program = with_token(api, await token_for(make, settings, ada.id, "users:write", "admin"))

        assert (await program.post(PATH, WANTED, expect=403))["code"] == "insufficient_scope"

    async def test_only_superusers_make_one_for_what_they_may_do(self, api: ApiClient, make: Factory) -> None:
        ada, root = await make.user(), await make.user(is_superuser=True)
        scopes = ["users:read", "admin"]

        assert (await make_token(api, ada, expect=403, scopes=scopes))["code"] == "permission_denied"
        problem = await make_token(api, root, expect=403, scopes=scopes, organization_id=str(root.id))
        assert problem["code"] == "permission_denied"
        assert (await make_token(api, root, scopes=scopes))["scopes"] == scopes

    async def test_it_is_for_an_organization_of_its_owner(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        team = await make.team(owner=ada)

        assert (await make_token(api, bob, expect=404, organization_id=str(team)))["code"] == "not_found"
        assert (await make_token(api, ada, organization_id=str(team)))["organization_id"] == str(team)

    async def test_there_are_so_many_and_no_more(
        self, api: ApiClient, make: Factory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(access_tokens, "MOST", 2)
        ada = await make.user()
        await make.access_token(ada.id, expires_at=NOW)
        first = await make_token(api, ada)
        await make_token(api, ada)

        problem = await make_token(api, ada, expect=403)

        assert (problem["code"], problem["limit"]) == ("quota_exceeded", 2)
        await api.as_(ada).delete(f"{PATH}/{first['id']}")
        await make_token(api, ada)

    async def test_those_of_others_are_not_there(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        token_id = await make.access_token(bob.id)

        assert (await api.as_(ada).get(PATH))["items"] == []
        assert (await api.as_(ada).get(f"{PATH}/{token_id}", expect=404))["code"] == "not_found"
        assert (await api.as_(ada).delete(f"{PATH}/{token_id}", expect=404))["code"] == "not_found"


class TestCalling:
    async def test_a_program_works_with_the_tasks_of_its_owner(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada = await make.user()
        program = with_token(api, await token_for(make, settings, ada.id, "tasks:read", "tasks:write"))

        task = await program.post("/tasks", {"title": "Ship it"})
        await program.send("PATCH", f"/tasks/{task['id']}/complete", expect=200)

        assert titles(await program.get("/tasks", scope="all")) == ["Ship it"]
        assert (await api.as_(ada).get(f"/tasks/{task['id']}"))["completed"]

    async def test_it_has_the_role_that_its_owner_has_now(
        self, api: ApiClient, make: Factory, settings: Settings, db: Bench
    ) -> None:
        ada, team = await make.user(), await make.team()
        await make.member(team, ada.id, "admin")
        program = with_token(api, await token_for(make, settings, ada.id, "tasks:read", "tasks:write"))
        wanted = {"title": "Ship it", "organization_id": str(team)}
        await program.post("/tasks", wanted)

        await db.fetch("UPDATE organization_members SET role = 'member' WHERE organization_id = $1", [team])
        assert (await program.post("/tasks", wanted, expect=403))["code"] == "permission_denied"
        await db.fetch("DELETE FROM organization_members WHERE organization_id = $1", [team])
        assert (await program.post("/tasks", wanted, expect=404))["code"] == "not_found"

    async def test_one_for_an_organization_sees_no_other(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada = await make.user()
        team, other = await make.team(owner=ada), await make.team(owner=ada)
        mine, theirs = await make.task(ada.id, ada, title="Alone"), await make.task(other, ada, title="Elsewhere")
        here = await make.task(team, ada, title="Here")
        scopes = ["tasks:read", "tasks:write", "organizations:read", "organizations:write", "members:read"]
        program = with_token(api, await token_for(make, settings, ada.id, *scopes, organization_id=team))

        everything = await program.get("/tasks", scope="all", include_total="true")
        assert (titles(everything), everything["total_count"]) == (["Here"], 1)
        assert titles(await program.get("/tasks/search", q="here", scope="all")) == ["Here"]
        assert titles(await program.get("/tasks/search", q="elsewhere", scope="all")) == []
        assert titles(await program.get("/tasks", organization_id=str(team))) == ["Here"]
        assert [one["id"] for one in (await program.get("/organizations"))["items"]] == [str(team)]
        for path in (
            f"/tasks/{mine}",
            f"/tasks/{theirs}",
            f"/organizations/{other}",
            f"/organizations/{other}/members",
        ):
            assert (await program.get(path, expect=404))["code"] == "not_found"
        for place in (other, ada.id):
            await program.get("/tasks", organization_id=str(place), expect=404)
            await program.post("/tasks", {"title": "No", "organization_id": str(place)}, expect=404)
            await program.patch(f"/tasks/{here}", {"organization_id": str(place)}, expect=404)
        problem = await program.post("/organizations", {"name": "New", "slug": "brand-new"}, expect=403)
        assert (problem["code"], problem["detail"]) == (
            "insufficient_scope",
            "This access token is for one organization, and makes no other.",
        )
        assert titles(await program.get("/tasks", organization_id=str(team))) == ["Here"]

    async def test_one_for_an_organization_is_told_of_no_invitation(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada, bob = await make.user(), await make.user()
        team, other = await make.team(owner=ada), await make.team(owner=bob)
        await api.as_(bob).post(f"/organizations/{other}/invitations", {"user_id": str(ada.id)})
        one = with_token(api, await token_for(make, settings, ada.id, "invitations:read", organization_id=team))
        every = with_token(api, await token_for(make, settings, ada.id, "invitations:read"))

        assert (await one.get("/invitations"))["items"] == []
        assert [item["organization"]["id"] for item in (await every.get("/invitations"))["items"]] == [str(other)]

    async def test_a_superuser_without_the_scope_is_anybody(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        root, ada = await make.user(is_superuser=True), await make.user()
        team = await make.team(owner=ada)
        task, scopes = await make.task(team, ada), ("tasks:read", "users:read", "users:write")
        plain = with_token(api, await token_for(make, settings, root.id, *scopes))
        admin = with_token(api, await token_for(make, settings, root.id, *scopes, "admin"))

        await plain.get(f"/tasks/{task}", expect=404)
        await plain.get(f"/users/{ada.id}", expect=404)
        await plain.get("/users", expect=403)
        await plain.patch(f"/users/{root.id}", {"is_superuser": True}, expect=403)
        await admin.get(f"/tasks/{task}")
        await admin.get(f"/users/{ada.id}")
        await admin.get("/users")

    async def test_it_changes_no_address_of_its_owner(self, api: ApiClient, make: Factory, settings: Settings) -> None:
        ada = await make.user()
        program = with_token(api, await token_for(make, settings, ada.id, "profile:write"))

        problem = await program.patch("/users/me", {"email": "eve@example.com"}, expect=401)

        assert problem["code"] == "reauthentication_required"

    async def test_what_it_did_is_written_down_as_its_own(
        self, api: ApiClient, make: Factory, settings: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        program = with_token(api, await token_for(make, settings, ada.id, "organizations:write"))
        await program.post("/organizations", {"name": "New", "slug": "brand-new"})
        await program.get("/tasks", expect=403)

        rows = await db.fetch("SELECT * FROM audit_logs ORDER BY id", [])

        [token_id] = [row["id"] for row in await db.fetch("SELECT id FROM access_tokens", [])]
        told = [(row["action"], row["reason"], row["access_token_id"], row["session_id"]) for row in rows]
        assert told == [
            ("organization.created", None, token_id, None),
            ("access.denied", "listTasks", token_id, None),
        ]
        assert {row["actor_id"] for row in rows} == {ada.id}


class TestEnding:
    @pytest.mark.proves("ASVS 5.0 7.4.1", "An access token that was ended is refused by every server, at once")
    async def test_one_that_was_ended_is_over_on_two_instances_at_once(
        self, pair: Pair, commit: Factory, settings: Settings
    ) -> None:
        one, other = pair
        ada = await commit.user()
        for _ in range(200):
            token = await token_for(commit, settings, ada.id, "profile:read")
            program, elsewhere = with_token(one, token), with_token(other, token)
            await asyncio.gather(program.get("/auth/me"), elsewhere.get("/auth/me"))
            [live] = (await one.as_(ada).get(PATH))["items"]
            await one.as_(ada).delete(f"{PATH}/{live['id']}")
            here, there = await asyncio.gather(
                program.get("/auth/me", expect=401), elsewhere.get("/auth/me", expect=401)
            )
            assert (here["code"], there["code"]) == ("token_revoked", "token_revoked")

    async def test_it_is_over_when_its_time_is(
        self, api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace
    ) -> None:
        ada = await make.user()
        program = with_token(api, await token_for(make, settings, ada.id, "profile:read"))
        clock.now = NOW + timedelta(days=30, seconds=-1)
        await program.get("/auth/me")

        clock.now += timedelta(seconds=1)

        problem = await program.get("/auth/me", expect=401)
        assert problem["code"] == "token_revoked"
        assert problem.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
        await program.get("/tasks", expect=401)
        await program.post(PATH, WANTED, expect=401)

    async def test_another_secret_of_our_own_making_is_not_its_own(
        self, api: ApiClient, make: Factory, settings: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        token = await token_for(make, settings, ada.id, "profile:read")

        await db.fetch("UPDATE access_tokens SET secret_hash = '\\x00'", [])

        assert (await with_token(api, token).get("/auth/me", expect=401))["code"] == "token_revoked"

    async def test_it_ends_with_its_account_or_its_organization(
        self, api: ApiClient, make: Factory, settings: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        team = await make.team(owner=ada)
        one = with_token(api, await token_for(make, settings, ada.id, "profile:read", organization_id=team))
        other = with_token(api, await token_for(make, settings, ada.id, "profile:read"))
        await one.get("/auth/me")

        await api.as_(ada).delete(f"/organizations/{team}")
        await one.get("/auth/me", expect=401)
        await other.get("/auth/me")
        await api.as_(ada).delete("/users/me")

        await other.get("/auth/me", expect=401)
        assert await db.fetch("SELECT 1 FROM access_tokens", []) == []

    @pytest.mark.parametrize("how", ["deactivated", "revoked_by_superuser"])
    async def test_superusers_end_those_of_a_user(
        self, api: ApiClient, make: Factory, settings: Settings, db: Bench, how: str
    ) -> None:
        root, ada = api.as_(await make.user(is_superuser=True)), await make.user()
        program = with_token(api, await token_for(make, settings, ada.id, "profile:read"))
        await program.get("/auth/me")

        if how == "deactivated":
            await root.patch(f"/users/{ada.id}", {"is_active": False})
            await root.patch(f"/users/{ada.id}", {"is_active": True})
        else:
            await root.delete(f"/users/{ada.id}/sessions")

        await program.get("/auth/me", expect=401)
        [row] = await db.fetch("SELECT revoke_reason FROM access_tokens", [])
        assert row["revoke_reason"] == how

    async def test_the_export_tells_of_it_and_not_the_token(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada = await make.user()
        token = await token_for(make, settings, ada.id, "tasks:read", revoked_at=NOW, revoke_reason="revoked")

        export = json.loads((await api.as_(ada).get("/users/me/export")).content)

        [told] = export["access_tokens"]
        assert (told["name"], told["scopes"], told["revoke_reason"]) == ("A program", ["tasks:read"], "revoked")
        assert token[-86:] not in json.dumps(export)


class TestOver:
    """A token that is over is that at once, and does not use up what its owner may ask."""

    @pytest.mark.usefixtures("still_window")
    @pytest.mark.parametrize("end", ["revoked_at = now(), revoke_reason = 'revoked'", "expires_at = '2020-01-01'"])
    async def test_it_counts_by_address_and_costs_no_statement(
        self, settings: Settings, make: Factory, bench: Bench, db: Bench, end: str
    ) -> None:
        ada = await make.user()
        over, other = [await token_for(make, settings, ada.id, "tasks:read") for _ in range(2)]
        counted = Counted(bench)
        async with serving(settings.model_copy(update={"rate_limits_enabled": True}), counted) as api:
            await with_token(api, over).get("/tasks")
            await db.fetch(f"UPDATE access_tokens SET {end} WHERE secret_hash = $1", [sha256_of(over, settings)])  # noqa: S608
            assert (await with_token(api, over).get("/tasks", expect=401))["code"] == "token_revoked"
            counted.trips = 0

            answers = [await with_token(api, over).get("/tasks", expect=401) for _ in range(100)]
            one_more = await with_token(api, over).get("/tasks", expect=429)
            assert ({answer["code"] for answer in answers}, counted.trips) == ({"token_revoked"}, 0)
            policies = {answer.headers["ratelimit-policy"] for answer in (*answers, one_more)}
            assert policies == {'"default";q=100;w=60'}
            own = await with_token(api, other).get("/tasks")

        assert own.headers["ratelimit"].startswith('"default";r=997;')

    async def test_it_is_looked_for_again_a_minute_later(
        self, api: ApiClient, settings: Settings, make: Factory, db: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = SimpleNamespace(now=0.0)
        monkeypatch.setattr(authentication, "monotonic", lambda: seconds.now)
        ada = await make.user()
        token = await token_for(make, settings, ada.id, "tasks:read")
        await db.fetch("UPDATE users SET is_active = false WHERE id = $1", [ada.id])
        await with_token(api, token).get("/tasks", expect=401)
        await db.fetch("UPDATE users SET is_active = true WHERE id = $1", [ada.id])

        seconds.now = authentication.OVER_SECONDS - 1
        await with_token(api, token).get("/tasks", expect=401)
        seconds.now = authentication.OVER_SECONDS
        await with_token(api, token).get("/tasks")

    async def test_no_more_are_remembered_than_there_is_room_for(
        self, api: ApiClient, settings: Settings, make: Factory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "REMEMBERED", 1)
        ada = await make.user()
        first, second = [
            await token_for(make, settings, ada.id, "tasks:read", expires_at=NOW - timedelta(days=1), created_at=NOW)
            for _ in range(2)
        ]

        for token in (first, second, second, first):
            assert (await with_token(api, token).get("/tasks", expect=401))["code"] == "token_revoked"


def sha256_of(token: str, settings: Settings) -> bytes:
    """The hash by which a token is known."""
    return AccessTokens(Keys(settings.signing_key)).verify(token).secret_hash


class TestForged:
    async def test_a_forged_one_costs_no_statement_and_counts_by_address(
        self, settings: Settings, make: Factory, bench: Bench
    ) -> None:
        ada = await make.user()
        token = await token_for(make, settings, ada.id, "tasks:read")
        counted = Counted(bench)
        async with serving(settings.model_copy(update={"rate_limits_enabled": True}), counted) as api:
            right = (await with_token(api, token).get("/tasks")).headers["ratelimit-policy"]
            counted.trips = 0
            forged = with_token(api, token[:-3] + ("aaa" if token[-3:] != "aaa" else "bbb"))

            problem = await forged.get("/tasks", expect=401)

            assert (problem["code"], counted.trips) == ("invalid_token", 0)
        assert problem.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
        assert (right, problem.headers["ratelimit-policy"]) == ('"default";q=1000;w=60', '"default";q=100;w=60')

    @pytest.mark.parametrize("token", ["dkt_", "dkt_a_b", "dkt_" + "A" * 130, "DKT_x", "dkt_é", "dkt_" + "_" * 5000])
    async def test_what_only_looks_like_one_is_none(self, api: ApiClient, token: str) -> None:
        answer = await with_token(api, token).get("/tasks", expect=401)

        assert answer["code"] == "invalid_token"


class TestTrips:
    @pytest.mark.parametrize(
        ("line", "body"),
        [
            ("GET /tasks", None),
            ("GET /tasks?scope=all&include_total=true&status=open", None),
            ("GET /tasks/search?q=task", None),
            ("GET /tasks/{task_id}", None),
            ("POST /tasks", {"title": "New"}),
            ("PATCH /tasks/{task_id}", {"title": "New"}),
            ("DELETE /tasks/{task_id}", None),
            ("GET /auth/me", None),
        ],
    )
    async def test_a_program_costs_as_many_statements_as_its_owner(
        self, settings: Settings, make: Factory, bench: Bench, line: str, body: dict[str, Any] | None
    ) -> None:
        ada = await make.user()
        token = await token_for(make, settings, ada.id, "tasks:read", "tasks:write", "profile:read")
        counted = Counted(bench)
        method, path = line.split()
        async with serving(settings, counted) as api:
            costs = []
            for client in (api.as_(ada), with_token(api, token)):
                url = path.format(task_id=await make.task(ada.id, ada))
                kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
                expect = {"POST": 201, "DELETE": 204}.get(method, 200)
                counted.trips = 0
                await client.send(method, url, expect=expect, json=body, headers={"Content-Type": kind})
                costs.append(counted.trips)

        assert costs == [1, 1]


class TestLastUse:
    async def test_it_is_written_when_the_server_ends_too(
        self, settings: Settings, fresh: Pool, commit: Factory
    ) -> None:
        ada = await commit.user()
        unused = await commit.access_token(ada.id, "profile:read")
        token = await token_for(commit, settings, ada.id, "profile:read")
        async with serving(settings, fresh) as api:
            before = {one["id"]: one["last_used_at"] for one in (await api.as_(ada).get(PATH))["items"]}
            await with_token(api, token).get("/auth/me")
        async with serving(settings, fresh) as api:
            after = {one["id"]: one["last_used_at"] for one in (await api.as_(ada).get(PATH))["items"]}
            [session] = (await api.as_(ada).get("/auth/sessions"))["items"]

        assert set(before.values()) == {None}
        assert after.pop(str(unused)) is None
        [used] = after.values()
        assert datetime.now(UTC) - datetime.fromisoformat(used) < timedelta(minutes=5)
        assert datetime.fromisoformat(session["last_used_at"]) > NOW

    async def test_the_later_moment_counts_whoever_writes_it(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        token_id = await make.access_token(ada.id, last_used_at=NOW)
        uses = Uses()
        for moment in (NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)):
            uses.of_access_tokens[token_id] = moment
            uses.of_sessions[ada.session_id] = moment
            await uses.write(db)

        [row] = await db.fetch("SELECT last_used_at FROM access_tokens", [])
        [session] = await db.fetch("SELECT last_used_at FROM sessions", [])
        assert row["last_used_at"] == session["last_used_at"] == NOW + timedelta(minutes=1)

    async def test_what_could_not_be_written_is_written_next_time(self, db: Bench, make: Factory) -> None:
        ada = await make.user()
        token_id = await make.access_token(ada.id)
        uses = Uses()
        uses.of_access_tokens[token_id] = NOW
        uses.of_sessions[ada.session_id] = NOW + timedelta(minutes=1)
        await db.fetch("ALTER TABLE access_tokens RENAME TO elsewhere", [])
        await uses.write(db)
        assert uses.of_access_tokens == {token_id: NOW}

        await db.fetch("ALTER TABLE elsewhere RENAME TO access_tokens", [])
        await uses.write(db)

        [row] = await db.fetch("SELECT last_used_at FROM access_tokens", [])
        assert (row["last_used_at"], uses.of_access_tokens, uses.of_sessions) == (NOW, {}, {})
