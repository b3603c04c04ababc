"""What a caller might try beside guessing: members that are not theirs, headers in texts, keys that change."""

from dataclasses import replace
from typing import Any

import pytest

from persistence.authorization import Caller
from server.settings.loading import load
from server.settings.settings import Settings
from tests.api.conftest import client_of, refresh_token, serving, start_app
from tests.client import DOCUMENT, Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

NEW_PASSWORD = "a heron counts the tram stops"
LATER_KEY = "the-key-that-comes-next-0123456789abcdef"
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "UserRegister": ("POST", "/auth/register", {"email": "new@example.com", "password": NEW_PASSWORD}),
    "LoginRequest": ("POST", "/auth/login", {"email": "ada@example.com", "password": PASSWORD}),
    "RefreshRequest": ("POST", "/auth/refresh", {}),
    "PasswordChange": ("PUT", "/users/me/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
}


def members(schema: str) -> set[str]:
    return set(DOCUMENT["components"]["schemas"][schema]["properties"])


READ_ONLY = sorted(members("User") | members("Session") | members("TokenPair") | {"hashed_password", "role", "user_id"})
CASES = [(body, name) for body in BODIES for name in READ_ONLY if name not in members(body)]


@pytest.mark.proves("ASVS 5.0 15.3.3", "Members of accounts and sessions that only the server writes are refused")
@pytest.mark.parametrize(("body", "name"), CASES, ids="-".join)
async def test_what_only_the_server_writes_is_refused(api: ApiClient, make: Factory, body: str, name: str) -> None:
    ada = await make.user(email="ada@example.com")
    method, path, wanted = BODIES[body]

    problem = await api.as_(ada).send(method, path, expect=422, json=wanted | {name: True})

    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [(f"/{name}", "unknown_field")]


async def login(api: ApiClient, *, expect: int = 200, **more: Any) -> Answer:
    return await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD} | more, expect=expect)


@pytest.mark.proves("", "A device name holds no line break and no control character")
@pytest.mark.parametrize("name", ["Phone\r\nSet-Cookie: a=b", "\x1b[31mred", "nul\0", "two\nlines"])
async def test_a_device_name_is_one_line(api: ApiClient, make: Factory, name: str) -> None:
    await make.user(email="ada@example.com")

    problem = await login(api, expect=422, device_name=name)

    assert [fault["pointer"] for fault in problem["errors"]] == ["/device_name"]


@pytest.mark.proves("", "A user agent is kept as text and never becomes a header or a statement")
@pytest.mark.parametrize(
    "agent", ["<script>alert(1)</script>", "'; DROP TABLE sessions; --", "%0d%0aSet-Cookie: a=b", "\u00e4"]
)
async def test_a_user_agent_is_a_text_like_any_other(api: ApiClient, make: Factory, agent: str) -> None:
    await make.user(email="ada@example.com")

    tokens = await login(api.with_headers(User_Agent=agent))

    me = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
    page = await me.get("/auth/sessions")
    assert agent in {one["user_agent"] for one in page["items"]}
    assert "set-cookie" not in tokens.headers
    assert page.headers["content-type"] == "application/json"


@pytest.mark.proves("ASVS 5.0 7.2.4", "A login begins a session of its own, whatever tokens come with it")
async def test_a_login_begins_another_session_whatever_tokens_come_with_it(
    api: ApiClient, make: Factory, settings: Settings
) -> None:
    ada, eve = await make.user(email="ada@example.com"), await make.user()
    fixed = api.as_(eve).with_headers(Cookie=f"__Host-refresh={refresh_token(settings, eve)}", Origin="http://docket")

    tokens = await login(fixed)

    assert tokens["session_id"] not in {str(ada.session_id), str(eve.session_id)}
    me = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
    assert (await me.get("/auth/me"))["id"] == str(ada.id)


@pytest.mark.proves("ASVS 5.0 7.2.4", "A refresh token planted before a login never opens the session after it")
async def test_a_token_planted_in_a_browser_does_not_open_the_session_that_begins_there(
    api: ApiClient, make: Factory, settings: Settings
) -> None:
    await make.user(email="ada@example.com")
    eve = await make.user()
    planted = refresh_token(settings, eve)
    browser = api.with_headers(Cookie=f"__Host-refresh={planted}", Origin="http://docket")

    begun = await login(browser, token_transport="cookie")

    assert planted not in begun.headers["set-cookie"]
    assert begun["session_id"] != str(eve.session_id)
    refreshed = await api.post("/auth/refresh", {"refresh_token": planted}, expect=200)
    assert refreshed["session_id"] == str(eve.session_id)


@pytest.mark.proves("ASVS 5.0 7.2.4", "No client chooses the id or the refresh token of a session by naming it")
@pytest.mark.parametrize("name", ["session_id", "sid", "refresh_token", "id"])
async def test_a_login_takes_no_session_over_that_it_names(
    api: ApiClient, make: Factory, settings: Settings, name: str
) -> None:
    ada = await make.user(email="ada@example.com")
    named = refresh_token(settings, ada) if name == "refresh_token" else str(ada.session_id)

    await login(api, expect=422, **{name: named})
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    await api.send("POST", f"/auth/login?{name}={named}", expect=422, json=credentials)
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD, name: named}
    begun = await api.send("POST", "/auth/token", expect=200, data=form)

    assert (begun["session_id"] != str(ada.session_id), begun["refresh_token"] != named) == (True, True)


class TestKeyRotation:
    """`SECRET_KEY` becomes `SECRET_KEY_PREVIOUS`, another takes its place: no user notices."""

    @pytest.fixture
    def rotated(self, settings: Settings) -> Settings:
        before = settings.signing_key
        return load(environment="staging", secret_key=LATER_KEY, secret_key_previous=before, rate_limits_enabled=False)

    @pytest.mark.proves("", "Tokens and cursors of the key before are accepted while it is kept")
    async def test_tokens_and_cursors_of_the_key_before_are_accepted(
        self, api: ApiClient, make: Factory, *, settings: Settings, rotated: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        await make.session(ada.id)
        cursor = (await api.as_(ada).get("/auth/sessions", limit=1))["next_cursor"]
        async with start_app(rotated, db) as app, client_of(app, settings) as after:
            assert len((await after.as_(ada).get("/auth/sessions", limit=1, cursor=cursor))["items"]) == 1
            body = {"refresh_token": refresh_token(settings, ada)}
            tokens = await after.post("/auth/refresh", body, expect=200)
            again = await after.post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}, expect=200)

        alone = rotated.model_copy(update={"secret_key_previous": None})
        async with start_app(alone, db) as app, client_of(app, alone) as later:
            await later.post("/auth/refresh", {"refresh_token": again["refresh_token"]}, expect=200)

    @pytest.mark.proves("", "Tokens of a key that was dropped are refused")
    async def test_the_key_before_is_refused_once_it_is_dropped(
        self, make: Factory, settings: Settings, rotated: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        alone = rotated.model_copy(update={"secret_key_previous": None})
        async with start_app(alone, db) as app, client_of(app, settings) as later:
            assert (await later.as_(ada).get("/auth/me", expect=401))["code"] == "invalid_token"
            await later.post("/auth/refresh", {"refresh_token": refresh_token(settings, ada)}, expect=401)

    @pytest.mark.proves("", "An instance that still signs with the old key accepts what others sign with the new one")
    async def test_the_key_that_comes_next_can_be_accepted_before_it_signs(
        self, make: Factory, settings: Settings, rotated: Settings, db: Bench
    ) -> None:
        ada = await make.user()
        waiting = settings.model_copy(update={"secret_key_previous": rotated.secret_key})
        async with start_app(waiting, db) as app, client_of(app, rotated) as still:
            await still.as_(ada).get("/auth/me")
            await still.post("/auth/refresh", {"refresh_token": refresh_token(rotated, ada)}, expect=200)

    @pytest.mark.proves("ASVS 5.0 6.3.1", "A change of keys gives no attacker another five tries")
    @pytest.mark.parametrize("before", [0, 3, 5])
    async def test_wrong_passwords_count_on(
        self, api: ApiClient, make: Factory, *, settings: Settings, rotated: Settings, db: Bench, before: int
    ) -> None:
        await make.user(email="ada@example.com")
        for _ in range(before):
            await login(api, password="not the password at all", expect=401)
        async with start_app(rotated, db) as app, client_of(app, settings) as after:
            for _ in range(before, 5):
                await login(after, password="not the password at all", expect=401)
            assert (await login(after, expect=429))["code"] == "account_locked"
        assert (await login(api, expect=429))["code"] == "account_locked"


class TestPasswordChange:
    async def change(self, api: ApiClient, *, expect: int = 204, **members: str) -> Answer:
        wanted = {"current_password": PASSWORD, "new_password": NEW_PASSWORD} | members
        return await api.put("/users/me/password", wanted, expect=expect)

    @pytest.mark.proves("ASVS 5.0 6.2.2", "Users can change their password, and the old one opens nothing more")
    async def test_the_new_one_signs_in_and_the_old_one_does_not(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user(email="ada@example.com")
        before = await api.as_(ada).get("/auth/me")

        await self.change(api.as_(ada))

        await login(api, expect=401)
        await login(api, password=NEW_PASSWORD)
        assert (await api.as_(ada).get("/auth/me"))["version"] == before["version"] + 1

    @pytest.mark.proves("ASVS 5.0 6.2.3", "A password is changed only by who knows the current one")
    async def test_a_wrong_current_password_changes_nothing(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user(email="ada@example.com")
        phone = replace(ada, session_id=await make.session(ada.id))

        assert (await self.change(api.as_(ada), current_password="wrong", expect=403))["code"] == "wrong_password"

        await api.as_(phone).get("/auth/me")
        await login(api)

    @pytest.mark.proves("ASVS 5.0 6.2.4", "A new password may not be a common one")
    @pytest.mark.parametrize(
        ("password", "code"), [("P@ssw0rd1!", "password_too_common"), ("ada@example.com", "password_too_common")]
    )
    async def test_the_new_one_must_be_hard_to_guess(
        self, api: ApiClient, make: Factory, password: str, code: str
    ) -> None:
        ada = await make.user(email="ada@example.com")

        assert (await self.change(api.as_(ada), new_password=password, expect=422))["code"] == code

        await login(api)

    async def test_an_account_without_a_password_has_none_to_change(self, api: ApiClient, make: Factory) -> None:
        external: Caller = await make.user(email=None, hashed_password=None)

        await self.change(api.as_(external), expect=403)

    @pytest.mark.usefixtures("still_window")
    async def test_the_number_of_changes_is_limited(self, settings: Settings, make: Factory, db: Bench) -> None:
        ada = await make.user()
        async with serving(settings.model_copy(update={"rate_limits_enabled": True}), db) as api:
            bodies = [{"current_password": "wrong", "new_password": NEW_PASSWORD}] * 5
            for body in bodies:
                await api.as_(ada).put("/users/me/password", body, expect=403)

            assert (await self.change(api.as_(ada), expect=429))["code"] == "rate_limit_exceeded"
