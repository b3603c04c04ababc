"""MFA_REQUIRED: who must have a second factor makes one before anything else; and a sign-in renewed by a code."""

from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Literal

import pytest

from generated.operations import OPERATIONS
from server.settings.settings import Settings
from server.terms import TERMS
from tests.api.conftest import SECRET, serving
from tests.api.prober import ALL
from tests.api.test_second_factor import ADA, bearing, challenge, code_at, complete, sign_in, wrong_code
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

BEFORE = {"createTotp", "confirmTotp", "getCurrentUser", "logout", "reauthenticate"}
NEED_CALLER = [o for o in OPERATIONS if TERMS[o.id].roles is not None]


@pytest.fixture
async def demanding(settings: Settings, db: Bench) -> AsyncIterator[ApiClient]:
    """A client of an application that demands a second factor of everybody."""
    async with serving(settings.model_copy(update={"mfa_required": "everybody"}), db) as api:
        yield api


def test_the_contract_says_what_comes_before() -> None:
    assert {o.id for o in OPERATIONS if TERMS[o.id].before_enrolment} == BEFORE


@pytest.mark.proves("ASVS 5.0 6.3.3", "Who must have a second factor and has none can do nothing but make one")
@pytest.mark.parametrize("operation", [o for o in NEED_CALLER if o.id not in BEFORE], ids=lambda o: o.id)
async def test_everything_else_is_refused(demanding: ApiClient, make: Factory, operation: object) -> None:
    ada = await make.user(is_superuser=True)
    one = ALL[operation.id]  # type: ignore[attr-defined]
    path = one.path
    for name, value in {"user_id": ada.id, "organization_id": ada.id}.items():
        path = path.replace(f"{{{name}}}", str(value))
    for name in ("task_id", "session_id", "audit_log_id", "access_token_id", "invitation_id"):
        path = path.replace(f"{{{name}}}", str(ada.session_id))
    query = {
        name: each["example"] for name, each in one.parameters.items() if each["in"] == "query" and each.get("required")
    }
    query = {name: value for name, value in query.items() if f"{{{name}}}" not in one.path}
    sent = {"json": one.good, "headers": {"Content-Type": one.media_type}} if one.media_type else {}

    answer = await demanding.as_(ada).send(one.method, f"/{path}", expect=403, params=query, **sent)

    assert answer["code"] == "mfa_enrolment_required"


async def test_who_enrols_is_let_in(demanding: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
    await make.user(email=ADA)
    me = bearing(demanding, await sign_in(demanding, expect=200))
    await me.get("/tasks", expect=403)
    await me.get("/auth/me")
    await me.post("/auth/reauthenticate", {"password": PASSWORD}, expect=204)

    seed = (await me.post("/users/me/totp", None))["secret"]
    await me.post("/users/me/totp/confirm", {"code": code_at(clock, seed)}, expect=200)

    await me.get("/tasks")
    tokens = await complete(demanding, await challenge(demanding), code_at(clock, seed, 1))
    await bearing(demanding, tokens).get("/tasks")


async def test_who_does_not_enrol_can_leave(demanding: ApiClient, make: Factory) -> None:
    await make.user(email=ADA)
    me = bearing(demanding, await sign_in(demanding, expect=200))

    await me.post("/auth/logout", None, expect=204)

    assert (await me.get("/tasks", expect=401))["code"] == "token_revoked"


async def test_the_password_grant_lets_nobody_in_who_must_enrol(demanding: ApiClient, make: Factory) -> None:
    await make.user(email=ADA)
    body = {"grant_type": "password", "username": ADA, "password": PASSWORD}

    answer = await demanding.send("POST", "/auth/token", expect=400, data=body)

    assert answer["error"] == "invalid_grant"


@pytest.mark.parametrize("required", ["nobody", "superusers"])
async def test_superusers_alone_may_have_to(
    settings: Settings, db: Bench, make: Factory, required: Literal["nobody", "superusers"]
) -> None:
    ada, root = await make.user(), await make.user(email=ADA, is_superuser=True)
    enrolled = await make.user(is_superuser=True)
    await make.second_factor(enrolled.id, SECRET)
    expect = 403 if required == "superusers" else 200
    async with serving(settings.model_copy(update={"mfa_required": required}), db) as api:
        await api.as_(ada).get("/tasks")
        await api.as_(enrolled).get("/tasks")
        await api.as_(root).get("/tasks", expect=expect)
        body = {"grant_type": "password", "username": ADA, "password": PASSWORD}
        await api.send("POST", "/auth/token", expect=400 if required == "superusers" else 200, data=body)


class TestReauthentication:
    """A sign-in that is renewed by a code."""

    async def test_a_code_renews_it(self, api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
        ada = await make.user()
        await make.second_factor(ada.id, SECRET)
        clock.now += timedelta(minutes=11)
        me = api.as_(ada)
        await me.delete("/users/me/totp", expect=401)

        wrong = await me.post("/auth/reauthenticate", {"code": wrong_code(clock)}, expect=403)
        assert wrong["code"] == "wrong_code"
        await me.delete("/users/me/totp", expect=401)
        await me.post("/auth/reauthenticate", {"code": code_at(clock)}, expect=204)
        await me.post("/auth/reauthenticate", {"code": code_at(clock)}, expect=403)

        await me.delete("/users/me/totp")

    async def test_a_factor_that_is_not_confirmed_proves_nothing(
        self, api: ApiClient, make: Factory, clock: SimpleNamespace
    ) -> None:
        ada = await make.user()
        await make.second_factor(ada.id, SECRET, confirmed_at=None)

        await api.as_(ada).post("/auth/reauthenticate", {"code": code_at(clock)}, expect=403)

    async def test_wrong_codes_lock(self, api: ApiClient, make: Factory, clock: SimpleNamespace) -> None:
        ada = await make.user()
        await make.second_factor(ada.id, SECRET)
        for _ in range(5):
            await api.as_(ada).post("/auth/reauthenticate", {"code": wrong_code(clock)}, expect=403)

        await api.as_(ada).post("/auth/reauthenticate", {"code": code_at(clock)}, expect=429)

    @pytest.mark.parametrize("body", [{}, {"password": PASSWORD, "code": "123456"}], ids=["neither", "both"])
    async def test_it_is_one_of_the_two(self, api: ApiClient, make: Factory, body: dict[str, str]) -> None:
        await api.as_(await make.user()).post("/auth/reauthenticate", body, expect=422)
