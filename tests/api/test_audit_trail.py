"""What people do with accounts and sessions leaves an entry in the audit log, in the transaction of the change."""

from typing import Any

import pytest

from scripts.permissions import EXTERNAL, YES, Cell
from server.settings.settings import Settings
from tests.api.test_permissions import CELLS, answer, world
from tests.client import ApiClient
from tests.conftest import Bench
from tests.factories import PASSWORD, Factory

ADA = "ada@example.com"
ANOTHER = "a heron counts the tram stops"
ELSEWHERE = {  # what the example of the contract leaves no entry of
    "refreshTokens",  # a token that comes twice is written down
    "bulkUpdateUsers",  # it names no account that is there
    "verifyEmail",  # the link is of no account
    "requestEmailVerification",  # which changes nothing, and sends a link
    "requestPasswordReset",
}
CHANGES = {
    cell.operation.id: cell
    for cell in CELLS
    if cell.answer == YES and cell.caller != EXTERNAL and cell.operation.method != "GET"
    if cell.operation.tag != "tasks" and cell.operation.id not in ELSEWHERE
}


@pytest.fixture
async def session(api: ApiClient, make: Factory) -> dict[str, Any]:
    """The tokens of ada, who has just signed in."""
    await make.user(email=ADA)
    answer = await api.post("/auth/login", {"email": ADA, "password": PASSWORD}, expect=200)
    body: dict[str, Any] = answer.body
    return body


async def entries(db: Bench) -> list[tuple[str, str, str, str | None, str | None]]:
    """Action, outcome, actor's type, target's type and reason of every entry, oldest first."""
    found = await db.fetch("SELECT action, outcome, actor_type, target_type, reason FROM audit_logs ORDER BY id", [])
    return [tuple(record) for record in found]


async def test_a_registration(api: ApiClient, db: Bench) -> None:
    user = await api.post("/auth/register", {"email": ADA, "password": PASSWORD})

    assert await entries(db) == [("auth.registered", "success", "anonymous", "user", None)]
    assert str((await db.fetch("SELECT target_id FROM audit_logs", []))[0][0]) == user["id"]


async def test_a_registration_that_failed_leaves_none(api: ApiClient, make: Factory, db: Bench) -> None:
    await make.user(email=ADA)

    await api.post("/auth/register", {"email": ADA, "password": PASSWORD}, expect=409)

    assert await entries(db) == []


@pytest.mark.proves("ASVS 5.0 16.3.1", "A login is written down with session, address and user agent")
async def test_a_login(session: dict[str, Any], db: Bench) -> None:
    assert await entries(db) == [("auth.login", "success", "user", "session", None)]
    [entry] = await db.fetch("SELECT session_id, ip_address, user_agent, request_id FROM audit_logs", [])
    assert str(entry["session_id"]) == session["session_id"]
    assert entry["ip_address"] == "127.0.0.1"
    assert entry["user_agent"].startswith("python-httpx/")
    assert len(entry["request_id"]) == 32


@pytest.mark.proves("ASVS 5.0 16.3.1", "Wrong passwords and lockouts are written down")
@pytest.mark.parametrize(("email", "target"), [(ADA, "user"), ("unknown@example.com", None)])
async def test_a_wrong_password_and_the_lockout_it_leads_to(
    api: ApiClient, make: Factory, db: Bench, email: str, target: str | None
) -> None:
    await make.user(email=ADA)

    for _ in range(5):
        await api.post("/auth/login", {"email": email, "password": "wrong"}, expect=401)
    await api.post("/auth/login", {"email": email, "password": "wrong"}, expect=429)

    wrong = ("auth.login", "failure", "anonymous", target, "wrong_password")
    assert await entries(db) == [wrong] * 4 + [("auth.lockout", "denied", "anonymous", target, None), wrong]


async def test_a_login_to_an_account_that_is_disabled(api: ApiClient, make: Factory, db: Bench) -> None:
    await make.user(email=ADA, is_active=False)

    await api.post("/auth/login", {"email": ADA, "password": PASSWORD}, expect=403)

    assert await entries(db) == [("auth.login", "failure", "anonymous", "user", "account_disabled")]


@pytest.mark.proves("ASVS 5.0 16.3.1", "The end of a session is written down")
@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("POST /auth/logout", ("auth.logout", "success", "user", "session", None)),
        ("POST /auth/logout-all", ("auth.logout_all", "success", "user", "user", None)),
        ("DELETE /auth/sessions/{session_id}", ("auth.session_revoked", "success", "user", "session", None)),
    ],
)
async def test_the_end_of_a_session(
    api: ApiClient, session: dict[str, Any], db: Bench, request_line: str, expected: tuple[str, ...]
) -> None:
    me = api.with_headers(Authorization=f"Bearer {session['access_token']}")

    method, path = request_line.format(**session).split()
    await me.send(method, path, expect=204)

    assert (await entries(db))[1:] == [expected]


@pytest.mark.proves("ASVS 5.0 16.3.3", "The reuse of a refresh token is written down")
async def test_a_refresh_token_that_comes_twice(api: ApiClient, session: dict[str, Any], db: Bench) -> None:
    token = session["refresh_token"]
    for _ in range(3):
        token = (await api.post("/auth/refresh", {"refresh_token": token}, expect=200))["refresh_token"]

    await api.post("/auth/refresh", {"refresh_token": session["refresh_token"]}, expect=401)

    assert (await entries(db))[1:] == [("auth.refresh_reuse", "denied", "user", "session", None)]


@pytest.mark.proves("ASVS 5.0 16.3.1", "Password changes are written down, refused ones too")
async def test_a_change_of_the_password_and_one_refused(api: ApiClient, session: dict[str, Any], db: Bench) -> None:
    me = api.with_headers(Authorization=f"Bearer {session['access_token']}")

    await me.put("/users/me/password", {"current_password": "wrong", "new_password": ANOTHER}, expect=403)
    await me.put("/users/me/password", {"current_password": PASSWORD, "new_password": ANOTHER}, expect=204)

    assert (await entries(db))[1:] == [
        ("auth.password_changed", "failure", "user", "user", "wrong_password"),
        ("auth.password_changed", "success", "user", "user", None),
    ]
    assert [row[0] for row in await db.fetch("SELECT changes FROM audit_logs ORDER BY id", [])] == [
        [],
        [],
        ["password"],
    ]


@pytest.mark.parametrize("cell", CHANGES.values(), ids=CHANGES)
async def test_whatever_is_done_to_accounts_and_organizations_leaves_an_entry(
    api: ApiClient, make: Factory, db: Bench, settings: Settings, cell: Cell
) -> None:
    there = await world(make, cell)
    before = await entries(db)

    await answer(api, settings, cell, there)

    assert len(await entries(db)) > len(before)


async def test_a_superuser_reads_who_signed_in_and_who_tried_to(
    api: ApiClient, make: Factory, session: dict[str, Any]
) -> None:
    await api.post("/auth/login", {"email": ADA, "password": "wrong"}, expect=401)
    await api.as_(await make.user()).get("/audit-logs", expect=403)
    root = api.as_(await make.user(is_superuser=True))

    page = await root.get("/audit-logs", action="auth.")

    assert [(entry["action"], entry["outcome"]) for entry in page["items"]] == [
        ("auth.login", "failure"),
        ("auth.login", "success"),
    ]
    assert page["items"][1]["session_id"] == session["session_id"]
