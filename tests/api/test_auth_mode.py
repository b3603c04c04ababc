"""AUTH_MODE: whose tokens count, and which operations are off."""

from typing import Any

import pytest

from generated.operations import OPERATIONS
from server.settings.loading import load
from server.settings.settings import SettingsError
from server.terms import TERMS
from tests import issuer
from tests.api.conftest import SECRET, serving
from tests.client import PREFIX, ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory
from tests.issuer import sign_shared

EXTERNAL: dict[str, Any] = {
    "environment": "staging",
    "secret_key": SECRET,
    "auth_mode": "external",
    "better_auth_secret": issuer.SECRET,
    "rate_limits_enabled": False,
    "response_check_rate": 1,
    "log_level": "error",
}
OFF = [operation for operation in OPERATIONS if TERMS[operation.id].local]


def test_what_is_about_accounts_and_sessions_says_so() -> None:
    ours = {"registerUser", "login", "issueToken", "refreshTokens", "changeMyPassword", "reauthenticate"}
    ours |= {"logout", "logoutAll", "listSessions", "revokeSession"}

    assert ours <= {operation.id for operation in OFF}


@pytest.mark.parametrize("operation", OFF, ids=lambda operation: operation.id)
async def test_without_accounts_what_is_about_them_is_off(db: Bench, make: Factory, operation: Any) -> None:
    ada = await make.user()
    path = (
        operation.path.removeprefix(PREFIX)
        .replace("{session_id}", str(ada.session_id))
        .replace("{user_id}", str(ada.id))
    )
    async with serving(load(**EXTERNAL), db) as api:
        callers = api, api.with_headers(Authorization=f"Bearer {sign_shared('grace')}"), api.as_(ada)
        problems = [await caller.send(operation.method, path, expect=404, json={}) for caller in callers]

    assert {problem["code"] for problem in problems} == {"feature_disabled"}


async def test_without_accounts_the_rest_works_for_callers_of_the_issuer(db: Bench, make: Factory) -> None:
    async with serving(load(**EXTERNAL), db) as api:
        grace = api.with_headers(Authorization=f"Bearer {sign_shared('grace')}")
        task = await grace.post("/tasks", {"title": "Find the moth"})
        ours = await api.as_(await make.user()).get("/auth/me", expect=401)

        assert (await grace.get(f"/tasks/{task['id']}"))["title"] == "Find the moth"
        assert ours["code"] == "invalid_token"


async def test_callers_of_the_issuer_may_send_a_request_again(db: Bench, make: Factory) -> None:
    async with serving(load(**EXTERNAL), db) as api:
        grace = api.with_headers(Authorization=f"Bearer {sign_shared('grace')}", Idempotency_Key="once")
        first, again = [await grace.post("/tasks", {"title": "Find the moth"}) for _ in range(2)]
        await make.db.fetch("UPDATE users SET is_active = false", [])
        refused = await grace.post("/tasks", {"title": "Another"}, expect=401)

    assert again.content == first.content
    assert refused["code"] == "token_revoked"


async def test_where_only_our_accounts_count_other_tokens_are_invalid(api: ApiClient, make: Factory) -> None:
    await make.user(email="ada@example.com")

    problem = await api.with_headers(Authorization=f"Bearer {sign_shared('grace')}").get("/auth/me", expect=401)
    await api.post("/auth/login", {"email": "ada@example.com", "password": PASSWORD}, expect=200)

    assert problem["code"] == "invalid_token"


def test_it_needs_somebody_to_trust() -> None:
    with pytest.raises(SettingsError, match="AUTH_MODE is external: set BETTER_AUTH_SECRET or EXTERNAL_JWT_JWKS_URL"):
        load(**EXTERNAL | {"better_auth_secret": None})
