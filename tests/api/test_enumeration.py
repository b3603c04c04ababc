"""Who tells by a 409 what others have is counted for it, by what the body changes."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from generated.operations import OPERATIONS, PROBLEM_TYPES
from server.errors import CONSTRAINTS
from server.settings.settings import Settings
from server.terms import TERMS
from tests.api.conftest import client_of, start_app
from tests.client import DOCUMENT, ApiClient
from tests.conftest import Bench
from tests.factories import Factory, SignedIn

MOST = DOCUMENT["x-rate-limits"]["sensitive"]["user"]["limit"]
TAKEN = {code for code, kind in DOCUMENT["x-problems"].items() if "taken" in kind}
COUNTED = [operation for operation in OPERATIONS if TERMS[operation.id].rate_class_when]


@pytest.fixture
async def counting(settings: Settings, db: Bench, still_window: None) -> AsyncIterator[ApiClient]:
    chosen = settings.model_copy(update={"rate_limits_enabled": True})
    async with start_app(chosen, db) as app, client_of(app, chosen) as client:
        yield client


def new(operation_id: str) -> dict[str, Any]:
    """A body that sets what no account has."""
    text = uuid4().hex
    account = {"email": f"{text}@example.com", "username": text}
    match operation_id:
        case "createOrganization" | "updateOrganization":
            return {"name": "Team", "slug": text}
        case "createUser" | "registerUser":
            return account | {"password": "a pelican reads the timetable"}
        case _:
            return account


def test_a_code_that_tells_what_others_have_says_of_which_member() -> None:
    unique = {make().code for name, make in CONSTRAINTS.items() if name.startswith("uq_")}

    assert unique == TAKEN
    assert set(PROBLEM_TYPES) >= TAKEN


def test_every_operation_that_tells_what_others_have_is_counted_for_it() -> None:
    telling = {o.id for o in OPERATIONS if any(TAKEN.intersection(problem.codes) for problem in o.problems)}

    assert telling == {o.id for o in COUNTED}
    assert len(telling) == 7


@pytest.mark.proves(
    "ASVS 5.0 2.4.1", "A client can ask ten times a minute at most whether others have a name or address"
)
@pytest.mark.parametrize("operation", [o for o in COUNTED if TERMS[o.id].roles is not None], ids=lambda o: o.id)
async def test_what_tells_of_others_is_told_ten_times_a_minute(
    counting: ApiClient, make: Factory, operation: Any
) -> None:
    ada = await make.user(is_superuser=operation.id == "createUser")
    api = counting.as_(ada)
    path = operation.path.removeprefix("/api/v1").format(user_id=ada.id, organization_id=await make.team(owner=ada))

    for _ in range(MOST):
        answer = await write(api, operation.method, path, new(operation.id))
        assert '"sensitive";r=' in answer.headers["ratelimit"]
    problem = await write(api, operation.method, path, new(operation.id), expect=429)

    assert problem["code"] == "rate_limit_exceeded"
    assert 1 <= int(problem.headers["retry-after"]) <= 60


async def write(api: ApiClient, method: str, path: str, body: Mapping[str, Any], *, expect: int | None = None) -> Any:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    status = expect or (201 if method == "POST" else 200)
    return await api.send(method, path, expect=status, json=body, headers={"Content-Type": kind})


async def test_what_is_as_it_was_or_tells_nothing_is_not_counted(counting: ApiClient, make: Factory) -> None:
    ada = await make.user(email="ada@example.com", username="ada")
    team_id = await make.team(owner=ada)
    api = counting.as_(ada)
    slug = (await api.get(f"/organizations/{team_id}"))["slug"]

    for number in range(2 * MOST):
        same = {"email": "ada@example.com", "username": "ada", "full_name": f"Ada {number}"}
        for answer in (
            await api.patch("/users/me", same),
            await api.put(f"/users/{ada.id}", same),
            await api.patch(f"/organizations/{team_id}", {"slug": slug, "name": f"Team {number}"}),
        ):
            assert "sensitive" not in answer.headers["ratelimit"]


async def test_a_refusal_counts_as_a_change_does(counting: ApiClient, make: Factory) -> None:
    await make.user(email="grace@example.com")
    api = counting.as_(await make.user())

    for _ in range(MOST):
        problem = await api.patch("/users/me", {"email": "grace@example.com"}, expect=409)
        assert problem["code"] == "email_already_registered"

    await api.patch("/users/me", {"email": "grace@example.com"}, expect=429)
    await api.patch("/users/me", {"full_name": "Ada"})


async def test_a_username_needs_a_recent_sign_in_like_an_email(api: ApiClient, make: Factory) -> None:
    ada = await make.user(username="ada")
    long_ago = ada.now.replace(year=ada.now.year - 1)
    late = api.as_(SignedIn(ada.id, await make.session(ada.id, authenticated_at=long_ago), ada.now))

    for body in ({"username": "countess"}, {"username": None}):
        assert (await late.patch("/users/me", body, expect=401))["code"] == "reauthentication_required"
        assert (await late.patch(f"/users/{ada.id}", body, expect=401))["code"] == "reauthentication_required"

    assert (await late.patch("/users/me", {"username": "ada", "full_name": "Ada"}))["full_name"] == "Ada"
    assert (await api.as_(ada).patch("/users/me", {"username": "countess"}))["username"] == "countess"
