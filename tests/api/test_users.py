"""Accounts as superusers change them and as their owners do: who sees what, who may what, and what it takes."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from persistence.authorization import Caller
from persistence.engine.pool import Pool
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, Factory

Pair = tuple[ApiClient, ApiClient]
LONG_AGO = NOW - timedelta(minutes=11)
OWN = ["/users/me", "/users/{id}"]


async def entries(db: Bench) -> list[tuple[str, str, list[str]]]:
    """Action, outcome and changes of every entry in the audit log, oldest first."""
    found = await db.fetch("SELECT action, outcome, changes FROM audit_logs ORDER BY id", [])
    return [tuple(record) for record in found]


async def old_session(make: Factory, who: Caller) -> Caller:
    """The user in a session that was begun 11 minutes ago."""
    return replace(who, session_id=await make.session(who.id, authenticated_at=LONG_AGO))


class TestSight:
    async def test_a_user_is_seen_by_himself_and_by_superusers(self, api: ApiClient, make: Factory) -> None:
        ada, root = await make.user(username="ada"), await make.user(is_superuser=True)

        seen = [await api.as_(who).get(f"/users/{ada.id}") for who in (ada, root)]
        seen.append(await api.as_(ada).get("/users/me"))

        assert [(one["id"], one["username"], one.headers["etag"]) for one in seen] == [(str(ada.id), "ada", '"1"')] * 3

    async def test_who_has_the_current_version_gets_no_body(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        known = api.as_(ada).with_headers(If_None_Match='"1"')

        await known.get("/users/me", expect=304)
        await known.get(f"/users/{ada.id}", expect=304)

    @pytest.mark.proves("ASVS 5.0 8.2.2", "Somebody else's account answers as one that does not exist")
    @pytest.mark.parametrize(("method", "body"), [("get", None), ("put", {"email": "x@example.com"}), ("patch", {})])
    async def test_somebody_elses_account_is_as_one_that_is_not_there(
        self, api: ApiClient, make: Factory, method: str, body: dict[str, Any] | None
    ) -> None:
        ada, bob = await make.user(), await make.user()
        send = getattr(api.as_(bob).with_headers(X_Request_ID="the-same"), method)
        arguments = [] if body is None else [body]

        theirs = await send(f"/users/{ada.id}", *arguments, expect=404)
        nobodys = await send(f"/users/{uuid4()}", *arguments, expect=404)

        assert theirs.content == nobodys.content

    async def test_even_a_member_that_only_superusers_change_does_not_tell_of_somebody_else(
        self, api: ApiClient, make: Factory
    ) -> None:
        ada, bob = await make.user(), await make.user()

        await api.as_(bob).patch(f"/users/{ada.id}", {"is_superuser": True}, expect=404)


class TestPatch:
    @pytest.mark.parametrize("path", OWN)
    async def test_what_is_absent_stays_and_null_clears(
        self, api: ApiClient, make: Factory, db: Bench, path: str
    ) -> None:
        ada = await make.user(email="ada@example.com", username="ada", full_name="Ada")

        changed = await api.as_(ada).patch(path.format(id=ada.id), {"username": "Countess", "full_name": None})

        assert [changed[name] for name in ("email", "username", "full_name", "version")] == [
            "ada@example.com",
            "Countess",
            None,
            2,
        ]
        assert changed.headers["etag"] == '"2"'
        assert await entries(db) == [("user.updated", "success", ["username", "full_name"])]

    @pytest.mark.parametrize("path", OWN)
    async def test_what_changes_nothing_leaves_the_version_alone(
        self, api: ApiClient, make: Factory, db: Bench, path: str
    ) -> None:
        ada = await old_session(make, await make.user(email="ada@example.com"))

        for body in ({}, {"email": "ada@example.com", "username": None}):
            assert (await api.as_(ada).patch(path.format(id=ada.id), body))["version"] == 1
        assert await entries(db) == []

    @pytest.mark.parametrize("path", OWN)
    async def test_a_condition_guards_it(self, api: ApiClient, make: Factory, path: str) -> None:
        ada = await make.user()
        url = path.format(id=ada.id)

        stale = await api.as_(ada).with_headers(If_Match='"7"').patch(url, {"username": "ada"}, expect=412)
        for tag in ('"1"', "*"):
            await api.as_(ada).with_headers(If_Match=tag).patch(url, {"full_name": tag})

        assert (stale["code"], stale.headers["etag"]) == ("precondition_failed", '"1"')

    @pytest.mark.usefixtures("patient")
    async def test_of_parallel_changes_with_one_condition_one_wins(self, pair: Pair, commit: Factory) -> None:
        ada = await commit.user()
        headers = {**pair[0].as_(ada).headers, "If-Match": '"1"', "Content-Type": "application/merge-patch+json"}

        answers = await asyncio.gather(
            *[
                pair[n % 2].http.patch("/api/v1/users/me", content=f'{{"username": "ada-{n}"}}', headers=headers)
                for n in range(6)
            ]
        )

        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 5}

    @pytest.mark.parametrize("path", OWN)
    async def test_a_name_that_another_has_is_taken_whatever_its_case(
        self, api: ApiClient, make: Factory, path: str
    ) -> None:
        ada = await make.user()
        await make.user(email="bob@example.com", username="bob")
        url = path.format(id=ada.id)

        email = await api.as_(ada).patch(url, {"email": "BOB@example.com"}, expect=409)
        username = await api.as_(ada).patch(url, {"username": "Bob"}, expect=409)

        assert (email["code"], username["code"]) == ("email_already_registered", "username_taken")

    async def test_a_name_that_another_has_cannot_replace_the_own_one(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user()
        await make.user(email="bob@example.com")

        problem = await api.as_(ada).put(f"/users/{ada.id}", {"email": "bob@example.com"}, expect=409)

        assert problem["code"] == "email_already_registered"

    @pytest.mark.proves("ASVS 5.0 15.3.3", "No user gains rights, or other ids, by members that are not theirs to set")
    @pytest.mark.parametrize("member", ["is_superuser", "is_active", "id", "version", "hashed_password", "created_at"])
    async def test_the_own_profile_takes_no_member_that_is_not_ones_own_to_set(
        self, api: ApiClient, make: Factory, member: str
    ) -> None:
        ada = await make.user()

        problem = await api.as_(ada).patch("/users/me", {member: True}, expect=422)

        assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [(f"/{member}", "unknown_field")]

    @pytest.mark.proves(
        "ASVS 5.0 8.2.3", "Who is no superuser sets neither is_active nor is_superuser, nor to what it is"
    )
    @pytest.mark.parametrize("body", [{"is_superuser": True}, {"is_active": True}, {"is_superuser": False}])
    async def test_rights_are_for_superusers_to_set(
        self, api: ApiClient, make: Factory, db: Bench, body: dict[str, bool]
    ) -> None:
        ada = await make.user()

        stale = api.as_(ada).with_headers(If_Match='"7"')
        problem = await stale.patch(f"/users/{ada.id}", body | {"username": "ada"}, expect=403)

        assert problem["code"] == "permission_denied"
        assert (await api.as_(ada).get("/users/me"))["username"] is None
        assert await entries(db) == [("access.denied", "denied", [])]


class TestReplace:
    async def test_what_is_left_out_becomes_null_and_rights_stay(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user(email="ada@example.com", username="ada", full_name="Ada", is_superuser=True)

        replaced = await api.as_(ada).put(f"/users/{ada.id}", {"email": "ada@example.com", "full_name": "Countess"})

        assert [replaced[name] for name in ("username", "full_name", "is_superuser", "is_active", "version")] == [
            None,
            "Countess",
            True,
            True,
            2,
        ]

    async def test_a_condition_guards_it(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user(email="ada@example.com")

        await (
            api.as_(ada).with_headers(If_Match='"2"').put(f"/users/{ada.id}", {"email": "ada@example.com"}, expect=412)
        )


class TestEmail:
    WAYS = (("patch", "/users/me"), ("patch", "/users/{id}"), ("put", "/users/{id}"))

    async def change(self, api: ApiClient, who: Caller, way: tuple[str, str], *, expect: int = 200) -> Answer:
        method, path = way
        answer: Answer = await getattr(api.as_(who), method)(
            path.format(id=who.id), {"email": "new@example.com"}, expect=expect
        )
        return answer

    @pytest.mark.proves("ASVS 5.0 7.5.1", "Another e-mail address of one's own needs a sign-in of the last 10 minutes")
    @pytest.mark.parametrize("way", WAYS)
    async def test_the_own_one_needs_a_recent_sign_in(
        self, api: ApiClient, make: Factory, way: tuple[str, str]
    ) -> None:
        ada = await make.user(is_superuser=True)

        problem = await self.change(api, await old_session(make, ada), way, expect=401)
        changed = await self.change(api, ada, way)

        assert problem["code"] == "reauthentication_required"
        assert 'error="insufficient_user_authentication"' in problem.headers["www-authenticate"]
        assert changed["email"] == "new@example.com"

    @pytest.mark.proves("ASVS 5.0 7.4.3", "Another e-mail address ends the other sessions of its account")
    @pytest.mark.parametrize("way", WAYS)
    async def test_it_ends_the_other_sessions(self, api: ApiClient, make: Factory, way: tuple[str, str]) -> None:
        ada = await make.user()
        phone = replace(ada, session_id=await make.session(ada.id))

        await self.change(api, ada, way)

        await api.as_(ada).get("/users/me")
        await api.as_(phone).get("/users/me", expect=401)

    async def test_a_superuser_changes_anothers_at_any_time_and_ends_all_sessions_of_it(
        self, api: ApiClient, make: Factory
    ) -> None:
        ada, root = await make.user(), await old_session(make, await make.user(is_superuser=True))

        await api.as_(root).patch(f"/users/{ada.id}", {"email": "new@example.com"})

        await api.as_(root).get("/users/me")
        await api.as_(ada).get("/users/me", expect=401)


class TestRights:
    async def test_a_superuser_gives_and_takes_the_rights_of_others(
        self, api: ApiClient, make: Factory, db: Bench
    ) -> None:
        ada, root = await make.user(), await make.user(is_superuser=True)
        url = f"/users/{ada.id}"

        given = await api.as_(root).patch(url, {"is_superuser": True})
        taken = await api.as_(root).patch(url, {"is_superuser": False})

        assert (given["is_superuser"], taken["is_superuser"]) == (True, False)
        assert await entries(db) == [("user.updated", "success", ["is_superuser"])] * 2

    @pytest.mark.proves("ASVS 5.0 7.4.2", "Deactivation ends the sessions of the account for good")
    async def test_deactivation_ends_sessions_for_good(self, api: ApiClient, make: Factory) -> None:
        ada, root = await make.user(), await make.user(is_superuser=True)

        await api.as_(root).patch(f"/users/{ada.id}", {"is_active": False})
        await api.as_(ada).get("/users/me", expect=401)
        await api.as_(root).patch(f"/users/{ada.id}", {"is_active": True})

        await api.as_(ada).get("/users/me", expect=401)

    async def test_nobody_deactivates_himself(self, api: ApiClient, make: Factory) -> None:
        root, _ = await make.user(is_superuser=True), await make.user(is_superuser=True)

        problem = await api.as_(root).patch(f"/users/{root.id}", {"is_active": False}, expect=409)

        assert problem["code"] == "self_action_forbidden"

    async def test_the_last_active_superuser_stays_one(self, api: ApiClient, make: Factory) -> None:
        root = await make.user(is_superuser=True)
        await make.user(is_superuser=True, is_active=False)

        problem = await api.as_(root).patch(f"/users/{root.id}", {"is_superuser": False}, expect=409)

        assert problem["code"] == "last_superuser"

    @pytest.mark.usefixtures("patient")
    @pytest.mark.proves(
        "ASVS 5.0 15.4.2", "However many superusers demote one another or themselves at once, one remains"
    )
    @pytest.mark.parametrize("of", ["each other", "oneself"])
    async def test_of_parallel_demotions_one_superuser_remains(
        self, pair: Pair, commit: Factory, fresh: Pool, of: str
    ) -> None:
        for _ in range(10):
            await fresh.fetch("UPDATE users SET is_superuser = false", [])
            two = [await commit.user(is_superuser=True) for _ in range(2)]
            targets = two if of == "oneself" else two[::-1]

            answers = await asyncio.gather(
                *[
                    api.http.patch(
                        f"/api/v1/users/{target.id}",
                        content=b'{"is_superuser": false}',
                        headers={**api.as_(who).headers, "Content-Type": "application/merge-patch+json"},
                    )
                    for api, who, target in zip(pair, two, targets, strict=True)
                ]
            )

            [left] = await fresh.fetch("SELECT count(*) FROM users WHERE is_superuser AND is_active", [])
            assert left[0] == 1
            assert sorted(answer.status_code for answer in answers) == [200, 404 if of == "each other" else 409]
