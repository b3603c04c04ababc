"""Sessions: refreshed by rotation, listed, and over at once wherever they are ended."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from persistence.engine.pool import Pool
from server.settings.settings import Settings
from tests.api.conftest import refresh_token, serving
from tests.client import METADATA, Answer, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory, SignedIn

Pair = tuple[ApiClient, ApiClient]
NEW_PASSWORD = "a heron counts the tram stops"


async def refresh(api: ApiClient, token: str, *, expect: int = 200) -> Answer:
    return await api.post("/auth/refresh", {"refresh_token": token}, expect=expect)


class TestRefresh:
    @pytest.mark.proves("ASVS 5.0 14.3.2", "An answer that carries tokens may not be kept by any cache")
    async def test_it_answers_the_next_tokens_of_the_session(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada = await make.user()

        tokens = await refresh(api, refresh_token(settings, ada))

        me = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        assert (await me.get("/auth/me"))["id"] == str(ada.id)
        assert (tokens["session_id"], tokens["expires_in"]) == (str(ada.session_id), 900)
        assert (tokens.headers["cache-control"], "set-cookie" in tokens.headers) == ("no-store", False)
        assert tokens["user"] == (await me.get("/auth/me")).body
        await refresh(api, tokens["refresh_token"])

    @pytest.mark.proves("", "A refresh sent again within 10 seconds gets the same bytes")
    async def test_a_token_sent_again_within_10_seconds_gets_the_same_bytes(
        self, api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace
    ) -> None:
        ada = await make.user()
        first = refresh_token(settings, ada)
        second = await refresh(api, first)

        for _ in range(3):
            assert (await refresh(api, first))["refresh_token"] == second["refresh_token"]
            clock.now += timedelta(seconds=5)

    @pytest.mark.proves("RFC 9700 4.14.2", "A refresh token sent again after 10 seconds ends its session")
    async def test_a_token_sent_again_after_10_seconds_ends_the_session(
        self, api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace
    ) -> None:
        ada = await make.user()
        first = refresh_token(settings, ada)
        second = await refresh(api, first)
        clock.now += timedelta(seconds=10, microseconds=1)

        reused = await refresh(api, first, expect=401)

        assert (reused["code"], reused.headers["www-authenticate"]) == (
            "refresh_token_reused",
            f'Bearer error="invalid_token", {METADATA}',
        )
        assert (await refresh(api, second["refresh_token"], expect=401))["code"] == "invalid_refresh_token"
        assert (await api.as_(ada).get("/auth/me", expect=401))["code"] == "token_revoked"

    async def test_of_three_tabs_all_get_the_current_token(
        self, api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace
    ) -> None:
        first = refresh_token(settings, await make.user())
        second = (await refresh(api, first))["refresh_token"]
        clock.now += timedelta(seconds=9)
        third = (await refresh(api, second))["refresh_token"]
        clock.now += timedelta(seconds=1)

        answers = [(await refresh(api, token))["refresh_token"] for token in (first, second)]

        assert answers == [third, third]
        clock.now += timedelta(microseconds=1)
        assert (await refresh(api, first, expect=401))["code"] == "refresh_token_reused"

    @pytest.mark.proves("ASVS 5.0 10.4.5", "Any older refresh token ends its session on every instance")
    async def test_an_ancestor_ends_the_session_for_good_on_every_instance(
        self, pair: Pair, commit: Factory, settings: Settings, fresh: Pool
    ) -> None:
        one, other = pair
        ada = await commit.user()
        first = refresh_token(settings, ada)
        second = await refresh(one, first)
        third = await refresh(one, (await refresh(one, second["refresh_token"]))["refresh_token"])

        reused = await refresh(one, first, expect=401)

        [record] = await fresh.fetch("SELECT revoke_reason FROM sessions WHERE id = $1", [ada.session_id])
        assert (reused["code"], record["revoke_reason"]) == ("refresh_token_reused", "refresh_reuse")
        await refresh(other, third["refresh_token"], expect=401)

    @pytest.mark.proves("ASVS 5.0 7.3.2, ASVS 5.0 10.4.8", "No refresh prolongs a session beyond its end")
    async def test_the_session_ends_when_it_did_at_login(
        self, api: ApiClient, make: Factory, *, settings: Settings, db: Bench, clock: SimpleNamespace
    ) -> None:
        ada, end = await make.user(), clock.now + timedelta(hours=1)
        await db.fetch("UPDATE sessions SET expires_at = $2 WHERE id = $1", [ada.session_id, end])

        tokens = await refresh(api, refresh_token(settings, ada))

        [after] = await db.fetch("SELECT expires_at FROM sessions WHERE id = $1", [ada.session_id])
        assert (after["expires_at"], tokens["refresh_expires_in"]) == (end, 3600)
        clock.now = end
        assert (await refresh(api, tokens["refresh_token"], expect=401))["code"] == "invalid_refresh_token"

    async def test_a_refresh_token_lives_for_7_days_and_its_session_goes_on(
        self, api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace, db: Bench
    ) -> None:
        ada = await make.user()
        await db.fetch("UPDATE sessions SET expires_at = $2 WHERE id = $1", [ada.session_id, NOW + timedelta(days=90)])
        token = refresh_token(settings, ada)
        for _ in range(10):
            clock.now += timedelta(days=7, hours=-1)
            tokens = await refresh(api, token)
            token = tokens["refresh_token"]
            assert tokens["refresh_expires_in"] == timedelta(days=7).total_seconds()

        clock.now += timedelta(days=7)

        assert (await refresh(api, token, expect=401))["code"] == "invalid_refresh_token"

    @pytest.mark.proves("ASVS 5.0 7.3.1", "A session that is not used ends, sooner where the operator says so")
    async def test_a_session_that_rested_for_too_long_is_over(
        self, settings: Settings, make: Factory, clock: SimpleNamespace, db: Bench
    ) -> None:
        ada, bob = await make.user(), await make.user()
        strict = settings.model_copy(update={"session_idle_days": 1})
        clock.now = NOW + timedelta(days=1, seconds=1)
        await db.fetch("UPDATE sessions SET last_used_at = $2 WHERE id = $1", [bob.session_id, clock.now])
        async with serving(strict, db) as api:
            assert (await refresh(api, refresh_token(settings, ada), expect=401))["code"] == "invalid_refresh_token"
            await refresh(api, refresh_token(settings, bob))

    async def test_an_access_token_lives_no_longer_than_its_session(
        self, api: ApiClient, make: Factory, *, settings: Settings, db: Bench, clock: SimpleNamespace
    ) -> None:
        ada, end = await make.user(), clock.now + timedelta(minutes=5)
        await db.fetch("UPDATE sessions SET expires_at = $2 WHERE id = $1", [ada.session_id, end])

        tokens = await refresh(api, refresh_token(settings, ada))

        assert tokens["expires_in"] == tokens["refresh_expires_in"] == 300

    @pytest.mark.usefixtures("patient")
    async def test_20_at_once_are_one_lineage(self, pair: Pair, commit: Factory, settings: Settings) -> None:
        ada = await commit.user()
        token = refresh_token(settings, ada)

        answers = await asyncio.gather(*[refresh(pair[n % 2], token) for n in range(20)])

        assert len({answer["refresh_token"] for answer in answers}) == 1
        await refresh(pair[0], answers[0]["refresh_token"])

    @pytest.mark.parametrize("body", [{"refresh_token": "rubbish"}, {}])
    async def test_what_is_no_refresh_token_is_refused(self, api: ApiClient, body: dict[str, str]) -> None:
        assert (await api.post("/auth/refresh", body, expect=401))["code"] == "invalid_refresh_token"

    async def test_nothing_at_all_is_no_refresh_token(self, api: ApiClient) -> None:
        assert (await api.send("POST", "/auth/refresh", expect=401))["code"] == "invalid_refresh_token"

    @pytest.mark.parametrize("body", [{"refresh_token": "rubbish"}, {}])
    async def test_who_only_asks_whether_there_is_a_session_is_not_refused(
        self, api: ApiClient, make: Factory, settings: Settings, body: dict[str, str]
    ) -> None:
        ada = await make.user()
        live = {"refresh_token": refresh_token(settings, ada), "optional": True}

        none = await api.post("/auth/refresh", {**body, "optional": True}, expect=204)
        await api.post("/auth/refresh", {**body, "optional": False}, expect=401)

        assert "set-cookie" not in none.headers
        assert (await api.post("/auth/refresh", live, expect=200))["user"]["id"] == str(ada.id)

    @pytest.mark.proves("ASVS 5.0 9.2.2", "An access token refreshes nothing")
    async def test_neither_an_access_token_nor_somebody_elses_session_is_refreshed(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada, bob = await make.user(), await make.user()

        await refresh(api, api.sign(ada), expect=401)
        await refresh(api, refresh_token(settings, replace(ada, session_id=bob.session_id)), expect=401)
        await refresh(api, refresh_token(settings, bob))

    async def test_an_expired_access_token_beside_it_does_not_matter(
        self, api: ApiClient, make: Factory, settings: Settings
    ) -> None:
        ada = await make.user()

        await refresh(api.with_headers(Authorization="Bearer rubbish"), refresh_token(settings, ada))


class TestEndings:
    """What ends a session on one instance is known to the other with the next request."""

    async def over(self, api: ApiClient, settings: Settings, caller: SignedIn) -> bool:
        """Whether neither token of the session opens anything. Fails when only one does."""
        answer = await api.as_(caller).http.get("/api/v1/auth/me", headers=api.as_(caller).headers)
        await refresh(api, refresh_token(settings, caller), expect=401 if answer.status_code == 401 else 200)
        return answer.status_code == 401

    @pytest.mark.proves("ASVS 5.0 7.4.1", "A logout acts on the very next request, on every instance")
    async def test_logout_ends_this_session(self, pair: Pair, commit: Factory, settings: Settings) -> None:
        ada = await commit.user()
        phone = replace(ada, session_id=await commit.session(ada.id))

        await pair[0].as_(ada).send("POST", "/auth/logout", expect=204)

        assert [await self.over(pair[1], settings, each) for each in (ada, phone)] == [True, False]

    @pytest.mark.proves("ASVS 5.0 7.4.1", "A logout everywhere ends all sessions of the account and no others")
    async def test_logout_all_ends_every_one(self, pair: Pair, commit: Factory, settings: Settings) -> None:
        ada, bob = await commit.user(), await commit.user()
        phone = replace(ada, session_id=await commit.session(ada.id))

        await pair[0].as_(ada).send("POST", "/auth/logout-all", expect=204)

        assert [await self.over(pair[1], settings, each) for each in (ada, phone, bob)] == [True, True, False]

    async def test_a_session_of_ones_own_can_be_ended_by_its_id_once(
        self, pair: Pair, commit: Factory, settings: Settings
    ) -> None:
        ada = await commit.user()
        phone = replace(ada, session_id=await commit.session(ada.id))

        await pair[0].as_(ada).delete(f"/auth/sessions/{phone.session_id}")

        assert [await self.over(pair[1], settings, each) for each in (ada, phone)] == [False, True]
        await pair[1].as_(ada).delete(f"/auth/sessions/{phone.session_id}", expect=404)

    @pytest.mark.proves("ASVS 5.0 8.2.2", "No user can end a session of another")
    async def test_somebody_elses_session_is_not_there(self, api: ApiClient, make: Factory, settings: Settings) -> None:
        ada, bob = await make.user(is_superuser=True), await make.user()

        await api.as_(ada).delete(f"/auth/sessions/{bob.session_id}", expect=404)
        await api.as_(ada).delete(f"/auth/sessions/{uuid4()}", expect=404)

        assert not await self.over(api, settings, bob)

    @pytest.mark.proves("ASVS 5.0 7.4.3", "A password change ends every other session of the account")
    async def test_a_password_change_ends_the_others(self, pair: Pair, commit: Factory, settings: Settings) -> None:
        ada = await commit.user()
        phone = replace(ada, session_id=await commit.session(ada.id))
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}

        await pair[0].as_(ada).put("/users/me/password", body, expect=204)

        assert [await self.over(pair[1], settings, each) for each in (ada, phone)] == [False, True]

    @pytest.mark.proves("ASVS 5.0 7.4.2", "Deactivating an account ends all its sessions at once")
    async def test_deactivation_ends_every_one(
        self, pair: Pair, commit: Factory, settings: Settings, fresh: Pool
    ) -> None:
        ada = await commit.user()

        await fresh.fetch("UPDATE users SET is_active = false WHERE id = $1", [ada.id])

        assert await self.over(pair[1], settings, ada)

    @pytest.mark.usefixtures("patient")
    async def test_of_two_logouts_at_once_one_is_told_that_the_session_is_over(
        self, pair: Pair, commit: Factory
    ) -> None:
        for path, second in (("logout", 204), ("logout-all", 401)) * 5:
            ada = await commit.user()
            url, headers = f"/api/v1/auth/{path}", pair[0].as_(ada).headers

            answers = await asyncio.gather(*[each.http.post(url, headers=headers) for each in pair])

            assert Counter(answer.status_code for answer in answers) == Counter([204, second])


class TestList:
    async def test_it_has_the_live_sessions_newest_first_and_marks_this_one(
        self, api: ApiClient, make: Factory
    ) -> None:
        ada, bob = await make.user(), await make.user()
        phone = await make.session(ada.id, created_at=NOW + timedelta(seconds=1), device_name="Phone", user_agent="x")
        await make.session(ada.id, revoked_at=NOW, revoke_reason="logout")
        await make.session(ada.id, expires_at=NOW - timedelta(seconds=1))

        page = await api.as_(ada).get("/auth/sessions")

        assert [(one["id"], one["is_current"]) for one in page["items"]] == [
            (str(phone), False),
            (str(ada.session_id), True),
        ]
        assert (page["items"][0]["device_name"], page["items"][0]["user_agent"]) == ("Phone", "x")
        assert (page["next_cursor"], page["has_more"], len((await api.as_(bob).get("/auth/sessions"))["items"])) == (
            None,
            False,
            1,
        )

    async def test_it_is_paged_by_cursors_that_are_ones_own(self, api: ApiClient, make: Factory) -> None:
        ada, bob = await make.user(), await make.user()
        wanted = {str(await make.session(ada.id)) for _ in range(4)} | {str(ada.session_id)}

        found: list[str] = []
        parameters: dict[str, Any] = {"limit": 2}
        while True:
            page = await api.as_(ada).get("/auth/sessions", **parameters)
            found += [one["id"] for one in page["items"]]
            if not page["has_more"]:
                break
            parameters["cursor"] = page["next_cursor"]

        assert (len(found), set(found)) == (5, wanted)
        assert (await api.as_(bob).get("/auth/sessions", expect=400, **parameters))["code"] == "invalid_cursor"


async def sign_in(api: ApiClient, email: str) -> Answer:
    return await api.post("/auth/login", {"email": email, "password": PASSWORD}, expect=200)


class TestNumber:
    @pytest.mark.proves("", "The number of sessions is bounded; the one unused longest goes")
    async def test_the_session_that_was_unused_longest_goes(self, settings: Settings, db: Bench, make: Factory) -> None:
        ada = await make.user(email="ada@example.com")
        used = {seconds: NOW - timedelta(seconds=seconds) for seconds in (30, 20, 10)}
        made = {ago: await make.session(ada.id, last_used_at=moment) for ago, moment in used.items()}
        async with serving(settings.model_copy(update={"sessions_per_user": 3}), db) as api:
            tokens = await sign_in(api, "ada@example.com")
            me = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")

            listed = {one["id"] for one in (await me.get("/auth/sessions"))["items"]}

        assert listed == {tokens["session_id"], str(ada.session_id), str(made[10])}

    @pytest.mark.alone
    async def test_10_000_sessions_stay_fast(self, api: ApiClient, make: Factory, db: Bench) -> None:
        ada = await make.user(email="ada@example.com")
        await db.fetch(
            "INSERT INTO sessions (id, user_id, rotated_at, authenticated_at, created_at, last_used_at, expires_at)"
            " SELECT gen_random_uuid(), $1, now(), now(), now(), now() - '1 h'::interval, now() + '1 d'::interval"
            " FROM generate_series(1, 10000)",
            [ada.id],
        )
        began = time.monotonic()
        listed = await api.as_(ada).get("/auth/sessions")
        took = time.monotonic() - began

        await sign_in(api, "ada@example.com")

        [live] = await db.fetch("SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL", [ada.id])
        assert (live[0], len(listed["items"]), took < 1) == (100, 50, True)
        assert datetime.fromisoformat(listed["items"][0]["created_at"]) <= datetime.now(NOW.tzinfo)
