"""The matrix of docs/permissions.md, walked: every operation, every caller, every place."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from persistence.tables import ExternalIdentity
from scripts.permissions import (
    DISABLED,
    EXTERNAL,
    FORBIDDEN,
    OTHERS,
    OWN,
    PERSONAL,
    SELF,
    TEAM,
    UNSEEN,
    YES,
    Cell,
    cells,
    page,
)
from security.keys import Keys
from security.one_time_tokens import hash_token
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER
from server.settings.external_issuers import BETTER_AUTH
from server.settings.loading import load
from server.settings.settings import Settings
from tests import issuer
from tests.api.conftest import SECRET, serving
from tests.api.prober import ALL, FORM
from tests.client import DOCUMENT, ApiClient, check
from tests.conftest import ROOT, Bench
from tests.factories import NOW, PASSWORD, Factory, SignedIn, hashed_password
from tests.issuer import sign_shared

CELLS = list(cells())
REFUSALS = {
    *("authentication_required", "token_expired", "token_revoked", "invalid_token"),
    *(FORBIDDEN, UNSEEN, PERSONAL, DISABLED),
}
ALLOWED_BUT_WRONG = {
    "changeMyPassword": 403,
    "login": 401,
    "refreshTokens": 401,
    "issueToken": 400,
    "completeLogin": 401,
    "confirmTotp": 403,
    "verifyEmail": 400,
}
NO_MAIL = "requestEmailVerification"  # is off where nothing is mailed
OF_FACTORS = {"deleteTotp": NOW, "createRecoveryCodes": NOW, "resetTotp": NOW, "confirmTotp": None}
"""Operations upon a second factor, and when it was confirmed."""
BODIES: dict[str, dict[str, Any]] = {  # what their examples say is for superusers, or for who has just signed in
    "updateUser": {"full_name": "Ada"},
    "updateMyProfile": {"full_name": "Ada"},
    "createAccessToken": {"name": "Command line", "scopes": ["tasks:read"]},
    "reauthenticate": {"password": PASSWORD},
}
GRACE = "grace@example.com"  # the address that the example of inviteMember names
OF_INVITED = {"acceptInvitation", "declineInvitation", "redeemInvitation"}


@pytest.fixture(scope="session")
async def hybrid(bench: Bench) -> AsyncIterator[ApiClient]:
    """A client of an application that takes the tokens of another issuer, too."""
    settings = load(
        environment="staging",
        secret_key=SECRET,
        auth_mode="hybrid",
        better_auth_secret=issuer.SECRET,
        rate_limits_enabled=False,
        response_check_rate=1,
        log_level="error",
    )
    async with serving(settings, bench) as client:
        yield client


class World:
    """Who calls, and the things that a request can name at a place."""

    def __init__(self, caller: SignedIn, other: SignedIn, organization_id: UUID, user_id: UUID) -> None:
        self.caller, self.other = caller, other
        self.ids: dict[str, object] = {"organization_id": organization_id, "user_id": user_id, "code": "not_found"}


async def world(make: Factory, cell: Cell) -> World:
    async with make.db.transaction() as db:
        return await make_world(Factory(db), cell)


async def make_world(make: Factory, cell: Cell) -> World:
    inactive = cell.caller == "inactive"
    ada = await make.user(is_superuser=cell.caller == "superuser", is_active=not inactive)
    other, bob = await make.user(), await make.user(email="bob@example.com")
    if cell.caller == "revoked":
        ended = await make.session(ada.id, revoked_at=NOW, revoke_reason="logout")
        ada = replace(ada, session_id=ended)
    if cell.caller == EXTERNAL:
        await make.row(ExternalIdentity, {"issuer": BETTER_AUTH, "subject": str(ada.id), "user_id": ada.id})
    root = await make.user(is_superuser=True)  # is left when the caller goes, as an owner of the team is
    team = await make.team(owner=other, member=bob)
    await make.member(team, root.id, "owner")
    role = cell.caller if cell.caller in ("member", "admin", "owner") else "owner"
    if cell.caller not in ("outsider", "superuser"):
        await make.member(team, ada.id, role)
    in_team = cell.place in (TEAM, SELF)
    where = team if in_team else other.id if cell.place == OTHERS else ada.id
    other_user = {TEAM: bob.id, SELF: ada.id, OWN: ada.id}.get(cell.place, other.id)
    made = World(ada, other, where, other_user)
    owner = ada if cell.place == OWN else other
    made.ids["task_id"] = await make.task(where, owner)
    made.ids["session_id"] = await make.session(owner.id)
    made.ids["access_token_id"] = await make.access_token(owner.id)
    made.ids["audit_log_id"] = await make.audit_log()
    await make.user(email=GRACE)
    if cell.operation.id in OF_FACTORS:
        for user in (ada, other):
            await make.second_factor(user.id, SECRET, confirmed_at=OF_FACTORS[cell.operation.id])
    await make.one_time_token(other.id, token=example("/api/v1/auth/password-reset/confirm", "POST")["token"])
    waiting, bound_to = example("/api/v1/auth/login/totp", "POST")["challenge"], hash_token(hashed_password())
    await make.one_time_token(other.id, token=waiting, purpose="sign_in", bound_to=bound_to)
    await invite(make, cell, made)
    return made


async def invite(make: Factory, cell: Cell, made: World) -> None:
    """What there is to accept, to decline and to revoke; and the user that a superuser puts into a team."""
    if cell.operation.id in OF_INVITED:
        other_user = made.caller if cell.place == OWN else made.other
        token = example("/api/v1/invitations/redeem", "POST")["token"]
        elsewhere = await make.team(owner=await make.user())
        made.ids["invitation_id"] = await make.invitation(elsewhere, user_id=other_user.id, token=token)
    elif cell.operation.id == "placeMember":
        made.ids |= {"organization_id": await make.team(owner=made.other), "user_id": (await make.user()).id}
    elif "{invitation_id}" in cell.operation.path:
        made.ids["invitation_id"] = await make.invitation(UUID(str(made.ids["organization_id"])))


async def answer(api: ApiClient, settings: Settings, cell: Cell, there: World) -> httpx.Response:
    """What the server says to the example of the contract, sent by this caller about that place."""
    token = None if cell.caller == "anonymous" else token_of(cell.caller, there.caller, settings)
    return await example_sent(api, cell.operation.id, there, token)


async def example_sent(api: ApiClient, operation_id: str, there: World, token: str | None) -> httpx.Response:
    """What the server says to the example of the contract about that place."""
    operation = ALL[operation_id]
    path = re.sub(r"\{(\w+)\}", lambda found: str(there.ids[found[1]]), operation.path)
    query: dict[str, Any] = {"q": "task"} if "q" in operation.parameters else {}
    if "organization_id" in operation.parameters and "{organization_id}" not in operation.path:
        query["organization_id"] = there.ids["organization_id"]
    body = dict(BODIES.get(operation_id) or example(operation.path, operation.method))
    if operation_id == "createTask":
        body["organization_id"] = str(there.ids["organization_id"])
    headers = {"Content-Type": operation.media_type} if operation.media_type else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    sent: dict[str, Any] = {} if not body else {"data": body} if operation.media_type == FORM else {"json": body}
    said = await api.http.request(operation.method, path, params=query, headers=headers, **sent)
    check(said)
    return said


def token_of(caller: str, who: SignedIn, settings: Settings) -> str:
    if caller == EXTERNAL:
        return sign_shared(str(who.id), auth_time=int(datetime.now(UTC).timestamp()))
    age = timedelta(hours=1) if caller == "expired" else timedelta()
    tokens = Tokens(Keys(settings.signing_key), ISSUER, AUDIENCE, settings.access_lifetime)
    return tokens.issue_access(who.id, who.session_id, datetime.now(UTC) - age)


def example(path: str, method: str) -> dict[str, Any]:
    """The first example of a request body."""
    content = DOCUMENT["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    return {} if not content else dict(next(iter(next(iter(content.values()))["examples"].values()))["value"])


@pytest.mark.proves(
    "ASVS 5.0 8.1.1, ASVS 5.0 8.3.1", "Every operation answers every caller as docs/permissions.md says, cell by cell"
)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.operation.id}-{cell.place}-{cell.caller}")
async def test_an_operation_answers_as_decided(
    api: ApiClient, hybrid: ApiClient, settings: Settings, make: Factory, cell: Cell
) -> None:
    said = await answer(hybrid if cell.caller == EXTERNAL else api, settings, cell, await world(make, cell))

    code = said.json().get("code") if "problem" in said.headers.get("content-type", "") else None
    if cell.answer == YES and cell.operation.id == NO_MAIL:
        assert code == DISABLED, said.text
    elif cell.answer == YES:
        done = said.is_success or said.status_code == ALLOWED_BUT_WRONG.get(cell.operation.id)
        assert done, said.text
        assert code not in REFUSALS, said.text
    else:
        assert code == cell.answer, said.text


def test_the_page_says_what_is_walked() -> None:
    assert (ROOT / "docs" / "permissions.md").read_text(encoding="utf-8") == page()
