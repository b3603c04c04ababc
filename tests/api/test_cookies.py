"""The refresh token as a cookie, which pages of others cannot use (RFC 6265, RFC 6454, Fetch Metadata)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from server.settings.settings import Settings
from tests.api.conftest import refresh_token, serving
from tests.api.test_authentication import token_of
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

FRONT = "https://app.example.com"
HOME = {"Origin": "http://docket"}


@pytest.fixture
async def front(settings: Settings, db: Bench) -> AsyncIterator[ApiClient]:
    """A client of a server that has a front end at FRONT."""
    async with serving(settings.model_copy(update={"backend_cors_origins": frozenset([FRONT])}), db) as client:
        yield client


def bearing(api: ApiClient, token: str, **headers: str) -> ApiClient:
    return api.with_headers(Cookie=f"theme={{dark}}; __Host-refresh={token}; x", **headers)


async def refresh(api: ApiClient, *, expect: int = 200) -> Answer:
    return await api.send("POST", "/auth/refresh", expect=expect)


def cookie_of(answer: Answer) -> tuple[str, set[str]]:
    """The token of a cookie, and its attributes."""
    pair, *attributes = answer.headers["set-cookie"].split("; ")
    name, _, value = pair.partition("=")
    assert name == "__Host-refresh"
    return value, set(attributes)


@pytest.mark.proves("ASVS 5.0 3.3.1, ASVS 5.0 3.3.3", "The refresh cookie is Secure and of this host alone")
@pytest.mark.proves("ASVS 5.0 3.3.4", "The refresh cookie is HttpOnly and its token in no body")
async def test_who_asks_for_it_at_login_gets_a_cookie_and_no_token_in_the_body(api: ApiClient, make: Factory) -> None:
    await make.user(email="ada@example.com")
    wanted = {"email": "ada@example.com", "password": PASSWORD, "token_transport": "cookie"}

    login = await api.post("/auth/login", wanted, expect=200)

    token, attributes = cookie_of(login)
    assert attributes == {"Max-Age=604800", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"}
    assert login["refresh_token"] is None
    assert token not in login.content.decode()
    await refresh(bearing(api, token, **HOME))


@pytest.mark.proves("ASVS 5.0 3.3.2", "The refresh cookie is SameSite=Strict")
async def test_a_refresh_by_cookie_sets_the_next_cookie(api: ApiClient, make: Factory, settings: Settings) -> None:
    first = refresh_token(settings, await make.user())

    answer = await refresh(bearing(api, first, **HOME))

    token, attributes = cookie_of(answer)
    assert answer["refresh_token"] is None
    assert token != first
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Strict"} <= attributes
    assert cookie_of(await refresh(bearing(api, first, **HOME)))[0] == token


async def test_the_token_in_the_body_counts_before_the_cookie(
    api: ApiClient, make: Factory, settings: Settings
) -> None:
    ada, bob = await make.user(), await make.user()
    both = bearing(api, refresh_token(settings, ada), **HOME)

    answer = await both.post("/auth/refresh", {"refresh_token": refresh_token(settings, bob)}, expect=200)

    assert answer["session_id"] == str(bob.session_id)
    assert answer["refresh_token"] is not None
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("by_cookie_alone", [True, False])
async def test_logout_ends_the_session_and_clears_the_cookie(
    api: ApiClient, make: Factory, settings: Settings, *, by_cookie_alone: bool
) -> None:
    ada = await make.user()
    browser = bearing(api if by_cookie_alone else api.as_(ada), refresh_token(settings, ada), **HOME)

    answer = await browser.send("POST", "/auth/logout", expect=204)

    assert cookie_of(answer) == ("", {"Max-Age=0", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"})
    assert (await api.as_(ada).get("/auth/me", expect=401))["code"] == "token_revoked"
    assert (await refresh(browser, expect=401))["code"] == "invalid_refresh_token"


@pytest.mark.parametrize("authorization", [None, "Bearer rubbish", "Basic eA=="])
@pytest.mark.parametrize("is_over", [False, True])
async def test_logout_ends_what_the_cookie_names_whatever_the_bearer_is(
    api: ApiClient,
    make: Factory,
    *,
    settings: Settings,
    authorization: str | None,
    is_over: bool,
) -> None:
    ada = await make.user()
    browser = bearing(api, refresh_token(settings, ada), **HOME)
    if is_over:
        await api.as_(ada).send("POST", "/auth/logout", expect=204)
    if authorization is not None:
        browser = browser.with_headers(Authorization=authorization)

    answer = await browser.send("POST", "/auth/logout", expect=204)

    assert cookie_of(answer)[0] == ""
    assert (await refresh(browser, expect=401))["code"] == "invalid_refresh_token"


@pytest.mark.proves("ASVS 5.0 7.4.1", "A logout with an expired access token ends the session")
@pytest.mark.parametrize("with_cookie", [False, True])
async def test_an_expired_bearer_ends_its_session_and_the_cookie_its_own(
    api: ApiClient,
    make: Factory,
    *,
    settings: Settings,
    db: Bench,
    with_cookie: bool,
) -> None:
    ada, bob = await make.user(), await make.user()
    token = token_of(settings, ada.id, ada.session_id, datetime.now(UTC) - timedelta(hours=1))
    expired = api.with_headers(Authorization=f"Bearer {token}")
    browser = bearing(expired, refresh_token(settings, bob), **HOME) if with_cookie else expired
    assert (await expired.get("/auth/me", expect=401))["code"] == "token_expired"

    await browser.send("POST", "/auth/logout", expect=204)
    await browser.send("POST", "/auth/logout", expect=204)

    over = await db.fetch("SELECT user_id FROM sessions WHERE revoke_reason = 'logout'", [])
    entries = await db.fetch("SELECT actor_id FROM audit_logs WHERE action = 'auth.logout'", [])
    ended = {ada.id, bob.id} if with_cookie else {ada.id}
    assert ({one["user_id"] for one in over}, sorted(one["actor_id"] for one in entries)) == (ended, sorted(ended))


async def test_a_session_whose_row_is_gone_is_no_session_and_the_cookie_goes(
    api: ApiClient, make: Factory, settings: Settings, db: Bench
) -> None:
    ada = await make.user()
    await db.fetch("DELETE FROM sessions WHERE id = $1", [ada.session_id])

    bare = await api.as_(ada).send("POST", "/auth/logout", expect=401)
    browser = await bearing(api, refresh_token(settings, ada), **HOME).send("POST", "/auth/logout", expect=401)

    assert (bare["code"], "set-cookie" in bare.headers) == ("token_revoked", False)
    assert (browser["code"], cookie_of(browser)[0]) == ("token_revoked", "")


async def test_a_dead_cookie_is_cleared_by_what_refuses_it(
    api: ApiClient, make: Factory, settings: Settings, clock: SimpleNamespace
) -> None:
    rubbish = bearing(api, "rubbish", **HOME)
    first = bearing(api, refresh_token(settings, await make.user()), **HOME)
    await refresh(first)
    clock.now += timedelta(minutes=1)

    refused = [
        await rubbish.send("POST", "/auth/logout", expect=401),
        await refresh(rubbish, expect=401),
        await refresh(first, expect=401),
    ]

    codes = ["invalid_token", "invalid_refresh_token", "refresh_token_reused"]
    assert [(answer["code"], cookie_of(answer)[0]) for answer in refused] == [(code, "") for code in codes]
    in_the_body = await rubbish.post("/auth/refresh", {"refresh_token": "rubbish"}, expect=401)
    assert "set-cookie" not in in_the_body.headers
    assert "set-cookie" not in (await api.send("POST", "/auth/logout", expect=401)).headers


async def test_whatever_ends_the_own_session_clears_the_cookie(api: ApiClient, make: Factory) -> None:
    ada, bob, carl = await make.user(), await make.user(), await make.user()
    phone = await make.session(carl.id)

    other = await api.as_(carl).delete(f"/auth/sessions/{phone}")
    ending = [
        await api.as_(ada).send("POST", "/auth/logout-all", expect=204),
        await api.as_(bob).delete("/users/me"),
        await api.as_(carl).delete(f"/auth/sessions/{carl.session_id}"),
    ]

    assert [cookie_of(answer)[0] for answer in ending] == ["", "", ""]
    assert "set-cookie" not in other.headers


async def test_logout_without_a_cookie_clears_none(api: ApiClient, make: Factory) -> None:
    answer = await api.as_(await make.user()).send("POST", "/auth/logout", expect=204)

    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("value", ["", "rubbish", '"quoted"', "\u00e4"])
async def test_a_cookie_that_is_none_of_ours_opens_nothing(api: ApiClient, value: str) -> None:
    browser = bearing(api, value, **HOME)

    assert (await refresh(browser, expect=401))["code"] == "invalid_refresh_token"
    assert (await browser.send("POST", "/auth/logout", expect=401))["code"] == "invalid_token"


@pytest.mark.proves("", "The refresh cookie opens nothing but refresh and logout")
async def test_it_opens_nothing_else(api: ApiClient, make: Factory, settings: Settings) -> None:
    ada = await make.user()
    browser = bearing(api, refresh_token(settings, ada), **HOME)

    assert (await browser.get("/auth/me", expect=401))["code"] == "authentication_required"
    await browser.send("POST", "/auth/logout-all", expect=401)
    await browser.put("/users/me/password", {"current_password": "x", "new_password": "x" * 8}, expect=401)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://docket"},
        {"Origin": "https://docket"},
        {"Origin": "https://docket", "Sec_Fetch_Site": "same-origin"},
        {"Origin": FRONT},
        {"Origin": FRONT, "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-origin"},
    ],
    ids=str,
)
async def test_our_pages_may_use_it(
    front: ApiClient, make: Factory, settings: Settings, headers: dict[str, str]
) -> None:
    await refresh(bearing(front, refresh_token(settings, await make.user()), **headers))


@pytest.mark.proves("ASVS 5.0 3.5.1", "Pages of other origins can neither refresh nor log out by the cookie")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[docket"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "https://docket.evil.example"},
        {"Origin": "https://evil.example/docket"},
        {"Origin": "https://docket:8443"},
        {"Origin": "https://docket@evil.example"},
        {"Origin": "http://app.example.com"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://docket", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": ""},
    ],
    ids=str,
)
async def test_other_pages_may_not_and_nothing_happens(
    front: ApiClient, make: Factory, settings: Settings, headers: dict[str, str]
) -> None:
    ada = await make.user()
    browser = bearing(front, refresh_token(settings, ada), **headers)

    assert (await refresh(browser, expect=403))["code"] == "csrf_failed"
    assert (await browser.send("POST", "/auth/logout", expect=403))["code"] == "csrf_failed"

    await front.as_(ada).get("/auth/me")
