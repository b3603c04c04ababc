"""Accounts, and signing in to them by JSON or by the password grant of OAuth 2.0."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from server.settings.settings import Environment, Settings
from tests.api.conftest import serving, start_app
from tests.client import Answer, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory

STRONG = "nine lives of a lighthouse"
WRONG = "not the password at all"


async def sign_in(api: ApiClient, email: str, password: str = PASSWORD, *, expect: int = 200, **more: Any) -> Answer:
    return await api.post("/auth/login", {"email": email, "password": password} | more, expect=expect)


async def grant(api: ApiClient, *, expect: int = 200, **members: Any) -> Answer:
    """Ask for a token as RFC 6749, 4.3 says, with these members or others."""
    form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD} | members
    present = {name: value for name, value in form.items() if value is not None}
    return await api.send("POST", "/auth/token", expect=expect, data=present)


class TestRegister:
    async def test_an_account_is_made_with_its_personal_organization(self, api: ApiClient, db: Bench) -> None:
        wanted = {"email": "Grace@Example.com", "username": "Grace", "full_name": "Grace Hopper"}

        user = await api.post("/auth/register", wanted | {"password": STRONG})

        assert wanted.items() <= user.body.items()
        assert (user["is_active"], user["is_superuser"], user["version"]) == (True, False, 1)
        assert user.headers["location"] == f"/api/v1/users/{user['id']}"
        assert (user.headers["etag"], user.headers["cache-control"]) == ('"1"', "no-store")
        sql = (
            "SELECT kind, name, role FROM organizations JOIN organization_members ON organization_id = id WHERE id = $1"
        )
        assert [tuple(row) for row in await db.fetch(sql, [UUID(user["id"])])] == [
            ("personal", "Grace Hopper", "owner")
        ]

    async def test_no_answer_has_the_password_or_its_hash(self, api: ApiClient) -> None:
        registered = await api.post("/auth/register", {"email": "grace@example.com", "password": STRONG})
        tokens = await sign_in(api, "grace@example.com", STRONG)
        grace = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        profile = await grace.get("/users/me")

        for answer in (registered, tokens, profile, await grace.get("/users/me/export")):
            assert STRONG.encode() not in answer.content
            assert b"$2b$" not in answer.content
            assert b"bcrypt" not in answer.content

    async def test_what_is_stored_is_a_hash_of_the_password(self, api: ApiClient, db: Bench) -> None:
        await api.post("/auth/register", {"email": "grace@example.com", "password": STRONG})

        [row] = await db.fetch("SELECT users.hashed_password, users::text AS text FROM users", [])

        assert row["hashed_password"].startswith("$bcrypt-sha256$v=2,t=2b,r=12$")
        assert STRONG not in row["text"]

    async def test_it_can_be_used_at_once(self, api: ApiClient) -> None:
        user = await api.post("/auth/register", {"email": "ada@example.com", "password": STRONG})

        tokens = await sign_in(api, "ADA@example.com", STRONG)

        ada = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        assert (await ada.get("/auth/me")).body == user.body
        await ada.post("/tasks", {"title": "Ship it"})

    async def test_what_is_left_out_or_null_is_null(self, api: ApiClient) -> None:
        absent = await api.post("/auth/register", {"email": "a@example.com", "password": STRONG})
        null = {"username": None, "full_name": None, "email": "b@example.com", "password": STRONG}
        nothing = await api.post("/auth/register", null)

        assert [(user["username"], user["full_name"]) for user in (absent, nothing)] == [(None, None)] * 2

    @pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM"])
    async def test_an_email_is_registered_once_whatever_its_case(
        self, api: ApiClient, make: Factory, email: str
    ) -> None:
        await make.user(email="ada@example.com")

        problem = await api.post("/auth/register", {"email": email, "password": STRONG}, expect=409)

        assert problem["code"] == "email_already_registered"

    async def test_a_username_is_taken_whatever_its_case(self, api: ApiClient, make: Factory) -> None:
        await make.user(username="Ada")
        wanted = {"email": "another@example.com", "username": "aDA", "password": STRONG}

        assert (await api.post("/auth/register", wanted, expect=409))["code"] == "username_taken"

    async def test_a_refused_account_leaves_nothing(self, api: ApiClient, make: Factory, db: Bench) -> None:
        await make.user(username="ada")
        count = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM organizations)"
        before = await db.fetch(count, [])

        await api.post("/auth/register", {"email": "x@example.com", "username": "ada", "password": STRONG}, expect=409)

        assert await db.fetch(count, []) == before

    @pytest.mark.proves("ASVS 5.0 6.2.4", "No account has a common or easily guessed password")
    @pytest.mark.parametrize(
        ("password", "code"),
        [
            ("secure123", "password_too_common"),
            ("P@ssw0rd1!", "password_too_common"),
            ("grace@example.com", "password_too_common"),
            ("abcdefgh1234", "password_too_weak"),
        ],
    )
    async def test_a_password_that_is_easy_to_guess_is_refused(self, api: ApiClient, password: str, code: str) -> None:
        problem = await api.post("/auth/register", {"email": "grace@example.com", "password": password}, expect=422)

        assert problem["code"] == code
        assert password not in problem.content.decode()

    async def test_an_operator_can_ask_for_certain_kinds_of_characters(self, settings: Settings, db: Bench) -> None:
        strict = settings.model_copy(update={"password_composition": True})

        async with serving(strict, db) as api:
            problem = await api.post("/auth/register", {"email": "ada@example.com", "password": STRONG}, expect=422)

        assert problem["code"] == "password_too_weak"
        assert problem["detail"].startswith("This password lacks an upper-case letter")

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"email": "no address"}, "format"),
            ({"email": "j\u00fcrgen@example.com"}, "format"),
            ({"email": "a" * 250 + "@example.com"}, "max_length"),
            ({"email": None}, "not_null"),
            ({"password": "7 chars"}, "min_length"),
            ({"password": "x" * 129}, "max_length"),
            ({"password": "nul\0nul\0nul"}, "pattern"),
            ({"username": "ab"}, "min_length"),
            ({"username": "ada@home"}, "pattern"),
            ({"username": "\u00e4da"}, "pattern"),
            ({"full_name": ""}, "min_length"),
            ({"full_name": " Ada"}, "pattern"),
            ({"full_name": "x" * 256}, "max_length"),
            ({"is_superuser": True}, "unknown_field"),
        ],
        ids=str,
    )
    async def test_a_member_that_breaks_the_contract_is_told(
        self, api: ApiClient, wrong: dict[str, Any], code: str
    ) -> None:
        wanted = {"email": "grace@example.com", "password": STRONG} | wrong

        problem = await api.post("/auth/register", wanted, expect=422)

        [name] = wrong
        assert (f"/{name}", code) in {(fault["pointer"], fault["code"]) for fault in problem["errors"]}

    @pytest.mark.parametrize("email", ["o'neil+tag@example.co.uk", "a@b.example"])
    async def test_addresses_that_people_have_are_kept_as_written(self, api: ApiClient, email: str) -> None:
        assert (await api.post("/auth/register", {"email": email, "password": STRONG}))["email"] == email


class TestLogin:
    async def test_login_success(self, api: ApiClient, make: Factory) -> None:
        ada = await make.user(email="ada@example.com")

        tokens = await sign_in(api, "Ada@Example.COM", device_name="Ada's phone")

        assert (tokens["token_type"], tokens["expires_in"], tokens["refresh_expires_in"]) == ("bearer", 900, 604_800)
        assert tokens["refresh_token"] is not None
        assert tokens.headers["cache-control"] == "no-store"
        signed_in = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        assert (await signed_in.get("/auth/me"))["id"] == str(ada.id)

    @pytest.mark.proves("ASVS 5.0 6.2.10", "A password of ten years ago signs in: none must be changed for its age")
    async def test_a_password_of_years_ago_signs_in(self, api: ApiClient, make: Factory) -> None:
        long_ago = NOW - timedelta(days=3650)
        ada = await make.user(email="ada@example.com", created_at=long_ago, updated_at=long_ago)

        tokens = await sign_in(api, "ada@example.com")

        me = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        assert (await me.get("/users/me"))["id"] == str(ada.id)
        assert (await me.post("/tasks", {"title": "Nothing is asked first"}))["title"] == "Nothing is asked first"

    async def test_a_session_begins_for_the_device(self, api: ApiClient, make: Factory, db: Bench) -> None:
        await make.user(email="ada@example.com")
        browser = api.with_headers(User_Agent="A browser " + "x" * 1000)

        tokens = await sign_in(browser, "ada@example.com", device_name="Ada's phone")

        sql = "SELECT device_name, user_agent, ip_address, expires_at - created_at FROM sessions WHERE id = $1"
        [session] = await db.fetch(sql, [UUID(tokens["session_id"])])
        device_name, user_agent, address, lifetime = session
        assert (device_name, user_agent) == ("Ada's phone", ("A browser " + "x" * 1000)[:500])
        assert (address.partition("/")[0], lifetime) == ("127.0.0.1", timedelta(days=90))

    async def test_each_login_is_a_session_of_its_own(self, api: ApiClient, make: Factory) -> None:
        await make.user(email="ada@example.com")

        sessions = {(await sign_in(api, "ada@example.com"))["session_id"] for _ in range(2)}

        assert len(sessions) == 2

    async def test_a_wrong_password_and_an_unknown_email_are_answered_alike(
        self, api: ApiClient, make: Factory
    ) -> None:
        await make.user(email="ada@example.com")
        await make.user(email="external@example.com", hashed_password=None)
        tries = [("ada@example.com", WRONG), ("unknown@example.com", PASSWORD), ("external@example.com", PASSWORD)]

        problems = [await sign_in(api, email, password, expect=401) for email, password in tries]

        assert problems[0]["code"] == "invalid_credentials"
        bodies = {json.dumps(problem.body | {"request_id": ""}) for problem in problems}
        named = {tuple((n, v) for n, v in problem.headers.items() if n != "x-request-id") for problem in problems}
        assert (len(bodies), len(named)) == (1, 1)

    async def test_a_deactivated_account_is_told_so_only_with_the_right_password(
        self, api: ApiClient, make: Factory
    ) -> None:
        await make.user(email="ada@example.com", is_active=False)

        assert (await sign_in(api, "ada@example.com", expect=403))["code"] == "account_disabled"
        assert (await sign_in(api, "ada@example.com", WRONG, expect=401))["code"] == "invalid_credentials"

    async def test_a_password_is_one_whatever_its_unicode_form(self, api: ApiClient) -> None:
        composed = "caf\u00e9 under the seventh pier"
        await api.post("/auth/register", {"email": "ada@example.com", "password": composed})

        await sign_in(api, "ada@example.com", "cafe\u0301 under the seventh pier")

    @pytest.mark.proves("ASVS 5.0 6.2.8, ASVS 5.0 6.2.9", "Passwords of 128 characters are taken whole")
    async def test_nothing_of_a_password_is_cut_off(self, api: ApiClient) -> None:
        long = " ".join(["lighthouse", "marmalade", "quarrel", "zeppelin"] * 4)[:128]
        await api.post("/auth/register", {"email": "ada@example.com", "password": long})

        await sign_in(api, "ada@example.com", long[:-1], expect=401)
        await sign_in(api, "ada@example.com", long)

    async def test_a_username_does_not_sign_in_here(self, api: ApiClient, make: Factory) -> None:
        await make.user(username="ada")

        problem = await sign_in(api, "ada", expect=422)

        assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [("/email", "format")]

    async def test_an_access_token_of_nobody_does_not_matter(self, api: ApiClient, make: Factory) -> None:
        await make.user(email="ada@example.com")

        await sign_in(api.with_headers(Authorization="Bearer rubbish"), "ada@example.com")


class TestToken:
    @pytest.mark.parametrize("username", ["Ada@example.com", "ADA"])
    async def test_the_password_grant_takes_email_or_username(
        self, api: ApiClient, make: Factory, username: str
    ) -> None:
        ada = await make.user(email="ada@example.com", username="ada")

        tokens = await grant(api, username=username)

        signed_in = api.with_headers(Authorization=f"Bearer {tokens['access_token']}")
        assert (await signed_in.get("/auth/me"))["id"] == str(ada.id)
        assert (tokens["token_type"], tokens.headers["cache-control"]) == ("bearer", "no-store")

    async def test_what_rfc_6749_does_not_know_is_ignored(self, api: ApiClient, make: Factory) -> None:
        await make.user(email="ada@example.com")
        unknown: dict[str, Any] = {"scope": "", "client_id": "docs", "client_secret": "", "colour": "red"}

        await grant(api.with_headers(Authorization="Basic ZG9jczo="), **unknown)
        await api.send(
            "POST",
            "/auth/token?colour=red",
            expect=200,
            content=f"grant_type=password&&username=ada%40example.com&password={PASSWORD.replace(' ', '+')}&username=",
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )

    @pytest.mark.proves("RFC 6749 5.2", "A refused token request is answered with an error of RFC 6749")
    @pytest.mark.parametrize(
        ("members", "error"),
        [
            ({"grant_type": None}, "invalid_request"),
            ({"grant_type": ""}, "invalid_request"),
            ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
            ({"grant_type": "Password"}, "unsupported_grant_type"),
            ({"username": None}, "invalid_request"),
            ({"username": ""}, "invalid_request"),
            ({"username": "x" * 255}, "invalid_request"),
            ({"username": "nul\0nul"}, "invalid_request"),
            ({"username": ["ada@example.com", "bob@example.com"]}, "invalid_request"),
            ({"password": None}, "invalid_request"),
            ({"password": ""}, "invalid_request"),
            ({"password": "x" * 129}, "invalid_request"),
            ({"password": WRONG}, "invalid_grant"),
            ({"username": "unknown"}, "invalid_grant"),
        ],
        ids=str,
    )
    async def test_a_refusal_is_an_error_of_rfc_6749(
        self, api: ApiClient, make: Factory, members: dict[str, Any], error: str
    ) -> None:
        await make.user(email="ada@example.com")

        refused = await grant(api, expect=400, **members)

        assert set(refused.body) == {"error", "error_description"}
        assert (refused["error"], refused.headers["cache-control"]) == (error, "no-store")

    @pytest.mark.parametrize(
        "form", [b"", b"&", b"grant_type", b"=password", b"%ff=%ff", b"username=%ed%a0%80", b"\xff", b"a=1&" * 101]
    )
    async def test_a_form_that_cannot_be_read_is_an_error_of_rfc_6749(self, api: ApiClient, form: bytes) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}

        refused = await api.send("POST", "/auth/token", expect=400, content=form, headers=headers)

        assert refused["error"] == "invalid_request"

    async def test_a_deactivated_account_gets_no_token(self, api: ApiClient, make: Factory) -> None:
        await make.user(email="ada@example.com", is_active=False)

        assert (await grant(api, expect=400))["error"] == "invalid_grant"
        assert (await grant(api, expect=400, password=WRONG))["error"] == "invalid_grant"

    async def test_json_is_another_media_type(self, api: ApiClient) -> None:
        problem = await api.post("/auth/token", {"grant_type": "password"}, expect=415)

        assert (problem["code"], problem.headers["accept"]) == (
            "unsupported_media_type",
            "application/x-www-form-urlencoded",
        )


@pytest.mark.proves("ASVS 5.0 10.4.4", "Production has no password grant unless its operator turns it on")
@pytest.mark.parametrize(
    ("environment", "grant", "expect"),
    [
        ("development", None, 200),
        ("production", None, 404),
        ("production", True, 200),
        ("development", False, 404),
    ],
)
async def test_the_password_grant_is_there_where_it_is_on(
    settings: Settings, db: Bench, make: Factory, environment: Environment, expect: int, *, grant: bool | None
) -> None:
    ada = await make.user()
    chosen = settings.model_copy(update={"environment": Environment(environment), "password_grant": grant})
    form = {"grant_type": "password", "username": f"{ada.id.hex}@example.com", "password": PASSWORD}

    async with start_app(chosen, db) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://docket") as http:
            answer = await http.post("/api/v1/auth/token", data=form)

    assert answer.status_code == expect
    assert expect == httpx.codes.OK or answer.json()["code"] == "feature_disabled"
