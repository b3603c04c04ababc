"""A recent sign-in: what asks for one, and how the owner of a session proves to be there again."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.accounts.own_password import Proved, prove_password
from tests.client import METADATA, Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory, SignedIn

NEW_PASSWORD = "a heron counts the tram stops"
ASKED: dict[str, tuple[str, str, dict[str, Any] | None, int]] = {
    "createAccessToken": ("POST", "/access-tokens", {"name": "Mine", "scopes": ["tasks:read"]}, 201),
    "revokeSession": ("DELETE", "/auth/sessions/{other}", None, 204),
    "revokeUserSessions": ("DELETE", "/users/{bob}/sessions", None, 204),
    "logoutAll": ("POST", "/auth/logout-all", None, 204),
    "updateMyProfile": ("PATCH", "/users/me", {"email": "another@example.com"}, 200),
    "updateUser": ("PATCH", "/users/{ada}", {"username": "another"}, 200),
    "changeMyPassword": (
        "PUT",
        "/users/me/password",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        204,
    ),
    "deleteMyAccount": ("DELETE", "/users/me", None, 204),
}


async def reauthenticate(api: ApiClient, password: str = PASSWORD, *, expect: int = 204) -> Answer:
    return await api.post("/auth/reauthenticate", {"password": password}, expect=expect)


@pytest.mark.proves("ASVS 5.0 7.5.1, ASVS 5.0 7.5.2", "What does lasting harm wants a sign-in of the last 10 minutes")
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_a_stolen_token_of_15_minutes_does_no_lasting_harm(
    api: ApiClient, make: Factory, clock: SimpleNamespace, asked: tuple[str, str, dict[str, Any] | None, int]
) -> None:
    ada, bob, _ = await make.user(is_superuser=True), await make.user(), await make.user(is_superuser=True)
    method, path, body, done = asked
    url = path.format(ada=ada.id, bob=bob.id, other=await make.session(ada.id))
    mine = api.as_(ada)
    clock.now += timedelta(minutes=11)

    problem = await mine.send(method, url, expect=401, json=body)

    assert problem["code"] == "reauthentication_required"
    assert problem.headers["www-authenticate"].endswith(f"max_age=600, {METADATA}")
    await reauthenticate(mine)
    await mine.send(method, url, expect=done, json=body)


async def test_it_is_recent_for_ten_minutes(api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
    ada = api.as_(await make.user())
    body = ASKED["createAccessToken"][2]
    clock.now += timedelta(hours=1)
    await reauthenticate(ada)
    clock.now += timedelta(minutes=10)
    await ada.post("/access-tokens", body)

    clock.now += timedelta(seconds=1)

    await ada.post("/access-tokens", body, expect=401)


async def test_the_own_session_ends_without(api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
    ada = await make.user()
    clock.now += timedelta(minutes=11)

    await api.as_(ada).delete(f"/auth/sessions/{ada.session_id}")

    await api.as_(ada).get("/auth/me", expect=401)


async def test_another_session_of_the_account_is_not_renewed(
    api: ApiClient, make: Factory, clock: SimpleNamespace
) -> None:
    ada = await make.user()
    phone = SignedIn(ada.id, await make.session(ada.id), ada.now)
    clock.now += timedelta(minutes=11)

    await reauthenticate(api.as_(ada))

    await api.as_(phone).post("/access-tokens", ASKED["createAccessToken"][2], expect=401)


@pytest.mark.proves("ASVS 5.0 6.3.1", "Wrong passwords count alike, whether at sign-in or within a session")
async def test_wrong_passwords_count_as_at_sign_in(
    api: ApiClient, make: Factory, clock: SimpleNamespace, db: Bench
) -> None:
    ada = api.as_(await make.user(email="ada@example.com"))
    clock.now += timedelta(minutes=11)
    for _ in range(5):
        assert (await reauthenticate(ada, "wrong", expect=403))["code"] == "wrong_password"

    assert (await reauthenticate(ada, expect=429))["code"] == "account_locked"

    sign_in = {"email": "ada@example.com", "password": PASSWORD}
    assert (await api.post("/auth/login", sign_in, expect=429))["code"] == "account_locked"
    await ada.post("/access-tokens", ASKED["createAccessToken"][2], expect=401)
    told = [(row["action"], row["outcome"], row["reason"]) for row in await db.fetch("SELECT * FROM audit_logs", [])]
    assert told.count(("auth.reauthenticated", "failure", "wrong_password")) == 5


async def test_a_password_that_changed_meanwhile_renews_nothing(
    api: ApiClient, make: Factory, clock: SimpleNamespace, db: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await make.user()
    clock.now += timedelta(minutes=11)

    async def prove_and_wait(*given: Any) -> Proved:
        proved = await prove_password(*given)
        await db.fetch("UPDATE users SET hashed_password = 'another' WHERE id = $1", [ada.id])
        return proved

    monkeypatch.setattr("handlers.auth.prove_password", prove_and_wait)

    assert (await reauthenticate(api.as_(ada), expect=403))["code"] == "wrong_password"
    await api.as_(ada).post("/access-tokens", ASKED["createAccessToken"][2], expect=401)


async def test_what_was_proved_is_written_down(api: ApiClient, make: Factory, db: Bench) -> None:
    ada = await make.user()

    await reauthenticate(api.as_(ada))

    [row] = await db.fetch("SELECT * FROM audit_logs", [])
    assert (row["action"], row["outcome"], row["session_id"]) == ("auth.reauthenticated", "success", ada.session_id)
