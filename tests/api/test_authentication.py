"""The account that an access token stands for, and when it stands for none."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER
from server.settings.settings import Settings
from tests.client import METADATA, ApiClient
from tests.conftest import Bench
from tests.factories import NOW, PASSWORD, Factory


def token_of(settings: Settings, user_id: UUID, session_id: UUID, now: datetime) -> str:
    tokens = Tokens(Keys(settings.signing_key), ISSUER, AUDIENCE, settings.access_lifetime)
    return tokens.issue_access(user_id, session_id, now)


def bearing(api: ApiClient, token: str) -> ApiClient:
    return api.with_headers(Authorization=f"Bearer {token}")


async def test_who_is_signed_in_sees_the_account(api: ApiClient, make: Factory) -> None:
    ada = await make.user(email="Ada@example.com", username="ada", full_name="Ada Lovelace", version=5)

    user = await api.as_(ada).get("/auth/me")

    assert (user["id"], user["email"], user["username"]) == (str(ada.id), "Ada@example.com", "ada")
    assert (user["full_name"], user["is_superuser"]) == ("Ada Lovelace", False)
    assert (user.headers["etag"], user.headers["cache-control"]) == ('"5"', "no-store")


async def test_who_has_the_newest_version_gets_no_body(api: ApiClient, make: Factory) -> None:
    ada = api.as_(await make.user(version=5))

    same = await ada.with_headers(If_None_Match='W/"5"').get("/auth/me", expect=304)
    other = await ada.with_headers(If_None_Match='"4"').get("/auth/me")

    assert (same.content, same.headers["etag"], other["version"]) == (b"", '"5"', 5)


@pytest.mark.proves("ASVS 5.0 7.4.1", "An access token opens nothing once its session is over")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout' WHERE user_id = $1",
        "UPDATE sessions SET expires_at = '2020-01-01' WHERE user_id = $1",
        "DELETE FROM sessions WHERE user_id = $1",
        "UPDATE users SET is_active = false WHERE id = $1",
        "DELETE FROM users WHERE id = $1",
    ],
    ids=["revoked", "expired", "gone", "deactivated", "deleted"],
)
async def test_a_session_that_is_over_is_over_at_once(api: ApiClient, make: Factory, db: Bench, statement: str) -> None:
    ada = await make.user()
    await api.as_(ada).get("/auth/me")

    await db.fetch(statement, [ada.id])

    problem = await api.as_(ada).get("/auth/me", expect=401)
    assert problem["code"] == "token_revoked"
    assert 'error="invalid_token"' in problem.headers["www-authenticate"]
    await api.as_(ada).with_headers(If_None_Match="*").get("/auth/me", expect=401)


async def test_somebody_elses_session_is_none(api: ApiClient, make: Factory, settings: Settings) -> None:
    ada, bob = await make.user(), await make.user()

    token = token_of(settings, ada.id, bob.session_id, datetime.now(UTC))
    assert (await bearing(api, token).get("/auth/me", expect=401))["code"] == "token_revoked"


@pytest.mark.proves("ASVS 5.0 9.2.1", "An access token is refused once its lifetime is over")
async def test_a_token_expires(api: ApiClient, make: Factory, settings: Settings) -> None:
    ada = await make.user()
    old = token_of(settings, ada.id, ada.session_id, now=NOW - timedelta(minutes=16))

    problem = await bearing(api, old).get("/auth/me", expect=401)

    assert problem["code"] == "token_expired"
    assert "expired" in problem.headers["www-authenticate"]


@pytest.mark.proves("RFC 6750 3.1", "What is no token of ours is answered 401 with invalid_token")
@pytest.mark.parametrize("token", ["rubbish", "a.b.c", "x" * 5000, "\u00e4\u00f6", "", "two words", "rubbish,"])
async def test_a_token_that_is_none_of_ours_is_invalid(api: ApiClient, token: str) -> None:
    problem = await bearing(api, token).get("/auth/me", expect=401)

    assert problem["code"] == "invalid_token"
    assert problem.headers["www-authenticate"] == f'Bearer error="invalid_token", {METADATA}'


async def test_a_token_of_another_server_is_invalid(api: ApiClient, make: Factory) -> None:
    ada = await make.user()
    foreign = Tokens(Keys("another-secret-0123456789-abcdefghij"), ISSUER, AUDIENCE, timedelta(minutes=15))
    token = foreign.issue_access(ada.id, ada.session_id, datetime.now(UTC))

    assert (await bearing(api, token).get("/auth/me", expect=401))["code"] == "invalid_token"


async def test_a_refresh_token_is_no_access_token(api: ApiClient, make: Factory) -> None:
    await make.user(email="ada@example.com")
    tokens = await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)

    problem = await bearing(api, tokens["refresh_token"]).get("/auth/me", expect=401)

    assert problem["code"] == "invalid_token"


@pytest.mark.proves("RFC 6750 3", "A client without a token is asked for one")
@pytest.mark.parametrize("credentials", [None, "Basic YWRhOmFkYQ==", "Token x", "x", ""])
async def test_without_a_bearer_token_one_is_asked_for(api: ApiClient, credentials: str | None) -> None:
    caller = api if credentials is None else api.with_headers(Authorization=credentials)

    problem = await caller.get("/auth/me", expect=401)

    assert (problem["code"], problem.headers["www-authenticate"]) == ("authentication_required", f"Bearer {METADATA}")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_case_of_the_scheme_does_not_matter(api: ApiClient, make: Factory, scheme: str) -> None:
    token = api.sign(await make.user())

    await api.with_headers(Authorization=f"{scheme} {token}").get("/auth/me")


async def test_two_tokens_are_none(api: ApiClient, make: Factory) -> None:
    token = api.sign(await make.user())

    await api.with_headers(Authorization=f"Bearer {token}, Bearer {token}").get("/auth/me", expect=401)
