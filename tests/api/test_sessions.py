"""Sessions: refreshed, listed, ended."""

from tests.client import ApiClient
from tests.factories import PASSWORD, Factory


async def test_a_refresh_token_is_exchanged_for_the_next(api: ApiClient, make: Factory) -> None:
    await make.user(email="ada@example.com")
    first = await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)

    second = await api.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, expect=200)
    again = await api.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, expect=200)
    third = await api.post("/auth/refresh", {"refresh_token": second["refresh_token"]}, expect=200)
    reused = await api.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, expect=401)
    over = await api.post("/auth/refresh", {"refresh_token": third["refresh_token"]}, expect=401)

    assert second["session_id"] == first["session_id"]
    assert again["refresh_token"] == second["refresh_token"]
    assert reused["code"] == "refresh_token_reused"
    assert over["code"] == "invalid_refresh_token"


async def test_logout_lists_and_password(api: ApiClient, make: Factory) -> None:
    await make.user(email="ada@example.com")
    login = await api.post(
        "/auth/login", {"email": "ada@example.com", "password": PASSWORD, "token_transport": "cookie"}, expect=200
    )
    print(login.headers)
    me = api.with_headers(Authorization=f"Bearer {login['access_token']}")
    page = await me.get("/auth/sessions")
    print(page.body)
    cookie = login.headers["set-cookie"].partition(";")[0]
    by_cookie = api.with_headers(Cookie=cookie, Origin="http://docket", Host="docket")
    again = await by_cookie.send("POST", "/auth/refresh", expect=200)
    print(again.body, again.headers)
    foreign = api.with_headers(Cookie=cookie, Origin="http://evil", Host="docket")
    await foreign.send("POST", "/auth/refresh", expect=403)
    await me.put(
        "/users/me/password",
        {"current_password": PASSWORD, "new_password": "a heron counts the tram stops"},
        expect=204,
    )
    for n in range(5):
        await api.post("/auth/login", {"email": "ada@example.com", "password": "wrong"}, expect=401)
    await api.post("/auth/login", {"email": "ada@example.com", "password": "wrong"}, expect=429)
    await by_cookie.send("POST", "/auth/logout", expect=204)
    await me.get("/auth/me", expect=401)
    await by_cookie.send("POST", "/auth/logout", expect=401)
